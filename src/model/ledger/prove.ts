import type { ReadTile } from './append.ts';
import { foldPeaks, HASH_BYTES, largestPowerOfTwo } from './merkle.ts';
import { assertCount, invalid } from './strict.ts';
import { decodeTile, perfectRoot, TILE_WIDTH, type Tile, tilePath, tileWidth } from './tile.ts';

const HEIGHTS_PER_LEVEL = 8;

/** Entries from `start` up to, not including, `end`; a proof is a list of the hashes over such spans. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** Where the hashes under one perfect subtree stand: `count` of them from `offset` within `tile`. */
interface Place {
  readonly tile: Tile;
  readonly offset: number;
  readonly count: number;
}

/** Tiles that `proveInclusion` reads, for a caller that has to fetch them first. */
export function tilesForInclusion(index: number, size: number): Tile[] {
  return distinctTiles(inclusionSpans(index, size), size);
}

/** Tiles that `proveConsistency` reads, for a caller that has to fetch them first. */
export function tilesForConsistency(sizeBefore: number, size: number): Tile[] {
  return distinctTiles(consistencySpans(sizeBefore, size), size);
}

/** Hashes from the leaf's sibling up to the root's child (RFC 6962 section 2.1.1). */
export function proveInclusion(index: number, size: number, read: ReadTile): Uint8Array[] {
  return inclusionSpans(index, size).map((span) => spanHash(span, size, read));
}

/** Proof that the tree of `size` begins with the tree of `sizeBefore` (RFC 6962 section 2.1.2); empty from size 0. */
export function proveConsistency(sizeBefore: number, size: number, read: ReadTile): Uint8Array[] {
  return consistencySpans(sizeBefore, size).map((span) => spanHash(span, size, read));
}

/** Tiles that `rootFromTiles` reads. */
export function tilesForRoot(size: number): Tile[] {
  return distinctTiles([{ start: 0, end: size }], size);
}

/** Root of the first `size` entries, from one hash for each bit of the size. */
export function rootFromTiles(size: number, read: ReadTile): Uint8Array {
  return spanHash({ start: 0, end: size }, size, read);
}

/** Where a span splits: the largest power of two smaller than its length. */
function middle({ start, end }: Span): number {
  return start + largestPowerOfTwo(end - start - 1);
}

function inclusionSpans(index: number, size: number): Span[] {
  assertCount(index, 'the index of an entry');
  assertCount(size, 'the size of a tree');
  if (index >= size) throw invalid(`entry ${index} is not in a tree of ${size} entries`);
  const spans: Span[] = [];
  let whole: Span = { start: 0, end: size };
  while (whole.end - whole.start > 1) {
    const split = middle(whole);
    const left = { start: whole.start, end: split };
    const right = { start: split, end: whole.end };
    spans.push(index < split ? right : left);
    whole = index < split ? left : right;
  }
  // Walked from the root down, told from the leaf up.
  return spans.reverse();
}

function consistencySpans(sizeBefore: number, size: number): Span[] {
  assertCount(sizeBefore, 'the size of a tree');
  assertCount(size, 'the size of a tree');
  if (sizeBefore > size) throw invalid(`a tree of ${size} entries cannot begin with one of ${sizeBefore}`);
  if (sizeBefore === 0) return [];
  const spans: Span[] = [];
  let whole: Span = { start: 0, end: size };
  while (whole.end > sizeBefore) {
    const split = middle(whole);
    const left = { start: whole.start, end: split };
    const right = { start: split, end: whole.end };
    spans.push(sizeBefore <= split ? right : left);
    whole = sizeBefore <= split ? left : right;
  }
  // The verifier knows the old root, so it is left out where it stands in the new tree as it is.
  if (whole.start > 0) spans.push(whole);
  return spans.reverse();
}

/** The perfect subtrees that a span consists of, and where their hashes stand in a tree of `size`. */
function places({ start, end }: Span, size: number): Place[] {
  const found: Place[] = [];
  for (let at = start; at < end; ) {
    const entries = largestPowerOfTwo(end - at);
    const height = Math.log2(entries);
    const level = Math.floor(height / HEIGHTS_PER_LEVEL);
    const first = at / TILE_WIDTH ** level;
    const index = Math.floor(first / TILE_WIDTH);
    const tile: Tile = { level, index, width: tileWidth(size, level, index) };
    found.push({ tile, offset: first % TILE_WIDTH, count: 2 ** (height % HEIGHTS_PER_LEVEL) });
    at += entries;
  }
  return found;
}

function spanHash(span: Span, size: number, read: ReadTile): Uint8Array {
  const peaks = places(span, size).map(({ tile, offset, count }) => {
    const hashes = decodeTile(read(tile), tile.width);
    return perfectRoot(hashes.slice(offset, offset + count));
  });
  const hash = foldPeaks(peaks);
  if (hash.length !== HASH_BYTES) throw invalid('a tile holds a hash of another length');
  return hash;
}

function distinctTiles(spans: readonly Span[], size: number): Tile[] {
  const tiles = spans.flatMap((span) => places(span, size)).map(({ tile }) => tile);
  return [...new Map(tiles.map((tile) => [tilePath(tile), tile])).values()];
}
