import { describe, expect, test } from 'vitest';
import {
  type Checkpoint,
  cosignCheckpoint,
  formatCheckpoint,
  openCheckpoint,
  parseCheckpoint,
  signCheckpoint,
} from './checkpoint.ts';
import { base64, codeOf, golden, LOG_SIGNER, renamed, WITNESS_SIGNER } from './golden.fixture.ts';
import { EMPTY_ROOT } from './merkle.ts';
import { addSignatures, formatNote, parseNote, signNote } from './note.ts';
import { noteKey, signatureTimeS, TYPE_LOG } from './vkey.ts';

const head: Checkpoint = {
  origin: 'station.example/ledger',
  size: 700,
  root: base64(golden.roots['700']),
  extensions: [],
};
const text = formatCheckpoint(head);
const trust = { origin: head.origin, logKeys: [LOG_SIGNER.key], witnessKeys: [WITNESS_SIGNER.key] };

function goldenTimeS(): number {
  const witness = parseNote(golden.cosignedCheckpoint).signatures[1];
  return signatureTimeS(witness?.signature ?? Buffer.alloc(0)) ?? Number.NaN;
}

describe('golden checkpoints', () => {
  test('signing gives the same bytes as the Go library', () => {
    expect(signCheckpoint(head, LOG_SIGNER)).toBe(golden.checkpoint);
  });

  test('cosigning gives the same bytes as the Go library', () => {
    const line = cosignCheckpoint(text, WITNESS_SIGNER, goldenTimeS());
    expect(formatNote(addSignatures(parseNote(golden.checkpoint), [line]))).toBe(golden.cosignedCheckpoint);
  });

  test('both open', () => {
    expect(openCheckpoint(golden.checkpoint, trust)).toEqual({
      checkpoint: head,
      text,
      signedBy: trust.logKeys,
      cosignatures: [],
    });
    const { cosignatures } = openCheckpoint(Buffer.from(golden.cosignedCheckpoint), trust);
    expect(cosignatures).toEqual([{ key: WITNESS_SIGNER.key, timeS: goldenTimeS() }]);
    expect(goldenTimeS()).toBe(1_795_225_997);
  });
});

describe('opening a checkpoint', () => {
  test('a witness alone does not make it trusted', () => {
    const note = parseNote(golden.cosignedCheckpoint);
    const alone = formatNote({ text: note.text, signatures: note.signatures.slice(1) });
    expect(codeOf(() => openCheckpoint(alone, trust))).toBe('signer.unknown');
  });

  test('the time of a cosignature is signed too', () => {
    const note = parseNote(golden.cosignedCheckpoint);
    const later = note.signatures.map((line, at) => {
      const signature = Buffer.from(line.signature);
      if (at === 1) signature.writeUInt8(signature.readUInt8(7) ^ 1, 7);
      return { ...line, signature };
    });
    const forged = formatNote({ text: note.text, signatures: later });
    expect(codeOf(() => openCheckpoint(forged, trust))).toBe('signature.invalid');
    expect(openCheckpoint(forged, { ...trust, witnessKeys: [] }).checkpoint.size).toBe(700);
  });

  test('a time beyond 2^53 is refused', () => {
    const note = parseNote(golden.cosignedCheckpoint);
    const far = note.signatures.map((line, at) => {
      const signature = Buffer.from(line.signature);
      if (at === 1) signature.fill(0xff, 0, 8);
      return { ...line, signature };
    });
    expect(codeOf(() => openCheckpoint(formatNote({ text, signatures: far }), trust))).toBe(
      'signature.invalid',
    );
  });

  test('refuses another origin, a signed text that is no checkpoint, and confused keys', () => {
    expect(codeOf(() => openCheckpoint(golden.checkpoint, { ...trust, origin: 'a' }))).toBe('ledger.invalid');
    expect(codeOf(() => openCheckpoint(signNote('hello\n', LOG_SIGNER), trust))).toBe('ledger.invalid');
    const plain = noteKey(WITNESS_SIGNER.key.name, TYPE_LOG, WITNESS_SIGNER.key.publicKey);
    expect(codeOf(() => openCheckpoint(golden.checkpoint, { ...trust, witnessKeys: [plain] }))).toBe(
      'ledger.invalid',
    );
    expect(codeOf(() => openCheckpoint(golden.checkpoint, { ...trust, logKeys: trust.witnessKeys }))).toBe(
      'ledger.invalid',
    );
  });

  test('a log signs under its origin only, a witness signs checkpoints only', () => {
    expect(codeOf(() => signCheckpoint(head, renamed(LOG_SIGNER, 'other')))).toBe('ledger.invalid');
    expect(codeOf(() => cosignCheckpoint('hello\n', WITNESS_SIGNER, 1))).toBe('ledger.invalid');
  });
});

describe('checkpoint text', () => {
  test('reads what it writes, extensions and the empty ledger too', () => {
    const extended = { ...head, extensions: ['one more', 'and another'] };
    expect(parseCheckpoint(formatCheckpoint(extended))).toEqual(extended);
    const empty = { origin: 'a', size: 0, root: EMPTY_ROOT, extensions: [] };
    expect(parseCheckpoint(formatCheckpoint(empty))).toEqual(empty);
  });

  test.each([
    ['nothing', ''],
    ['two lines', 'a\n0\n'],
    ['no final newline', text.slice(0, -1)],
    ['empty line behind', `${text}\n`],
    ['empty origin', text.replace(head.origin, '')],
    ['carriage returns', text.replaceAll('\n', '\r\n')],
    ['leading zero', text.replace('700', '0700')],
    ['sign', text.replace('700', '+700')],
    ['exponent', text.replace('700', '7e2')],
    ['2^53', text.replace('700', '9007199254740992')],
    ['short root', text.replace(golden.roots['700'], 'AAAA')],
    ['loose root', text.replace('y8Q=', 'y8R=')],
    ['size 0 with entries', text.replace('700', '0')],
  ])('refuses: %s', (_, malformed) => {
    expect(codeOf(() => parseCheckpoint(malformed))).toBe('ledger.invalid');
  });

  test.each([
    { ...head, origin: 'two\nlines' },
    { ...head, size: -1 },
    { ...head, size: 1.5 },
    { ...head, root: Buffer.alloc(31) },
    { ...head, extensions: [''] },
  ])('refuses to write %o', (malformed) => {
    expect(codeOf(() => formatCheckpoint(malformed))).toBe('ledger.invalid');
  });
});
