import { PhtError } from '../../model/error.ts';
import { type Checkpoint, openCheckpoint } from '../../model/ledger/checkpoint.ts';
import {
  type CompactRange,
  EMPTY_RANGE,
  extendRange,
  HASH_BYTES,
  leafHash,
  rangeRoot,
} from '../../model/ledger/merkle.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import { partialTiles, TILE_WIDTH, tileWidth } from '../../model/ledger/tile.ts';
import { growTiles, type TileTree } from '../../model/ledger/tile-tree.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import type { LogCopy, LogSource } from '../../ports/log-source.ts';
import type { Growth } from './recompute.ts';

type Log = { member: string; origin: string; keys: readonly NoteKey[] };

/** Whether a remembered range has the size and the root that the member signed. */
export function isRangeOf({ size, peaks }: CompactRange, signed: Pick<Checkpoint, 'size' | 'root'>): boolean {
  const ones = [...size.toString(2)].filter((bit) => bit === '1').length;
  const sized = peaks.length === ones && peaks.every((peak) => peak.length === HASH_BYTES);
  return size === signed.size && sized && sameBytes(rangeRoot({ size, peaks }), signed.root);
}

/**
 * Takes a tree up again where an earlier audit left it, for a log that has `size` entries by now. `range` is believed;
 * whatever else is read has to fit it. Reads at most one bundle again, and one tile a level.
 *
 * @returns null where the source, or the last copy, does not have what is needed: then only the whole log can tell
 */
export async function takeUp(
  from: { source: LogSource; copy: LogCopy | null; log: Log },
  range: CompactRange,
  size: number,
): Promise<Growth | null> {
  const { source, copy, log } = from;
  if (copy === null && source.hashTile === null) return { tree: growRange(range), bundle: [] };
  if (copy !== null && !(await isExtensible(copy, log, range.size, size))) return null;
  const bundle = await openBundle(source, log.member, range.size, size);
  const levels: Uint8Array[] = [Buffer.concat(bundle.map(leafHash))];
  for (const { level, index, width } of partialTiles(range.size)) {
    if (level === 'entries' || level === 0) continue;
    const hashes = await hashesOf(from, { level, index, width }, size);
    if (hashes === null) return null;
    levels[level] = hashes;
  }
  try {
    const tree = growTiles(
      range.size,
      Array.from(levels, (hashes) => hashes ?? new Uint8Array()),
    );
    return samePeaks(tree.range(), range) ? { tree, bundle: copy === null ? [] : bundle } : null;
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'ledger.invalid') return null;
    throw thrown;
  }
}

/** A copy can be added to if it is of this log and reaches at least to where the reading begins. */
async function isExtensible(
  copy: LogCopy,
  { origin, keys }: Log,
  start: number,
  end: number,
): Promise<boolean> {
  const last = await copy.last();
  if (last === null) return false;
  try {
    const { size } = openCheckpoint(last, { origin, logKeys: keys, witnessKeys: [] }).checkpoint;
    return size >= start && size <= end;
  } catch (thrown) {
    if (thrown instanceof PhtError) return false;
    throw thrown;
  }
}

/** The entries before `start` that share a bundle with it, in a log of `size` by now. */
async function openBundle(
  source: LogSource,
  member: string,
  start: number,
  size: number,
): Promise<Uint8Array[]> {
  const wanted = start % TILE_WIDTH;
  const first = start - wanted;
  const entries: Uint8Array[] = [];
  if (wanted === 0) return entries;
  // A whole bundle, since a folder has no other.
  for await (const batch of source.entries(member, first, Math.min(first + TILE_WIDTH, size))) {
    entries.push(...batch.slice(0, wanted - entries.length));
    if (entries.length === wanted) break;
  }
  return entries;
}

async function hashesOf(
  { source, copy, log }: { source: LogSource; copy: LogCopy | null; log: Log },
  tile: { level: number; index: number; width: number },
  size: number,
): Promise<Uint8Array | null> {
  if (copy !== null) return copy.lastHashes(tile);
  const { level, index, width } = tile;
  // The source stores the tile as it has become since.
  const stored = await source.hashTile?.(log.member, { level, index, width: tileWidth(size, level, index) });
  return stored?.subarray(0, width * HASH_BYTES) ?? null;
}

function samePeaks(left: CompactRange, right: CompactRange): boolean {
  return (
    left.peaks.length === right.peaks.length &&
    left.peaks.every((peak, at) => sameBytes(peak, right.peaks[at] ?? new Uint8Array()))
  );
}

/** Where nothing stores or compares tiles, the roots of the perfect subtrees are enough. */
function growRange(start: CompactRange = EMPTY_RANGE): TileTree {
  let range = start;
  return {
    size: () => range.size,
    add: (entry) => {
      range = extendRange(range, [leafHash(entry)]);
      return [];
    },
    range: () => range,
    open: () => [],
  };
}
