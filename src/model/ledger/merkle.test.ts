import { describe, expect, test } from 'vitest';
import { base64, codeOf, golden, goldenLeaves } from './golden.fixture.ts';
import { EMPTY_RANGE, EMPTY_ROOT, extendRange, leafHash, rangeRoot, rootOfLeaves } from './merkle.ts';

describe('Merkle tree', () => {
  test.each(golden.leafHashes)('leaf %s of the golden log', (line) => {
    const [index = '', hash = ''] = line.split(' ');
    expect(leafHash(Buffer.from(`{"i":${index},"kind":"vector"}`))).toEqual(base64(hash));
  });

  test.each(Object.entries(golden.roots))('root of %s golden entries', (size, root) => {
    expect(rootOfLeaves(goldenLeaves(Number(size)))).toEqual(base64(root));
  });

  test('the eight leaves of the RFC 6962 test trees', () => {
    const inputs = [
      '',
      '00',
      '10',
      '2021',
      '3031',
      '40414243',
      '5051525354555657',
      '606162636465666768696a6b6c6d6e6f',
    ];
    const root = rootOfLeaves(inputs.map((hex) => leafHash(Buffer.from(hex, 'hex'))));
    expect(Buffer.from(root).toString('hex')).toBe(
      '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
    );
  });

  test('a range grown in pieces has the root of the whole, and the old range stays usable', () => {
    const leaves = goldenLeaves(700);
    let range = EMPTY_RANGE;
    const before = extendRange(EMPTY_RANGE, leaves.slice(0, 255));
    for (let at = 0; at < 700; at += 7) range = extendRange(range, leaves.slice(at, at + 7));
    expect(range.size).toBe(700);
    expect(rangeRoot(range)).toEqual(base64(golden.roots['700']));
    extendRange(before, leaves.slice(255, 257));
    expect(rangeRoot(before)).toEqual(base64(golden.roots['255']));
    expect(rangeRoot(EMPTY_RANGE)).toEqual(EMPTY_ROOT);
  });

  test('memory stays constant: one peak for each bit of the size', () => {
    expect(extendRange(EMPTY_RANGE, goldenLeaves(511)).peaks).toHaveLength(9);
    expect(extendRange(EMPTY_RANGE, goldenLeaves(512)).peaks).toHaveLength(1);
  });

  test('refuses a hash of another length and a range that lacks peaks', () => {
    expect(codeOf(() => extendRange(EMPTY_RANGE, [Buffer.alloc(31)]))).toBe('ledger.invalid');
    expect(codeOf(() => extendRange({ size: 1, peaks: [] }, [Buffer.alloc(32)]))).toBe('ledger.invalid');
  });
});
