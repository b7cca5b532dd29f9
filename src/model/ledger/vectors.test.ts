import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { cosignCheckpoint, openCheckpoint, signCheckpoint } from './checkpoint.ts';
import { base64, golden, goldenEntries, LOG_SIGNER, treeOf, WITNESS_SIGNER } from './golden.fixture.ts';
import { leafHash, rootOfLeaves } from './merkle.ts';
import { addSignatures, formatNote, parseNote } from './note.ts';
import { verifyConsistency, verifyInclusion } from './proof.ts';
import { proveConsistency, proveInclusion } from './prove.ts';
import { parseTilePath, tilePath, tilesOfTree } from './tile.ts';
import { formatVkey, noteKey, parseVkey, TYPE_LOG } from './vkey.ts';

/** The whole of test/vectors/tlog.json, in the order of its members. The other tests of this folder add what is hostile. */

const SIZE = 700;
const entries = goldenEntries(SIZE);
const leaves = entries.map(leafHash);
const roots = new Map(Object.entries(golden.roots).map(([size, root]) => [Number(size), base64(root)]));
const { files, read } = treeOf(entries);

/** The golden file names some sizes only; those of its proofs come from the leaves. */
function rootAt(size: number): Uint8Array {
  return roots.get(size) ?? rootOfLeaves(leaves.slice(0, size));
}

/** What it does to a member that it knows; a member that is not here makes the first test fail. */
const CHECKS: Record<keyof typeof golden, () => void> = {
  bundles: () => checkFiles(golden.bundles, 'entries'),
  tiles: () => checkFiles(golden.tiles, 'hashes'),
  checkpoint: () => {
    const head = { origin: LOG_SIGNER.key.name, size: SIZE, root: rootAt(SIZE), extensions: [] };
    expect(signCheckpoint(head, LOG_SIGNER)).toBe(golden.checkpoint);
  },
  cosignedCheckpoint: () => {
    const trust = {
      origin: LOG_SIGNER.key.name,
      logKeys: [LOG_SIGNER.key],
      witnessKeys: [WITNESS_SIGNER.key],
    };
    const { text, cosignatures } = openCheckpoint(golden.cosignedCheckpoint, trust);
    const timeS = cosignatures[0]?.timeS ?? 0;
    expect(cosignatures).toEqual([{ key: WITNESS_SIGNER.key, timeS }]);
    const cosigned = addSignatures(parseNote(golden.checkpoint), [
      cosignCheckpoint(text, WITNESS_SIGNER, timeS),
    ]);
    expect(formatNote(cosigned)).toBe(golden.cosignedCheckpoint);
  },
  consistency: () => {
    expect(golden.consistency.length).toBeGreaterThan(0);
    for (const { Old, New, Proof } of golden.consistency) {
      const hashes = Proof.map(base64);
      const claim = { sizeBefore: Old, rootBefore: rootAt(Old), size: New, root: rootAt(New), hashes };
      expect(() => verifyConsistency(claim)).not.toThrow();
      const tree = treeOf(entries.slice(0, New));
      expect(proveConsistency(Old, New, tree.read).map(textOf)).toEqual(Proof);
    }
  },
  inclusion: () => {
    expect(golden.inclusion.length).toBeGreaterThan(0);
    for (const { Index, Size, Proof } of golden.inclusion) {
      const leaf = leaves[Index] ?? new Uint8Array();
      const claim = {
        leafHash: leaf,
        index: Index,
        size: Size,
        root: rootAt(Size),
        hashes: Proof.map(base64),
      };
      expect(() => verifyInclusion(claim)).not.toThrow();
      const tree = treeOf(entries.slice(0, Size));
      expect(proveInclusion(Index, Size, tree.read).map(textOf)).toEqual(Proof);
    }
    expect(proveInclusion(0, SIZE, read)).toHaveLength(10);
  },
  entry: () => expect(golden.entry).toContain('{"i":<index>,"kind":"vector"}'),
  leafHashes: () => {
    for (const line of golden.leafHashes) {
      const [index = '', hash = ''] = line.split(' ');
      expect(textOf(leaves[Number(index)] ?? new Uint8Array())).toBe(hash);
    }
  },
  paths: () => {
    for (const [title, path] of Object.entries(golden.paths)) {
      const [, level, index, width] = /^L(\d+) N(\d+) W(\d+)$/.exec(title) ?? [];
      const tile = { level: Number(level), index: Number(index), width: Number(width) };
      expect(tilePath(tile)).toBe(path);
      expect(parseTilePath(path)).toEqual(tile);
    }
  },
  roots: () => {
    for (const [size, root] of roots) expect(textOf(rootOfLeaves(leaves.slice(0, size)))).toBe(textOf(root));
  },
  skey: () => expect(golden.skey).toBe(`PRIVATE+KEY+${privateKeyOf(golden.vkey, TYPE_LOG, 7)}`),
  witnessSkey: () =>
    expect(golden.witnessSkey).toBe(
      `PRIVATE+KEY+${privateKeyOf(golden.witnessPublicKeyAsPlainVkey, TYPE_LOG, 9)}`,
    ),
  vkey: () => expect(formatVkey(parseVkey(golden.vkey))).toBe(golden.vkey),
  witnessVkey: () => expect(formatVkey(parseVkey(golden.witnessVkey))).toBe(golden.witnessVkey),
  witnessPublicKeyAsPlainVkey: () => {
    const { name, publicKey } = parseVkey(golden.witnessVkey);
    expect(formatVkey(noteKey(name, TYPE_LOG, publicKey))).toBe(golden.witnessPublicKeyAsPlainVkey);
  },
  source: () => expect(golden.source).toContain('golang.org/x/mod/sumdb'),
};

function checkFiles(
  expected: readonly { Path: string; Sha256: string; Bytes: number }[],
  kind: 'entries' | 'hashes',
): void {
  const made = [...tilesOfTree(SIZE)].filter(({ level }) => (level === 'entries') === (kind === 'entries'));
  expect(made.map(tilePath)).toEqual(expected.map(({ Path }) => Path));
  for (const { Path, Sha256, Bytes } of expected) {
    const bytes = files.get(Path) ?? new Uint8Array();
    expect(bytes).toHaveLength(Bytes);
    expect(createHash('sha256').update(bytes).digest('base64')).toBe(Sha256);
  }
}

/** Name, key id and seed as Go writes a private key: the key id is that of the public half. */
function privateKeyOf(vkey: string, type: number, seedByte: number): string {
  const seed = Buffer.concat([Buffer.of(type), Buffer.alloc(32, seedByte)]).toString('base64');
  return [...vkey.split('+').slice(0, 2), seed].join('+');
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

describe('the golden log of the Go libraries', () => {
  test('has no member that is not checked here', () => {
    expect(Object.keys(CHECKS).toSorted()).toEqual(Object.keys(golden).toSorted());
  });

  test.each(Object.entries(CHECKS))('%s', (_, check) => {
    check();
  });
});
