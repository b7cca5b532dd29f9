import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PhtError } from '../error.ts';
import { formatCheckpoint, openCheckpoint, parseCheckpoint } from './checkpoint.ts';
import { decodeEntry, encodeEntry } from './entry.ts';
import { golden, LOG_SIGNER, WITNESS_SIGNER } from './golden.fixture.ts';
import { leafHash } from './merkle.ts';
import { formatNote, formatSignatureLine, parseNote, parseSignatureLines } from './note.ts';
import { formatTlogProof, parseTlogProof, verifyInclusion } from './proof.ts';
import { decodeBundle, decodeTile, encodeBundle, encodeTile, parseTilePath, tilePath } from './tile.ts';
import { formatVkey, parseVkey } from './vkey.ts';

const hash = leafHash(Buffer.from('a'));
const proof = formatTlogProof({
  extra: Buffer.from('x'),
  index: 3,
  hashes: [hash, hash],
  checkpoint: golden.cosignedCheckpoint,
});
const entry = encodeEntry({
  v: 1,
  ts: 1,
  type: 'log.started',
  trainId: null,
  hopId: null,
  attempt: null,
  epoch: null,
  manifestDigest: null,
  actor: 'a',
  prev: null,
  body: { note: 'é', list: ['a'] },
});

/** Reads, and gives what writing the value again produces; a parser that accepts has understood every byte. */
const parsers: { name: string; valid: Uint8Array; again: (bytes: Uint8Array) => Uint8Array | string }[] = [
  {
    name: 'note',
    valid: Buffer.from(golden.cosignedCheckpoint),
    again: (bytes) => formatNote(parseNote(bytes)),
  },
  {
    name: 'signature lines',
    valid: Buffer.from(golden.cosignedCheckpoint.slice(golden.cosignedCheckpoint.indexOf('\n\n') + 2)),
    again: (bytes) => parseSignatureLines(bytes).map(formatSignatureLine).join(''),
  },
  {
    name: 'verifier key',
    valid: Buffer.from(golden.witnessVkey),
    again: (bytes) => formatVkey(parseVkey(bytes)),
  },
  {
    name: 'checkpoint',
    valid: Buffer.from(parseNote(golden.checkpoint).text),
    again: (bytes) => formatCheckpoint(parseCheckpoint(bytes)),
  },
  {
    name: 'ledger proof',
    valid: Buffer.from(proof),
    again: (bytes) => formatTlogProof(parseTlogProof(bytes)),
  },
  {
    name: 'tile path',
    valid: Buffer.from('tile/0/x001/x234/067.p/17'),
    again: (bytes) => tilePath(parseTilePath(bytes)),
  },
  {
    name: 'bundle',
    valid: encodeBundle([Buffer.from('a'), Buffer.from('bc')]),
    again: (bytes) => encodeBundle(decodeBundle(bytes, 2)),
  },
  { name: 'tile', valid: encodeTile([hash, hash]), again: (bytes) => encodeTile(decodeTile(bytes, 2)) },
  { name: 'entry', valid: entry, again: (bytes) => encodeEntry(decodeEntry(bytes)) },
];

/** A valid input with one piece replaced: truncations, insertions, deletions and changed bytes. */
function mutated(valid: Uint8Array): fc.Arbitrary<Uint8Array> {
  const place = fc.integer({ min: 0, max: valid.length });
  return fc
    .tuple(place, fc.integer({ min: 0, max: 8 }), fc.uint8Array({ maxLength: 8 }))
    .map(([start, drop, put]) =>
      Buffer.concat([valid.subarray(0, start), put, valid.subarray(start + drop)]),
    );
}

describe.each(parsers)('$name', ({ valid, again }) => {
  const readOrRefuse = (bytes: Uint8Array): void => {
    let rewritten: Uint8Array | string;
    try {
      rewritten = again(bytes);
    } catch (thrown) {
      if (thrown instanceof PhtError && thrown.code === 'ledger.invalid') return;
      throw thrown;
    }
    expect(Buffer.from(rewritten)).toEqual(Buffer.from(bytes));
  };

  test('the valid example is read and written back', () => {
    expect(Buffer.from(again(valid))).toEqual(Buffer.from(valid));
  });

  test('any bytes, any text and any mutation: understood to the last byte, or ledger.invalid', () => {
    const text = fc.string({ unit: 'binary' }).map((value) => Buffer.from(value));
    const input = fc.oneof(fc.uint8Array({ maxLength: 300 }), text, mutated(valid), mutated(valid));
    fc.assert(fc.property(input, readOrRefuse), { numRuns: 1000 });
  });

  test('every truncation is refused or understood', () => {
    for (let end = 0; end < valid.length; end++) readOrRefuse(valid.subarray(0, end));
  });
});

test('no changed checkpoint opens as another one', () => {
  const trust = {
    origin: 'station.example/ledger',
    logKeys: [LOG_SIGNER.key],
    witnessKeys: [WITNESS_SIGNER.key],
  };
  const { text } = openCheckpoint(golden.cosignedCheckpoint, trust);
  fc.assert(
    fc.property(mutated(Buffer.from(golden.cosignedCheckpoint)), (bytes) => {
      try {
        expect(openCheckpoint(bytes, trust).text).toBe(text);
      } catch (thrown) {
        if (!(thrown instanceof PhtError)) throw thrown;
        expect(['ledger.invalid', 'signature.invalid', 'signer.unknown']).toContain(thrown.code);
      }
    }),
    { numRuns: 500 },
  );
});

test('no made-up path leads to the root', () => {
  const hashes = fc.array(fc.uint8Array({ minLength: 31, maxLength: 32 }), { maxLength: 70 });
  const number = fc.oneof(fc.nat(), fc.maxSafeInteger(), fc.double());
  fc.assert(
    fc.property(hashes, number, number, (path, index, size) => {
      const claim = { leafHash: leafHash(Buffer.from('b')), index, size, root: hash, hashes: path };
      expect(() => verifyInclusion(claim)).toThrowError(expect.objectContaining({ code: 'ledger.invalid' }));
    }),
  );
});
