import { describe, expect, test } from 'vitest';
import { codeOf, golden, LOG_SIGNER, renamed, WITNESS_SIGNER } from './golden.fixture.ts';
import {
  addSignatures,
  cosignText,
  formatNote,
  formatSignatureLine,
  openNote,
  parseNote,
  parseSignatureLines,
  signNote,
  signText,
} from './note.ts';
import { formatVkey, noteKey, parseVkey, TYPE_COSIGNATURE, TYPE_LOG } from './vkey.ts';

const SPEC_KEY = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
const SPEC_TEXT = 'This is an example message.\n';
const SPEC_NOTE = `${SPEC_TEXT}\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n`;
const GO_TEXT =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER_KEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const PETER =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
const ENOCH_KEY = 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop';
const ENOCH =
  '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n';

function namesOf(note: string, vkeys: readonly string[]): string[] {
  return openNote(note, vkeys.map(parseVkey)).verified.map(({ key }) => key.name);
}

describe('verifier keys', () => {
  test.each([
    SPEC_KEY,
    PETER_KEY,
    ENOCH_KEY,
    'TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6',
    'remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2',
    golden.vkey,
    golden.witnessVkey,
  ])('%s is read and written back', (vkey) => {
    expect(formatVkey(parseVkey(vkey))).toBe(vkey);
  });

  test('one public key has another id for each type', () => {
    const { name, publicKey } = parseVkey(golden.witnessVkey);
    expect(formatVkey(noteKey(name, TYPE_LOG, publicKey))).toBe(golden.witnessPublicKeyAsPlainVkey);
    expect(formatVkey(noteKey(name, TYPE_COSIGNATURE, publicKey))).toBe(golden.witnessVkey);
  });

  test.each([
    ['wrong id', SPEC_KEY.replace('530d903a', '530d903b')],
    ['upper-case id', SPEC_KEY.replace('530d903a', '530D903A')],
    ['space in name', SPEC_KEY.replace('example', 'exam ple')],
    ['no name', SPEC_KEY.replace('example.com/foo', '')],
    ['no key', 'example.com/foo+530d903a+'],
    ['cut key', SPEC_KEY.slice(0, -4)],
    ['unknown type', `example.com/foo+530d903a+${Buffer.alloc(33, 2).toString('base64')}`],
    ['line break', `${SPEC_KEY}\n`],
  ])('refuses: %s', (_, vkey) => {
    expect(codeOf(() => parseVkey(vkey))).toBe('ledger.invalid');
  });
});

describe('opening a note', () => {
  test('the example of the specification, in text and in bytes', () => {
    expect(openNote(SPEC_NOTE, [parseVkey(SPEC_KEY)]).text).toBe(SPEC_TEXT);
    expect(openNote(Buffer.from(SPEC_NOTE), [parseVkey(SPEC_KEY)]).text).toBe(SPEC_TEXT);
    expect(formatNote(parseNote(SPEC_NOTE))).toBe(SPEC_NOTE);
  });

  test('the example of the Go library, with either signer trusted or both', () => {
    const note = `${GO_TEXT}\n${PETER}${ENOCH}`;
    expect(namesOf(note, [PETER_KEY])).toEqual(['PeterNeumann']);
    expect(namesOf(note, [ENOCH_KEY, PETER_KEY])).toEqual(['PeterNeumann', 'EnochRoot']);
    expect(codeOf(() => openNote(note, [parseVkey(SPEC_KEY)]))).toBe('signer.unknown');
  });

  test('a bad signature of one trusted key rejects what another has signed', () => {
    const note = `${GO_TEXT}\n${PETER}${ENOCH.replace('x33WWd1', 'x33WWd2')}`;
    expect(namesOf(note, [PETER_KEY])).toEqual(['PeterNeumann']);
    expect(codeOf(() => openNote(note, [PETER_KEY, ENOCH_KEY].map(parseVkey)))).toBe('signature.invalid');
    expect(codeOf(() => openNote(SPEC_NOTE.replace('is an', 'is no'), [parseVkey(SPEC_KEY)]))).toBe(
      'signature.invalid',
    );
  });

  test('a repeated line counts once', () => {
    expect(namesOf(`${GO_TEXT}\n${PETER}${PETER}`, [PETER_KEY])).toEqual(['PeterNeumann']);
  });

  test('of two cosignatures by one witness the first counts', () => {
    const signatures = [5, 9].map((timeS) => cosignText(SPEC_TEXT, WITNESS_SIGNER, timeS));
    const opened = openNote(formatNote({ text: SPEC_TEXT, signatures }), [WITNESS_SIGNER.key]);
    expect(opened.verified.map(({ timeS }) => timeS)).toEqual([5]);
  });

  test('the same key under another name is unknown', () => {
    const note = signNote(SPEC_TEXT, renamed(LOG_SIGNER, 'elsewhere.example'));
    expect(codeOf(() => openNote(note, [LOG_SIGNER.key]))).toBe('signer.unknown');
  });

  test('two trusted keys of one name and id are a mistake of the trusting side', () => {
    const twin = { ...LOG_SIGNER.key, publicKey: WITNESS_SIGNER.key.publicKey };
    expect(codeOf(() => openNote(signNote(SPEC_TEXT, LOG_SIGNER), [LOG_SIGNER.key, twin]))).toBe(
      'ledger.invalid',
    );
  });

  test('the last empty line separates', () => {
    const text = 'one\n\n— not a signature\n\ntwo\n';
    expect(openNote(signNote(text, LOG_SIGNER), [LOG_SIGNER.key]).text).toBe(text);
  });

  test('16 signatures are read, a 17th is not', () => {
    expect(parseNote(`${GO_TEXT}\n${PETER.repeat(16)}`).signatures).toHaveLength(16);
    expect(codeOf(() => parseNote(`${GO_TEXT}\n${PETER.repeat(17)}`))).toBe('ledger.invalid');
  });

  test('1 MiB is read, a byte more is not', () => {
    const fill = 1_048_576 - Buffer.byteLength(`\n\n${PETER}`);
    expect(parseNote(`${'a'.repeat(fill)}\n\n${PETER}`).text).toHaveLength(fill + 1);
    expect(codeOf(() => parseNote(`${'a'.repeat(fill + 1)}\n\n${PETER}`))).toBe('ledger.invalid');
  });

  test.each([
    ['nothing', ''],
    ['no signature', SPEC_TEXT],
    ['empty signature block', `${SPEC_TEXT}\n`],
    ['no final newline', SPEC_NOTE.slice(0, -1)],
    ['carriage return', SPEC_NOTE.replace('message.', 'message.\r')],
    ['hyphen for a dash', SPEC_NOTE.replace('—', '-')],
    ['two spaces', SPEC_NOTE.replace('foo Uw', 'foo  Uw')],
    ['trailing space', SPEC_NOTE.replace('aQM=', 'aQM= ')],
    ['plus in the name', SPEC_NOTE.replace('com/foo', 'com+foo')],
    ['non-breaking space in the name', SPEC_NOTE.replace('com/foo', 'com\u00a0foo')],
    ['loose base64', SPEC_NOTE.replace('aQM=', 'aQN=')],
    ['base64 for addresses', SPEC_NOTE.replace('Uw2', 'Uw_')],
    ['key id alone', `${SPEC_TEXT}\n— a ${Buffer.alloc(4).toString('base64')}\n`],
    ['lone surrogate', SPEC_NOTE.replace('message', 'mess\ud800ge')],
  ])('refuses: %s', (_, note) => {
    expect(codeOf(() => parseNote(note))).toBe('ledger.invalid');
  });

  test('refuses bytes that are not UTF-8', () => {
    expect(codeOf(() => parseNote(Buffer.concat([Buffer.of(0xff), Buffer.from(SPEC_NOTE)])))).toBe(
      'ledger.invalid',
    );
  });
});

describe('signing a note', () => {
  test('lines added later keep their order and do not repeat', () => {
    const note = parseNote(signNote(SPEC_TEXT, LOG_SIGNER));
    const witness = cosignText(SPEC_TEXT, WITNESS_SIGNER, 1);
    const both = addSignatures(addSignatures(note, [witness]), [witness]);
    expect(both.signatures.map(({ name }) => name)).toEqual(['station.example/ledger', 'witness.example']);
    expect(parseSignatureLines(formatSignatureLine(witness))).toEqual([witness]);
    const many = Array.from({ length: 16 }, (_, timeS) => cosignText(SPEC_TEXT, WITNESS_SIGNER, timeS));
    expect(codeOf(() => addSignatures(note, many))).toBe('ledger.invalid');
  });

  test('refuses a private key that does not belong to the public one', () => {
    const mixed = { key: LOG_SIGNER.key, sign: WITNESS_SIGNER.sign };
    expect(codeOf(() => signNote(SPEC_TEXT, mixed))).toBe('signature.invalid');
  });

  test('refuses the wrong kind of key, a bad time and a text without its newline', () => {
    expect(codeOf(() => signText(SPEC_TEXT, WITNESS_SIGNER))).toBe('ledger.invalid');
    expect(codeOf(() => cosignText(SPEC_TEXT, LOG_SIGNER, 1))).toBe('ledger.invalid');
    expect(codeOf(() => cosignText(SPEC_TEXT, WITNESS_SIGNER, -1))).toBe('ledger.invalid');
    expect(codeOf(() => signNote('no newline', LOG_SIGNER))).toBe('ledger.invalid');
  });
});
