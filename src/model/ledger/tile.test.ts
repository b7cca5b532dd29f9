import { describe, expect, test } from 'vitest';
import { codeOf, golden } from './golden.fixture.ts';
import {
  decodeBundle,
  decodeTile,
  encodeBundle,
  encodeTile,
  parseTilePath,
  partialTiles,
  type Tile,
  tilePath,
  tilesOfTree,
  tileWidth,
} from './tile.ts';

describe('tile paths', () => {
  const named: [Tile, string][] = [
    [{ level: 0, index: 1_234_067, width: 256 }, golden.paths['L0 N1234067 W256']],
    [{ level: 1, index: 999, width: 17 }, golden.paths['L1 N999 W17']],
    [{ level: 3, index: 0, width: 1 }, golden.paths['L3 N0 W1']],
    [{ level: 'entries', index: 1000, width: 255 }, 'tile/entries/x001/000.p/255'],
    [{ level: 63, index: Number.MAX_SAFE_INTEGER, width: 256 }, 'tile/63/x009/x007/x199/x254/x740/991'],
  ];

  test.each(named)('%o is %s', (tile, path) => {
    expect(tilePath(tile)).toBe(path);
    expect(parseTilePath(path)).toEqual(tile);
  });

  test.each([
    '',
    'tile/0/000/',
    '/tile/0/000',
    'tile/00/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/0/0',
    'tile/0/1000',
    'tile/0/001/000',
    'tile/0/x000/001',
    'tile/0/x001',
    'tile/0/000.p/0',
    'tile/0/000.p/01',
    'tile/0/000.p/256',
    'tile/0/000.p',
    'tile/0/x999/x999/x999/x999/x999/999',
    'tile/data/000',
    'tile/0/../000',
    'tile/0/000\n',
  ])('refuses %j', (path) => {
    expect(codeOf(() => parseTilePath(path))).toBe('ledger.invalid');
  });

  test('refuses to write a path of a tile that cannot exist', () => {
    expect(codeOf(() => tilePath({ level: 0, index: -1, width: 1 }))).toBe('ledger.invalid');
    expect(codeOf(() => tilePath({ level: 0, index: 0, width: 0 }))).toBe('ledger.invalid');
    expect(codeOf(() => tilePath({ level: 0.5, index: 0, width: 1 }))).toBe('ledger.invalid');
  });
});

describe('tiles of a tree', () => {
  test('700 entries have the golden files', () => {
    const paths = [...tilesOfTree(700)].map(tilePath);
    expect(paths).toEqual([...golden.bundles, ...golden.tiles].map(({ Path }) => Path));
  });

  test('70,000 entries, the example of the specification', () => {
    const tiles = [...tilesOfTree(70_000)].filter(({ level }) => level !== 'entries');
    const full = tiles.filter(({ width }) => width === 256).map(({ level }) => level);
    expect(full.filter((level) => level === 0)).toHaveLength(273);
    expect(full.filter((level) => level === 1)).toHaveLength(1);
    expect(partialTiles(70_000).map(tilePath)).toEqual([
      'tile/entries/273.p/112',
      'tile/0/273.p/112',
      'tile/1/001.p/17',
      'tile/2/000.p/1',
    ]);
  });

  test('256 entries fill a tile and begin one above it', () => {
    expect([...tilesOfTree(256)].map(tilePath)).toEqual(['tile/entries/000', 'tile/0/000', 'tile/1/000.p/1']);
    expect([...tilesOfTree(0)]).toEqual([]);
    expect(tileWidth(256, 0, 1)).toBe(0);
    expect(tileWidth(255, 1, 0)).toBe(0);
  });

  test('sizes beyond 32 bits keep their exact widths', () => {
    expect(tileWidth(2 ** 40 + 3, 0, 2 ** 32)).toBe(3);
    expect(tileWidth(2 ** 40 + 3, 5, 0)).toBe(1);
    expect(codeOf(() => partialTiles(2 ** 53))).toBe('ledger.invalid');
  });
});

describe('tile and bundle bytes', () => {
  test('entries come back as they went in, empty and longest ones too', () => {
    const entries = [Buffer.from(''), Buffer.from('a'), Buffer.alloc(65_535, 1)];
    expect(decodeBundle(encodeBundle(entries), 3)).toEqual(entries);
    expect(encodeBundle([Buffer.from('ab')])).toEqual(Buffer.from('00026162', 'hex'));
  });

  test('refuses what is cut, too long or of another width', () => {
    const bundle = encodeBundle([Buffer.from('a'), Buffer.from('bc')]);
    for (const width of [0, 1, 3]) expect(codeOf(() => decodeBundle(bundle, width))).toBe('ledger.invalid');
    for (let end = 0; end < bundle.length; end++) {
      expect(codeOf(() => decodeBundle(bundle.subarray(0, end), 2))).toBe('ledger.invalid');
    }
    expect(codeOf(() => encodeBundle([Buffer.alloc(65_536)]))).toBe('ledger.invalid');
    expect(codeOf(() => encodeBundle([]))).toBe('ledger.invalid');
    expect(codeOf(() => encodeTile([Buffer.alloc(31)]))).toBe('ledger.invalid');
    expect(codeOf(() => decodeTile(Buffer.alloc(64), 1))).toBe('ledger.invalid');
    expect(codeOf(() => decodeTile(Buffer.alloc(0), 0))).toBe('ledger.invalid');
    expect(codeOf(() => decodeTile(Buffer.alloc(257 * 32), 257))).toBe('ledger.invalid');
  });
});
