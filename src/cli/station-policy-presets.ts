import { readFileSync } from 'node:fs';
import type { Frame } from './frame.ts';
import { table, wrap } from './text.ts';

/** Policies to start from, each a file that an admin can read aloud: `stations/policies/<name>.cedar`. */

const SUMMARIES = {
  closed: 'nothing runs',
  'reviewed-images': 'reviewed images run, within limits',
  'known-researchers': 'known researchers run their trains, within limits',
  'ask-always': 'an admin decides about every train, within limits',
} as const;
export type Preset = keyof typeof SUMMARIES;

export const PRESETS = Object.keys(SUMMARIES) as readonly Preset[];

export function presetText(name: Preset): string {
  return shipped(`${name}.cedar`);
}

/** An empty `lists.yaml` with the names that the presets speak of. */
export function listsTemplate(): string {
  return shipped('lists.yaml');
}

function shipped(name: string): string {
  return readFileSync(new URL(`../../stations/policies/${name}`, import.meta.url), 'utf8');
}

/** `pht station policy preset`. */
export function preset(frame: Frame, name: Preset | undefined): void {
  if (name !== undefined) {
    const policy = presetText(name);
    frame.output.result({ name, summary: SUMMARIES[name], policy }, policy.trimEnd().split('\n'));
    return;
  }
  const presets = PRESETS.map((each) => ({ name: each, summary: SUMMARIES[each] }));
  frame.output.result({ presets }, [
    ...table(
      ['preset', 'what it does'],
      presets.map((each) => [each.name, each.summary]),
    ),
    '',
    ...wrap('pht station policy preset NAME prints one; pht station init --policy NAME starts with it.'),
  ]);
}
