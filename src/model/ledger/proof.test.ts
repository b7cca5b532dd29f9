import { describe, expect, test } from 'vitest';
import { signCheckpoint } from './checkpoint.ts';
import {
  base64,
  codeOf,
  golden,
  goldenEntries,
  goldenLeaves,
  LOG_SIGNER,
  treeOf,
  WITNESS_SIGNER,
} from './golden.fixture.ts';
import { EMPTY_ROOT, leafHash, nodeHash, rootOfLeaves } from './merkle.ts';
import {
  formatTlogProof,
  parseTlogProof,
  verifyConsistency,
  verifyInclusion,
  verifyTlogProof,
} from './proof.ts';
import { proveConsistency, proveInclusion, tilesForConsistency, tilesForInclusion } from './prove.ts';
import { tilePath } from './tile.ts';

const leaves = goldenLeaves(700);
const { read } = treeOf(goldenEntries(700));

function leafAt(index: number): Uint8Array {
  return leaves[index] ?? Buffer.alloc(0);
}

describe('golden proofs', () => {
  test.each(golden.inclusion)('inclusion of $Index in $Size', ({ Index, Size, Proof }) => {
    const hashes = Proof.map(base64);
    expect(proveInclusion(Index, Size, treeOf(goldenEntries(Size)).read)).toEqual(hashes);
    const root = rootOfLeaves(leaves.slice(0, Size));
    verifyInclusion({ leafHash: leafAt(Index), index: Index, size: Size, root, hashes });
  });

  test.each(golden.consistency)('consistency of $Old with $New', ({ Old, New, Proof }) => {
    const hashes = (Proof ?? []).map(base64);
    expect(proveConsistency(Old, New, treeOf(goldenEntries(New)).read)).toEqual(hashes);
    const [rootBefore, root] = [rootOfLeaves(leaves.slice(0, Old)), rootOfLeaves(leaves.slice(0, New))];
    verifyConsistency({ sizeBefore: Old, rootBefore, size: New, root, hashes });
  });
});

describe('every pair of sizes up to 40', () => {
  const sizes = Array.from({ length: 40 }, (_, at) => at + 1);
  const trees = sizes.map((size) => ({
    size,
    read: treeOf(goldenEntries(size)).read,
    root: rootOfLeaves(leaves.slice(0, size)),
  }));

  test('each inclusion verifies, and fails at another index, size, root, or with a hash more, less or changed', () => {
    for (const tree of trees) {
      for (let index = 0; index < tree.size; index++) {
        const hashes = proveInclusion(index, tree.size, tree.read);
        const claim = { leafHash: leafAt(index), index, size: tree.size, root: tree.root, hashes };
        verifyInclusion(claim);
        const changed = hashes.map((hash, at) => (at === 0 ? leafHash(hash) : hash));
        const wrong = [
          { ...claim, index: index + 1 },
          { ...claim, size: index },
          { ...claim, root: leafHash(tree.root) },
          { ...claim, leafHash: leafAt(index + 1) },
          { ...claim, hashes: [...hashes, tree.root] },
          ...(hashes.length > 0
            ? [
                { ...claim, hashes: hashes.slice(0, -1) },
                { ...claim, hashes: changed },
              ]
            : []),
        ];
        for (const lie of wrong) expect(codeOf(() => verifyInclusion(lie))).toBe('ledger.invalid');
      }
    }
  });

  test('each consistency verifies, and fails for other roots or with a hash more, less or changed', () => {
    for (const after of trees) {
      for (const before of trees.slice(0, after.size)) {
        const hashes = proveConsistency(before.size, after.size, after.read);
        const claim = {
          sizeBefore: before.size,
          rootBefore: before.root,
          size: after.size,
          root: after.root,
          hashes,
        };
        verifyConsistency(claim);
        const changed = hashes.map((hash, at) => (at === 0 ? leafHash(hash) : hash));
        const wrong = [
          { ...claim, rootBefore: leafHash(before.root) },
          { ...claim, root: leafHash(after.root) },
          { ...claim, hashes: [...hashes, before.root] },
          ...(hashes.length > 0
            ? [
                { ...claim, hashes: hashes.slice(0, -1) },
                { ...claim, hashes: changed },
              ]
            : []),
        ];
        for (const lie of wrong) expect(codeOf(() => verifyConsistency(lie))).toBe('ledger.inconsistent');
      }
    }
  });
});

describe('edges of consistency', () => {
  const root = rootOfLeaves(leaves.slice(0, 3));
  const claim = { sizeBefore: 0, rootBefore: EMPTY_ROOT, size: 3, root, hashes: [] };

  test('from nothing the proof is empty', () => {
    verifyConsistency(claim);
    expect(proveConsistency(0, 3, read)).toEqual([]);
    expect(codeOf(() => verifyConsistency({ ...claim, hashes: [root] }))).toBe('ledger.inconsistent');
    expect(codeOf(() => verifyConsistency({ ...claim, rootBefore: root }))).toBe('ledger.inconsistent');
  });

  test('a shorter ledger and two roots for one size are inconsistent', () => {
    expect(codeOf(() => verifyConsistency({ ...claim, sizeBefore: 4, rootBefore: root }))).toBe(
      'ledger.inconsistent',
    );
    expect(codeOf(() => verifyConsistency({ ...claim, sizeBefore: 3 }))).toBe('ledger.inconsistent');
  });

  test('malformed claims and questions are invalid', () => {
    expect(codeOf(() => verifyConsistency({ ...claim, root: Buffer.alloc(5) }))).toBe('ledger.invalid');
    expect(codeOf(() => verifyConsistency({ ...claim, size: 1.5 }))).toBe('ledger.invalid');
    expect(codeOf(() => proveInclusion(3, 3, read))).toBe('ledger.invalid');
    expect(codeOf(() => proveConsistency(4, 3, read))).toBe('ledger.invalid');
  });
});

test('a root of another shape does not make a path of another length valid', () => {
  const [leaf, other] = [leafAt(0), leafAt(1)];
  const above = nodeHash(other, leaf);
  const tooLong = { leafHash: leaf, index: 0, size: 1, root: above, hashes: [other] };
  expect(codeOf(() => verifyInclusion(tooLong))).toBe('ledger.invalid');
  const tooShort = { leafHash: leaf, index: 0, size: 2, root: leaf, hashes: [] };
  expect(codeOf(() => verifyInclusion(tooShort))).toBe('ledger.invalid');
  const unmoved = { sizeBefore: 1, rootBefore: leaf, size: 2, root: leaf, hashes: [] };
  expect(codeOf(() => verifyConsistency(unmoved))).toBe('ledger.inconsistent');
});

test('the tiles named in advance are exactly those read', () => {
  const readPaths = new Set<string>();
  const counting = (tile: Parameters<typeof read>[0]): Uint8Array => {
    readPaths.add(tilePath(tile));
    return read(tile);
  };
  proveInclusion(300, 700, counting);
  expect(tilesForInclusion(300, 700).map(tilePath).sort()).toEqual([...readPaths].sort());
  readPaths.clear();
  proveConsistency(257, 700, counting);
  expect(tilesForConsistency(257, 700).map(tilePath).sort()).toEqual([...readPaths].sort());
});

describe('tlog-proof', () => {
  const trust = {
    origin: 'station.example/ledger',
    logKeys: [LOG_SIGNER.key],
    witnessKeys: [WITNESS_SIGNER.key],
  };
  const proof = {
    extra: null,
    index: 300,
    hashes: proveInclusion(300, 700, read),
    checkpoint: golden.cosignedCheckpoint,
  };
  const text = formatTlogProof(proof);

  test('reads as the specification shows it and verifies offline', () => {
    const lines = text.split('\n');
    expect(lines.slice(0, 2)).toEqual(['c2sp.org/tlog-proof@v1', 'index 300']);
    expect(text.endsWith(`\n\n${golden.cosignedCheckpoint}`)).toBe(true);
    expect(parseTlogProof(Buffer.from(text))).toEqual(proof);
    const opened = verifyTlogProof(parseTlogProof(text), leafAt(300), trust);
    expect(opened.checkpoint.size).toBe(700);
    expect(opened.cosignatures.map(({ key }) => key.name)).toEqual(['witness.example']);
  });

  test('carries extra data, an empty path and an empty extra', () => {
    const extra = { ...proof, extra: Buffer.from('opaque') };
    expect(formatTlogProof(extra).split('\n')[1]).toBe(`extra ${Buffer.from('opaque').toString('base64')}`);
    expect(parseTlogProof(formatTlogProof(extra))).toEqual(extra);
    const root = leafAt(0);
    const one = signCheckpoint({ origin: trust.origin, size: 1, root, extensions: [] }, LOG_SIGNER);
    const alone = { extra: Buffer.alloc(0), index: 0, hashes: [], checkpoint: one };
    expect(parseTlogProof(formatTlogProof(alone))).toEqual(alone);
    expect(verifyTlogProof(alone, root, trust).checkpoint.size).toBe(1);
  });

  test('refuses another entry, another index, another ledger and unknown keys', () => {
    expect(codeOf(() => verifyTlogProof(proof, leafAt(301), trust))).toBe('ledger.invalid');
    expect(codeOf(() => verifyTlogProof({ ...proof, index: 301 }, leafAt(300), trust))).toBe(
      'ledger.invalid',
    );
    expect(codeOf(() => verifyTlogProof(proof, leafAt(300), { ...trust, origin: 'other' }))).toBe(
      'ledger.invalid',
    );
    expect(codeOf(() => verifyTlogProof(proof, leafAt(300), { ...trust, logKeys: [] }))).toBe(
      'signer.unknown',
    );
  });

  test.each([
    ['header', text.replace('@v1', '@v2')],
    ['leading zero', text.replace('index 300', 'index 0300')],
    ['negative index', text.replace('index 300', 'index -1')],
    ['huge index', text.replace('index 300', 'index 9007199254740992')],
    ['no index', text.replace('index 300\n', '')],
    ['extra behind the index', text.replace('index 300\n', 'index 300\nextra AA==\n')],
    ['short hash', text.replace('index 300\n', 'index 300\nAA==\n')],
    ['line ends of another system', text.replaceAll('\n', '\r\n')],
    ['no checkpoint', text.slice(0, text.indexOf('\n\n') + 2)],
    ['too many hashes', text.replace('index 300\n', `index 300\n${`${golden.roots['0']}\n`.repeat(65)}`)],
  ])('refuses: %s', (_, malformed) => {
    expect(codeOf(() => parseTlogProof(malformed))).toBe('ledger.invalid');
  });
});
