import { hash } from 'node:crypto';
import { setImmediate as breathe } from 'node:timers/promises';
import { PhtError } from '../../model/error.ts';
import { type ImageChange, SOURCES_MAX } from '../../model/image-difference.ts';
import type { Depot } from '../../ports/depot.ts';
import { type DepthOf, isSource, type PathChange, sizeOf, unshownChange } from './difference-files.ts';
import { unifiedDiff } from './difference-lines.ts';
import { SOURCE_BYTES_MAX } from './layer-index.ts';
import type { ImageEntry } from './overlay.ts';

/** The texts of changed files, straight from the tars of their layers. */

/** Of sources and diffs together, as JSON. */
const SHOWN_BYTES_MAX = 2 * 1024 * 1024;

/**
 * What the command names and the uppermost layers first, in a layer the shortest, while there is room.
 *
 * @param changes each one with its source, in the same order
 */
export async function withSources(
  changes: readonly PathChange[],
  depthOf: DepthOf,
  depot: Depot,
  signal: AbortSignal,
): Promise<ImageChange[]> {
  const candidates = changes
    .filter(isSource)
    .sort((one, other) => depthOf(one) - depthOf(other) || sizeOf(one) - sizeOf(other));
  const sources = new Map<PathChange, Shown>();
  let room = SHOWN_BYTES_MAX;
  for (const change of candidates.slice(0, SOURCES_MAX)) {
    // Looking for the lines that differ takes a while, and other trains go on meanwhile.
    await breathe(undefined, { signal });
    const shown = await shownOf(change, depot);
    const bytes = encodedBytes(shown.source) + encodedBytes(shown.diff);
    if (bytes > room) break;
    room -= bytes;
    sources.set(change, shown);
  }
  return changes.map((change) => {
    const shown = sources.get(change);
    if (shown === undefined) return unshownChange(change, whyUnshown(change));
    return { ...unshownChange(change, shown.source === null ? 'gone' : null), ...shown };
  });
}

type Shown = Pick<ImageChange, 'source' | 'diff'>;

async function shownOf({ before, now }: PathChange, depot: Depot): Promise<Shown> {
  const source = await textOf(now, depot);
  if (source === null || before === null) return { source, diff: null };
  const earlier = await textOf(before, depot);
  const diff = earlier === null ? null : unifiedDiff(earlier, source);
  // The source says the same in fewer words.
  return { source, diff: diff !== null && diff.length > 2 * SOURCE_BYTES_MAX ? null : diff };
}

/** @returns null for what is no short text, or not here any more */
async function textOf(entry: ImageEntry | null, depot: Depot): Promise<string | null> {
  if (entry?.type !== 'file' || !entry.text) return null;
  const parts: Uint8Array[] = [];
  let left = entry.size;
  try {
    for await (const chunk of depot.read(entry.layer, entry.at)) {
      parts.push(chunk.subarray(0, left));
      left -= Math.min(left, chunk.byteLength);
      if (left === 0) break;
    }
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'not-found') return null;
    throw thrown;
  }
  const bytes = Buffer.concat(parts);
  if (hash('sha256', bytes, 'hex') !== entry.sha256)
    throw new PhtError('image.mismatch', 'a layer of the image is not what it was when it was looked into');
  return bytes.toString('utf8');
}

function whyUnshown(change: PathChange): ImageChange['unshown'] {
  if (isSource(change)) return 'too-many';
  if (change.change !== 'added' && change.change !== 'changed') return null;
  if (change.now?.type !== 'file') return null;
  return change.now.size > SOURCE_BYTES_MAX ? 'large' : 'binary';
}

function encodedBytes(text: string | null): number {
  return text === null ? 0 : Buffer.byteLength(JSON.stringify(text));
}
