import {
  type CompactRange,
  EMPTY_RANGE,
  extendRange,
  largestPowerOfTwo,
  leafHash,
  rangeRoot,
} from './merkle.ts';
import { invalid, sameBytes } from './strict.ts';
import {
  decodeBundle,
  decodeTile,
  encodeBundle,
  encodeTile,
  partialTiles,
  perfectRoot,
  TILE_WIDTH,
  type Tile,
  type TileFile,
} from './tile.ts';

const HEIGHTS_PER_LEVEL = 8;

/** What a writer holds in memory between appends: the growing right side of the tree. Never changed in place. */
export interface TreeEdge {
  readonly range: CompactRange;
  /** Entries of the bundle that is not yet full. */
  readonly entries: readonly Uint8Array[];
  /** Per tile level, the hashes of the tile that is not yet full. */
  readonly levels: readonly (readonly Uint8Array[])[];
}

export interface Appended {
  readonly edge: TreeEdge;
  readonly root: Uint8Array;
  readonly leafHashes: readonly Uint8Array[];
  /** New files, none of which ever changes again; to be durable before a checkpoint of this size is signed. */
  readonly files: readonly TileFile[];
}

export const EMPTY_EDGE: TreeEdge = { range: EMPTY_RANGE, entries: [], levels: [] };

/** Bytes of one tile or bundle of exactly the width asked for. */
export type ReadTile = (tile: Tile) => Uint8Array;

/**
 * Takes up a stored tree of `size` entries again. Reads only the tiles that `partialTiles(size)` names; the caller
 * compares `rangeRoot(edge.range)` with its last signed root.
 *
 * @throws PhtError `ledger.invalid` where tiles and bundle disagree or are damaged
 */
export function readEdge(size: number, read: ReadTile): TreeEdge {
  let entries: Uint8Array[] = [];
  const levels: Uint8Array[][] = [];
  for (const tile of partialTiles(size)) {
    if (tile.level === 'entries') entries = decodeBundle(read(tile), tile.width);
    else levels[tile.level] = decodeTile(read(tile), tile.width);
  }
  // A level whose tiles are all full has no partial one, which leaves a hole in the list.
  const filled = Array.from(levels, (hashes) => hashes ?? []);
  const leaves = filled[0] ?? [];
  const agree = entries.length === leaves.length && entries.every((entry, at) => agrees(entry, leaves[at]));
  if (!agree) throw invalid('the last entry bundle does not match the last tile of leaf hashes');
  return { range: { size, peaks: filled.toReversed().flatMap(peaksOf) }, entries, levels: filled };
}

function agrees(entry: Uint8Array, leaf: Uint8Array | undefined): boolean {
  return leaf !== undefined && sameBytes(leafHash(entry), leaf);
}

/** Roots of the perfect subtrees over a partial tile, largest first. */
function peaksOf(hashes: readonly Uint8Array[]): Uint8Array[] {
  if (hashes.length === 0) return [];
  const first = largestPowerOfTwo(hashes.length);
  return [perfectRoot(hashes.slice(0, first)), ...peaksOf(hashes.slice(first))];
}

/**
 * Adds entries. Pure: the files are the caller's to write, and `edge` stays valid if writing them fails.
 * Amortised two hashes an entry, however many are in the tree.
 */
export function appendEntries(edge: TreeEdge, entries: readonly Uint8Array[]): Appended {
  const levels = edge.levels.map((hashes) => [...hashes]);
  const changed = new Set<number>();
  const full: TileFile[] = [];
  const leafHashes = entries.map(leafHash);
  const sizeBefore = edge.range.size;
  let added = 0;
  const range = extendRange(edge.range, leafHashes, (height, hash) => {
    if (height === 0) added += 1;
    // Only every eighth height is stored; the ones between are hashed again from the tile.
    if (height % HEIGHTS_PER_LEVEL !== 0) return;
    const level = height / HEIGHTS_PER_LEVEL;
    const hashes = levels[level] ?? [];
    hashes.push(hash);
    levels[level] = hashes;
    changed.add(level);
    if (hashes.length < TILE_WIDTH) return;
    const index = Math.floor((sizeBefore + added) / TILE_WIDTH ** (level + 1)) - 1;
    full.push({ tile: { level, index, width: TILE_WIDTH }, bytes: encodeTile(hashes) });
    levels[level] = [];
  });
  const bundles = bundleFiles(edge, entries);
  const partial = partialTiles(range.size).flatMap(({ level, index, width }) => {
    if (level === 'entries' || !changed.has(level)) return [];
    return [{ tile: { level, index, width }, bytes: encodeTile(levels[level] ?? []) }];
  });
  const next: TreeEdge = { range, entries: bundles.open, levels };
  return { edge: next, root: rangeRoot(range), leafHashes, files: [...bundles.files, ...full, ...partial] };
}

function bundleFiles(
  edge: TreeEdge,
  entries: readonly Uint8Array[],
): { open: Uint8Array[]; files: TileFile[] } {
  const files: TileFile[] = [];
  if (entries.length === 0) return { open: [...edge.entries], files };
  const first = Math.floor(edge.range.size / TILE_WIDTH);
  const all = [...edge.entries, ...entries];
  for (let at = 0; at < all.length; at += TILE_WIDTH) {
    const bundle = all.slice(at, at + TILE_WIDTH);
    const tile: Tile = { level: 'entries', index: first + at / TILE_WIDTH, width: bundle.length };
    files.push({ tile, bytes: encodeBundle(bundle) });
  }
  return { open: all.slice(all.length - (all.length % TILE_WIDTH)), files };
}
