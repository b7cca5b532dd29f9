import { type CompactRange, HASH_BYTES, largestPowerOfTwo, writeLeafHash, writeNodeHash } from './merkle.ts';
import { assertCount, invalid } from './strict.ts';
import { levelCount, partialTiles, TILE_WIDTH, type TileFile } from './tile.ts';

/** A tree that only grows and holds nothing but the hash tiles that are not full yet: a few of 8 KiB. */
export interface TileTree {
  size(): number;
  /** Adds an entry. @returns the tiles that it filled, leaves first; mostly none */
  add(entry: Uint8Array): readonly TileFile[];
  range(): CompactRange;
  /** The hash tiles that are not full, as they stand. */
  open(): TileFile[];
}

/** One level's tile that is not full; `index` is the tile's place in its level. */
type Level = { bytes: Buffer; count: number; index: number };

const NOTHING: readonly TileFile[] = [];
const NO_HASHES = new Uint8Array();

/**
 * @param size of the tree to go on with
 * @param levels the hashes of its tiles that are not full, by level (see `partialTiles`); believed, so the caller
 *   compares the root of `range()` with a signed one
 */
export function growTiles(size = 0, levels: readonly Uint8Array[] = []): TileTree {
  assertCount(size, 'the size of a tree');
  const open: Level[] = Array.from({ length: levelCount(size) }, (_, at) =>
    levelOf(size, at, levels[at] ?? NO_HASHES),
  );
  let count = size;

  const fill = (level: Level, at: number, filled: TileFile[]): void => {
    const above = open[at + 1] ?? levelOf(0, at + 1, NO_HASHES);
    open[at + 1] = above;
    filled.push({ tile: { level: at, index: level.index, width: TILE_WIDTH }, bytes: level.bytes });
    writePerfectRoot(level.bytes, 0, TILE_WIDTH, above.bytes, above.count);
    above.count += 1;
    open[at] = { bytes: emptyTile(), count: 0, index: level.index + 1 };
    if (above.count === TILE_WIDTH) fill(above, at + 1, filled);
  };

  return {
    size: () => count,
    add: (entry) => {
      const leaves = open[0] ?? levelOf(0, 0, NO_HASHES);
      open[0] = leaves;
      writeLeafHash(entry, leaves.bytes, leaves.count);
      leaves.count += 1;
      count += 1;
      if (leaves.count < TILE_WIDTH) return NOTHING;
      const filled: TileFile[] = [];
      fill(leaves, 0, filled);
      return filled;
    },
    range: () => ({ size: count, peaks: open.toReversed().flatMap(peaksOf) }),
    open: () =>
      partialTiles(count).flatMap((tile) => {
        const level = tile.level === 'entries' ? undefined : open[tile.level];
        return level === undefined
          ? []
          : [{ tile, bytes: Buffer.from(level.bytes.subarray(0, tile.width * HASH_BYTES)) }];
      }),
  };
}

const emptyTile = (): Buffer => Buffer.allocUnsafeSlow(TILE_WIDTH * HASH_BYTES);

function levelOf(size: number, level: number, hashes: Uint8Array): Level {
  const before = Math.floor(size / TILE_WIDTH ** level);
  const count = hashes.length / HASH_BYTES;
  if (count !== before % TILE_WIDTH) {
    throw invalid(
      `the tile of level ${level} that is not full has ${count} hashes instead of ${before % TILE_WIDTH}`,
    );
  }
  const bytes = emptyTile();
  bytes.set(hashes);
  return { bytes, count, index: Math.floor(before / TILE_WIDTH) };
}

/** Roots of the perfect subtrees over the tile, largest first. */
function peaksOf({ bytes, count }: Level): Uint8Array[] {
  const peaks: Uint8Array[] = [];
  for (let at = 0; at < count; ) {
    const width = largestPowerOfTwo(count - at);
    const peak = Buffer.alloc(HASH_BYTES);
    writePerfectRoot(bytes, at, width, peak, 0);
    peaks.push(peak);
    at += width;
  }
  return peaks;
}

const below = emptyTile();

/** Root over `width` hashes of `bytes` from place `first` on, a power of two, into place `to` of `out`. */
function writePerfectRoot(bytes: Buffer, first: number, width: number, out: Buffer, to: number): void {
  bytes.copy(below, 0, first * HASH_BYTES, (first + width) * HASH_BYTES);
  // Each pass halves the hashes in place: what it writes lies behind what it still reads.
  for (let left = width; left > 1; left /= 2) {
    for (let at = 0; at < left; at += 2) writeNodeHash(below, at, below, at / 2);
  }
  below.copy(out, to * HASH_BYTES, 0, HASH_BYTES);
}
