import type { AdminService } from '../gen/pht/v1/admin_pb.ts';
import { asPhtError, PhtError } from '../model/error.ts';
import { type HopState, isSealed } from '../model/hop.ts';
import {
  type ClearedAs,
  type ConfigChange,
  DIFFERENCE_BYTES_MAX,
  type ImageChange,
  ImageDifference,
  type ImageThing,
} from '../model/image-difference.ts';
import { parseWith } from '../model/schema.ts';
import type { Client } from '../ports/wire.ts';
import type { Output } from './output.ts';
import { minuteOf } from './station-case.ts';
import { wrap } from './text.ts';
import { visible } from './visible.ts';

/** What a train's image has that the last approved one had not, for a person who decides. */

const SOURCE_LINES = 60;
const SOURCE_COLUMNS = 400;
/** Of all sources together: a page that nobody reads to its end shows nothing. */
const SOURCES_LINES = 400;
const OTHERS_LISTED = 100;
const COLUMNS = 80;
const MIB = 1024 * 1024;

/** Commander's: `--no-difference` makes it false. */
export type DifferenceOptions = { difference?: boolean; full?: boolean };

export type DifferenceShown = {
  difference: ImageDifference | null;
  /** Why it cannot be told; null where it can, or was not asked for. */
  differenceProblem: { code: string; message: string } | null;
};

const TITLE = 'What differs from the last approved image';

/**
 * The part of `station show` about the image, for a hop that waits or is under way. That it cannot be told is part of
 * what a person has to know, and keeps the rest from nobody.
 *
 * @returns for programs, and lines for people: none for a hop that has ended, or where it is not wanted
 */
export async function showDifference(
  agent: Client<typeof AdminService>,
  { hopId, state }: { hopId: string; state: string },
  output: Output,
  options: DifferenceOptions,
): Promise<{ shown: DifferenceShown; lines: string[] }> {
  if (options.difference === false || isSealed(state as HopState))
    return { shown: { difference: null, differenceProblem: null }, lines: [] };
  try {
    const difference = await askDifference(agent, hopId, output);
    const lines = ['', ...differenceLines(difference, output, options)];
    return { shown: { difference, differenceProblem: null }, lines };
  } catch (thrown) {
    const { code, message, hint } = asPhtError(thrown);
    const words = [
      `It cannot be told: ${visible(message)} (${code})`,
      ...(hint === undefined ? [] : [visible(hint)]),
    ];
    return {
      shown: { difference: null, differenceProblem: { code, message } },
      lines: ['', output.paint('bold', TITLE), ...words.flatMap((line) => wrap(line, 2))],
    };
  }
}

/** @throws PhtError `input.malformed`, and whatever keeps the agent from looking */
export async function askDifference(
  agent: Client<typeof AdminService>,
  hopId: string,
  output: Output,
): Promise<ImageDifference> {
  let tenths = -1;
  for await (const { doneBytes, totalBytes, difference } of agent.difference({ hopId })) {
    if (difference.byteLength > 0) {
      const limits = { bytesMax: DIFFERENCE_BYTES_MAX, what: 'the difference of the images' };
      return parseWith(ImageDifference, difference, limits);
    }
    const now = totalBytes === 0n ? 0 : Number((doneBytes * 10n) / totalBytes);
    if (now !== tenths && totalBytes > 0n) {
      output.progress(`looking into the image: ${mib(doneBytes)} of ${mib(totalBytes)} MiB`);
    }
    tenths = now;
  }
  throw new PhtError('input.malformed', 'the agent ended without saying what differs');
}

const mib = (bytes: bigint): string => (Number(bytes) / MIB).toFixed(0);

/** @param options `full`: sources, lines and lists are not cut */
export function differenceLines(
  difference: ImageDifference,
  output: Output,
  options: { full?: boolean } = {},
): string[] {
  const head = [output.paint('bold', TITLE), ...comparedLines(difference)];
  if (difference.compared === 'same-image') return head;
  const full = options.full === true;
  const readable = difference.changes.filter(({ source, diff }) => source !== null || diff !== null);
  const read = full ? readable : firstOf(readable, output);
  const others = difference.changes.filter((change) => !read.includes(change));
  const listed = full ? others : others.slice(0, OTHERS_LISTED);
  const hidden = difference.changesOmitted + others.length - listed.length;
  return [
    ...head,
    ...configLines(difference, output),
    ...read.flatMap((change) => ['', ...changeLines(change), ...sourceLines(change, full, output)]),
    ...(listed.length === 0 ? [] : ['']),
    ...listed.flatMap(changeLines),
    ...(hidden === 0
      ? []
      : wrap(`… and ${hidden} more, which are not listed${full ? '' : ' (--full, --json)'}`, 2)),
  ];
}

/** As many as there are lines for, in the order of what matters most; one at least. */
function firstOf(readable: readonly ImageChange[], output: Output): ImageChange[] {
  let lines = 0;
  const end = readable.findIndex((change, at) => {
    lines += sourceLines(change, false, output).length;
    return at > 0 && lines > SOURCES_LINES;
  });
  return readable.slice(0, end === -1 ? readable.length : end);
}

function comparedLines({ compared, base, clearedImages, layers, counts }: ImageDifference): string[] {
  const { added, changed, removed, mode } = counts;
  const files = wrap(
    `${added} files added, ${changed} changed, ${removed} removed, ${mode} with other rights alone`,
    2,
  );
  if (base === null) {
    const why =
      clearedImages === 0
        ? 'No image was approved here before, so there is nothing to compare with: all of it is new.'
        : `Of ${clearedImages === 1 ? 'the one image' : `${clearedImages} images`} that were approved here before, none can be compared with: its files are not known any more, or it is for other machines. All that is in layers which no such image had:`;
    const together = 'Each layer was in an image that was approved here, and none had just these together.';
    return [
      ...wrap(why, 2),
      ...files,
      ...(clearedImages > 0 && added + removed === 0 ? wrap(together, 2) : []),
    ];
  }
  if (compared === 'same-image') {
    return wrap(`Nothing: this very image was cleared here on ${clearedText(base)}.`, 2);
  }
  const shared = `${base.layersShared} of ${layers} layers are the same`;
  return [
    ...wrap(`Compared with ${base.image.slice(0, 16)}…, cleared on ${clearedText(base)}; ${shared}.`, 2),
    ...files,
  ];
}

function clearedText({ clearedAtMs, by, researcher, title, hopId }: ClearedAs): string {
  const who = by === 'person' ? 'by a person' : "as an image on this station's lists";
  return `${minuteOf(clearedAtMs)} ${who} for "${visible(title)}" of ${researcher} (${hopId})`;
}

const CONFIG_NAMES: Readonly<Record<ConfigChange['what'], string>> = {
  command: 'the command',
  env: 'its environment',
  workingDir: 'the folder it starts in',
  user: 'the user named in it',
};

function configLines({ config, base }: ImageDifference, output: Output): string[] {
  if (config === null) return ['', ...wrap('How the earlier image was started is not known any more.', 2)];
  const words = (sign: '-' | '+', list: readonly string[], colour: 'red' | 'green'): string[] =>
    list.flatMap((word) => folded(`${sign} `, visible(word), 4)).map((line) => output.paint(colour, line));
  return config.flatMap(({ what, before, now, omitted }) => [
    '',
    `  ${base === null ? '' : 'changed: '}${CONFIG_NAMES[what]}`,
    ...words('-', before, 'red'),
    ...words('+', now, 'green'),
    ...(omitted === 0 ? [] : [`    … and ${omitted} more`]),
  ]);
}

const SIGNS: Readonly<Record<ImageChange['change'], string>> = {
  added: '+ ',
  changed: '~ ',
  removed: '- ',
  mode: 'm ',
};

const UNSHOWN: Readonly<Record<NonNullable<ImageChange['unshown']>, string>> = {
  binary: 'no text',
  large: 'too long to show',
  'too-many': 'text, left out of too many',
  gone: 'text, not here any more',
};

function changeLines({ path, change, before, now, unshown }: ImageChange): string[] {
  const told = [
    ...(now === null ? [] : [thingText(now)]),
    ...(before === null ? [] : [`was ${thingText(before)}`]),
    ...(unshown === null ? [] : [UNSHOWN[unshown]]),
  ].join('; ');
  return [...folded(SIGNS[change], `/${visible(path)}`, 2), ...(told === '' ? [] : folded('', told, 6))];
}

function thingText(thing: ImageThing): string {
  if (thing.type === 'symlink') return `link to ${visible(thing.target)}`;
  const rights = thing.mode === null ? '' : `, ${thing.mode.toString(8).padStart(4, '0')}`;
  if (thing.type === 'file') return `${sizeText(thing.size)}${rights}`;
  return `${thing.type === 'directory' ? 'folder' : 'pipe'}${rights}`;
}

function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < MIB ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / MIB).toFixed(1)} MiB`;
}

/** The text that changed, or all of it where that is not known. */
function sourceLines({ source, diff }: ImageChange, full: boolean, output: Output): string[] {
  const lines = (diff ?? source ?? '').replace(/\n$/, '').split('\n');
  const kept = full ? lines : lines.slice(0, SOURCE_LINES);
  const shown = kept.map((line) => {
    const text = cut(visible(line, 'expanded'), full);
    if (diff === null || !/^[-+]/.test(line)) return `  | ${text}`;
    return output.paint(line.startsWith('+') ? 'green' : 'red', `  | ${text}`);
  });
  const more = lines.length - kept.length;
  return more === 0 ? shown : [...shown, `  … ${more} more lines (--full)`];
}

function cut(line: string, full: boolean): string {
  if (full || line.length <= SOURCE_COLUMNS) return line;
  return `${line.slice(0, SOURCE_COLUMNS)}… ${line.length - SOURCE_COLUMNS} more characters (--full)`;
}

/** In pieces of a line's width: a path has no blanks to break at, and none of it may be hidden. */
function folded(name: string, text: string, indent: number): string[] {
  const width = COLUMNS - indent - name.length;
  const letters = [...text];
  const lines: string[] = [];
  for (let at = 0; at === 0 || at < letters.length; at += width) {
    lines.push(
      ' '.repeat(indent) +
        (at === 0 ? name : ' '.repeat(name.length)) +
        letters.slice(at, at + width).join(''),
    );
  }
  return lines;
}
