import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { appendEntries, EMPTY_EDGE, readEdge } from './append.ts';
import { base64, codeOf, golden, goldenEntries, goldenLeaves, store, treeOf } from './golden.fixture.ts';
import { leafHash, rangeRoot, rootOfLeaves } from './merkle.ts';
import { tilePath, tilesOfTree } from './tile.ts';

describe('appending', () => {
  test.each([...golden.bundles, ...golden.tiles])(
    'writes the golden file $Path',
    ({ Path, Sha256, Bytes }) => {
      const bytes = treeOf(goldenEntries(700)).files.get(Path) ?? Buffer.alloc(0);
      expect(bytes.length).toBe(Bytes);
      expect(createHash('sha256').update(bytes).digest('base64')).toBe(Sha256);
    },
  );

  test('in one piece or in many, with restarts between: the same root and every file of the tree', () => {
    const entries = goldenEntries(700);
    const whole = treeOf(entries).files;
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 8 }),
        fc.boolean(),
        (pieces, restart) => {
          let { files, read } = store([]);
          let edge = EMPTY_EDGE;
          for (const count of [...pieces, 700]) {
            const size = edge.range.size;
            const done = appendEntries(edge, entries.slice(size, Math.min(700, size + count)));
            expect(done.leafHashes).toHaveLength(done.edge.range.size - size);
            ({ files, read } = store(done.files, files));
            expect(done.root).toEqual(rootOfLeaves(goldenLeaves(done.edge.range.size)));
            edge = restart ? readEdge(done.edge.range.size, read) : done.edge;
            expect(rangeRoot(edge.range)).toEqual(done.root);
            for (const tile of tilesOfTree(edge.range.size)) expect(files.has(tilePath(tile))).toBe(true);
          }
          for (const [path, bytes] of whole) expect(files.get(path)).toEqual(bytes);
        },
      ),
      { numRuns: 25 },
    );
  });

  test('across a whole level: 65,793 entries, then one more, give level 2 and the right root', () => {
    const entries = goldenEntries(65_794);
    const first = appendEntries(EMPTY_EDGE, entries.slice(0, 65_793));
    const { files, read } = store(first.files);
    expect([...files.keys()].filter((path) => path.startsWith('tile/2/'))).toEqual(['tile/2/000.p/1']);
    const again = appendEntries(readEdge(65_793, read), entries.slice(65_793));
    expect(again.root).toEqual(rootOfLeaves(entries.map(leafHash)));
    expect(again.files.map(({ tile }) => tilePath(tile))).toEqual(['tile/entries/257.p/2', 'tile/0/257.p/2']);
  });

  test('a full level without a partial tile is taken up again', () => {
    const { read } = treeOf(goldenEntries(512));
    const edge = readEdge(512, read);
    expect(rangeRoot(edge.range)).toEqual(base64(golden.roots['512']));
    expect(appendEntries(edge, goldenEntries(513).slice(512)).root).toEqual(base64(golden.roots['513']));
  });

  test('nothing appended writes nothing', () => {
    const { edge } = appendEntries(EMPTY_EDGE, goldenEntries(3));
    const done = appendEntries(edge, []);
    expect(done.files).toEqual([]);
    expect(done.root).toEqual(base64(golden.roots['3']));
    expect(readEdge(0, () => Buffer.alloc(0))).toEqual(EMPTY_EDGE);
  });

  test('refuses a stored bundle that does not match its leaf hashes', () => {
    const { files, read } = treeOf(goldenEntries(3));
    const bundle = Buffer.from(files.get('tile/entries/000.p/3') ?? '');
    bundle.writeUInt8(bundle.readUInt8(5) ^ 1, 5);
    files.set('tile/entries/000.p/3', bundle);
    expect(codeOf(() => readEdge(3, read))).toBe('ledger.invalid');
  });
});
