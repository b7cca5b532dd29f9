import { foldPeaks, HASH_BYTES } from './merkle.ts';
import { assertCount, invalid, strictDecimal, strictText } from './strict.ts';

/** Hashes or entries in a full tile (C2SP tlog-tiles). */
export const TILE_WIDTH = 256;
/** Longest entry that a bundle's 16-bit length can hold. */
export const BUNDLE_ENTRY_BYTES_MAX = 65_535;

const LEVEL_MAX = 63;
const PATH_BYTES_MAX = 100;

/** A tile of hashes at a level from 0 (leaves), or a bundle of entries. `width` is 1 to 256; below 256 it is partial. */
export interface Tile {
  readonly level: number | 'entries';
  readonly index: number;
  readonly width: number;
}

/** A file of the ledger's static tree. */
export interface TileFile {
  readonly tile: Tile;
  readonly bytes: Uint8Array;
}

/** `tile/<level>/<index>[.p/<width>]`, the index in groups of three digits, all but the last prefixed with x. */
export function tilePath(tile: Tile): string {
  assertTile(tile);
  const groups = [tile.index % 1000];
  for (let rest = Math.floor(tile.index / 1000); rest > 0; rest = Math.floor(rest / 1000))
    groups.unshift(rest % 1000);
  const digits = groups.map((group) => String(group).padStart(3, '0'));
  const partial = tile.width === TILE_WIDTH ? '' : `.p/${tile.width}`;
  return `tile/${tile.level}/${digits.map((group, at) => (at < digits.length - 1 ? `x${group}` : group)).join('/')}${partial}`;
}

function assertTile({ level, index, width }: Tile): void {
  if (level !== 'entries' && !(Number.isInteger(level) && level >= 0 && level <= LEVEL_MAX)) {
    throw invalid(`a tile level is not from 0 to ${LEVEL_MAX}`);
  }
  assertCount(index, 'the index of a tile');
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) {
    throw invalid(`a tile width is not from 1 to ${TILE_WIDTH}`);
  }
}

const TILE_PATH = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/;

/**
 * Reads the path that a mirror or reader asks for; exactly one spelling of each tile is accepted.
 *
 * @throws PhtError `ledger.invalid`
 */
export function parseTilePath(input: Uint8Array | string): Tile {
  const path = strictText(input, PATH_BYTES_MAX, 'a tile path');
  const match = TILE_PATH.exec(path);
  if (match === null) throw invalid('a tile path is malformed');
  const [, level = '', groups = '', width] = match;
  const tile: Tile = {
    level: level === 'entries' ? level : strictDecimal(level, 'the level of a tile'),
    index: Number(groups.replaceAll(/[x/]/g, '')),
    width: width === undefined ? TILE_WIDTH : strictDecimal(width, 'the width of a tile'),
  };
  if (tilePath(tile) !== path) throw invalid('a tile path is not in its canonical form');
  return tile;
}

/** Hashes that a tree of `size` entries has in one tile: 0 where the tile does not exist, 256 where it is full. */
export function tileWidth(size: number, level: Tile['level'], index: number): number {
  const hashes = hashesAtLevel(size, level);
  return Math.max(0, Math.min(TILE_WIDTH, hashes - index * TILE_WIDTH));
}

function hashesAtLevel(size: number, level: Tile['level']): number {
  return level === 'entries' ? size : Math.floor(size / TILE_WIDTH ** level);
}

/** Levels of hash tiles in a tree of `size` entries. */
export function levelCount(size: number): number {
  let levels = 0;
  while (hashesAtLevel(size, levels) > 0) levels += 1;
  return levels;
}

/** Every file of a tree of `size` entries: bundles first, then hash tiles from the leaves up, left to right. */
export function* tilesOfTree(size: number): Generator<Tile> {
  assertCount(size, 'the size of a tree');
  const levels: Tile['level'][] = ['entries', ...Array(levelCount(size)).keys()];
  for (const level of levels) {
    for (let index = 0; ; index += 1) {
      const width = tileWidth(size, level, index);
      if (width === 0) break;
      yield { level, index, width };
    }
  }
}

/** The partial bundle and tiles of a tree of `size` entries: what a writer reads back when it starts. */
export function partialTiles(size: number): Tile[] {
  assertCount(size, 'the size of a tree');
  const levels: Tile['level'][] = ['entries', ...Array(levelCount(size)).keys()];
  return levels.flatMap((level) => {
    const hashes = hashesAtLevel(size, level);
    const width = hashes % TILE_WIDTH;
    return width === 0 ? [] : [{ level, index: Math.floor(hashes / TILE_WIDTH), width }];
  });
}

export function encodeTile(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length < 1 || hashes.length > TILE_WIDTH || hashes.some((hash) => hash.length !== HASH_BYTES)) {
    throw invalid('a tile holds 1 to 256 hashes of 32 bytes');
  }
  return Buffer.concat(hashes);
}

/** @throws PhtError `ledger.invalid` unless `bytes` are exactly `width` hashes */
export function decodeTile(bytes: Uint8Array, width: number): Uint8Array[] {
  if (width < 1 || width > TILE_WIDTH || bytes.length !== width * HASH_BYTES) {
    throw invalid(`a tile of width ${width} has ${bytes.length} bytes`);
  }
  return Array.from({ length: width }, (_, at) => bytes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES));
}

/** Each entry behind its length as 16 bits, big-endian. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  if (entries.length < 1 || entries.length > TILE_WIDTH) throw invalid('a bundle holds 1 to 256 entries');
  return Buffer.concat(
    entries.flatMap((entry) => {
      if (entry.length > BUNDLE_ENTRY_BYTES_MAX)
        throw invalid(`an entry has ${entry.length} bytes; 65535 is the most`);
      return [Buffer.of(entry.length >> 8, entry.length & 0xff), entry];
    }),
  );
}

/** @throws PhtError `ledger.invalid` unless `bytes` are exactly `width` entries */
export function decodeBundle(bytes: Uint8Array, width: number): Uint8Array[] {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const [high, low] = bytes.subarray(at, at + 2);
    if (high === undefined || low === undefined) throw invalid('an entry bundle ends inside a length');
    const end = at + 2 + high * 256 + low;
    if (end > bytes.length) throw invalid('an entry bundle ends inside an entry');
    if (entries.length === width) throw invalid(`an entry bundle holds more than ${width} entries`);
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  if (entries.length !== width)
    throw invalid(`an entry bundle holds ${entries.length} entries instead of ${width}`);
  return entries;
}

/** Root of the perfect subtree over 2^k neighbouring hashes. */
export function perfectRoot(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length <= 2) return foldPeaks(hashes);
  const half = hashes.length / 2;
  return foldPeaks([perfectRoot(hashes.slice(0, half)), perfectRoot(hashes.slice(half))]);
}
