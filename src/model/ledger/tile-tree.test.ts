import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { base64, codeOf, golden, goldenEntries, treeOf } from './golden.fixture.ts';
import { EMPTY_ROOT, leafHash, rangeRoot, rootOfLeaves } from './merkle.ts';
import { partialTiles, TILE_WIDTH, type TileFile, tilePath, tilesOfTree } from './tile.ts';
import { growTiles } from './tile-tree.ts';

/** What the tree gives for these entries, by path. */
function grown(entries: readonly Uint8Array[], tree = growTiles()): Map<string, Uint8Array> {
  const files: TileFile[] = entries.flatMap((entry) => [...tree.add(entry)]);
  return new Map([...files, ...tree.open()].map(({ tile, bytes }) => [tilePath(tile), bytes]));
}

const hashTilesOf = (size: number): string[] =>
  [...tilesOfTree(size)].filter(({ level }) => level !== 'entries').map(tilePath);

describe('a tree of tiles', () => {
  test.each(Object.entries(golden.roots))('root of %s golden entries', (size, root) => {
    const tree = growTiles();
    for (const entry of goldenEntries(Number(size))) tree.add(entry);
    expect(tree.size()).toBe(Number(size));
    expect(rangeRoot(tree.range())).toEqual(base64(root));
  });

  test('nothing has the root of nothing and no tiles', () => {
    expect(rangeRoot(growTiles().range())).toEqual(EMPTY_ROOT);
    expect(growTiles().open()).toEqual([]);
  });

  test('gives each tile once, with the bytes that a writer stores', () => {
    const entries = goldenEntries(700);
    const files = grown(entries);
    expect([...files.keys()].toSorted()).toEqual(hashTilesOf(700).toSorted());
    for (const [path, bytes] of files) expect(bytes).toEqual(treeOf(entries).files.get(path));
  });

  test('goes on from any size, across tiles and levels, as if it had never stopped', () => {
    const entries = goldenEntries(66_100);
    const { files } = treeOf(entries);
    const sizes = fc.oneof(fc.constantFrom(0, 255, 256, 512, 65_535, 65_536, 65_537), fc.nat(66_000));
    fc.assert(
      fc.property(sizes, fc.nat(300), (size, more) => {
        const levels: Uint8Array[] = [];
        for (const { level, index, width } of partialTiles(size)) {
          if (level === 'entries') continue;
          const first = index * TILE_WIDTH;
          const below = entries.slice(0, size).map(leafHash);
          const hashes = Array.from({ length: width }, (_, at) => {
            const span = TILE_WIDTH ** level;
            return rootOfLeaves(below.slice((first + at) * span, (first + at + 1) * span));
          });
          levels[level] = Buffer.concat(hashes);
        }
        const tree = growTiles(size, levels);
        const end = Math.min(entries.length, size + more);
        for (const { tile, bytes } of entries.slice(size, end).flatMap((entry) => [...tree.add(entry)])) {
          expect(bytes).toEqual(files.get(tilePath(tile)));
        }
        expect(rangeRoot(tree.range())).toEqual(rootOfLeaves(entries.slice(0, end).map(leafHash)));
      }),
      { numRuns: 6 },
    );
  });

  test('a leaf longer than most is hashed like any other', () => {
    const long = Buffer.alloc(5000, 7);
    const tree = growTiles();
    tree.add(long);
    expect(rangeRoot(tree.range())).toEqual(leafHash(long));
  });

  test('refuses levels that do not fit the size', () => {
    expect(codeOf(() => growTiles(3, [Buffer.alloc(64)]))).toBe('ledger.invalid');
    expect(codeOf(() => growTiles(300, [Buffer.alloc(44 * 32)]))).toBe('ledger.invalid');
    expect(codeOf(() => growTiles(-1))).toBe('ledger.invalid');
  });
});
