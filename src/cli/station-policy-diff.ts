import { openPolicy } from '../adapters/policy/cedar.ts';
import { diffPolicies, type PolicyDiff } from '../adapters/policy/diff.ts';
import { PhtError } from '../model/error.ts';
import type { Policy } from '../ports/policy.ts';
import type { Frame } from './frame.ts';
import { type Socket, withAgent } from './station-agent.ts';
import { homeDirOf, policyFile } from './station-policy-files.ts';
import { changedLines, type Replayed, replayWith, summaryOf } from './station-policy-replay.ts';
import { wrap } from './text.ts';

export type DiffOptions = Socket & { newest: number };

/** `pht station policy diff`: rule by rule, and the past trains that the two decide differently. */
export async function diff(frame: Frame, before: string, after: string, options: DiffOptions): Promise<void> {
  const [old, now] = [policyFile(frame, before).bytes, policyFile(frame, after).bytes];
  const texts = diffPolicies(old, now);
  const past = await pastOf(frame, [openPolicy(old), openPolicy(now)], options);
  const told = 'why' in past ? { trains: null, why: past.why } : { trains: past, why: null };
  frame.output.result({ ...texts, ...told }, [
    ...diffLines(texts),
    '',
    ...('why' in past
      ? wrap(`Only the texts were compared: ${past.why}`)
      : [...changedLines(past), ...wrap(summaryOf(past, after))]),
  ]);
}

/** Without an agent there is nothing to replay, which is said and is no failure. */
async function pastOf(
  frame: Frame,
  [old, now]: [Policy, Policy],
  options: DiffOptions,
): Promise<Replayed | { why: string }> {
  if (homeDirOf(frame) === null) return { why: 'no home was named, so no agent was asked' };
  try {
    return await withAgent(frame, options, (agent) =>
      replayWith(agent, options.newest, ({ made }) =>
        made === null ? null : { was: old.decide(made.facts), now: now.decide(made.facts) },
      ),
    );
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'unreachable') return { why: thrown.message };
    throw thrown;
  }
}

function diffLines({ added, removed, changed }: PolicyDiff): string[] {
  if (added.length + removed.length + changed.length === 0) return ['No rule differs.'];
  return [
    ...removed.map((id) => `- rule ${id}`),
    ...added.map((id) => `+ rule ${id}`),
    ...changed.flatMap((rule) => [
      `  rule ${rule.id}`,
      ...rule.removed.flatMap((part) => marked('-', part)),
      ...rule.added.flatMap((part) => marked('+', part)),
    ]),
  ];
}

function marked(sign: string, part: string): string[] {
  const [first = '', ...more] = wrap(part, 6);
  return [`    ${sign} ${first.trimStart()}`, ...more];
}
