import { createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cosignCheckpoint, formatCheckpoint } from './checkpoint.ts';
import type { NoteSigner } from './note.ts';
import { ledgerOrigin } from './origin.ts';
import { type SeenAnswer, type SeenQuestion, seenMessage, signSeen, verifySeen } from './seen.ts';
import { noteKey, TYPE_COSIGNATURE, TYPE_LOG } from './vkey.ts';

const NETWORK = 'a'.repeat(64);
const ORIGIN = ledgerOrigin(NETWORK, 'north');
const NONCE = Buffer.alloc(32, 7);
const QUESTION: SeenQuestion = { origin: ORIGIN, nonce: NONCE };
const NOTE = Buffer.from('a note\n');
const NONE = new Uint8Array();

/** A fixed key for each seed (RFC 8410: PKCS #8 with a 32 byte seed). */
function signerOf(name: string, seed: number, type = TYPE_COSIGNATURE): NoteSigner {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32, seed)]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
  const key = noteKey(name, type, Buffer.from(x, 'base64url'));
  return { key, sign: (message) => sign(null, message, privateKey) };
}

const SOUTH = signerOf(`${ledgerOrigin(NETWORK, 'south')}/witness`, 1);
const WEST = signerOf(`${ledgerOrigin(NETWORK, 'west')}/witness`, 2);

const invalid = (code: string) => expect.objectContaining({ code });
const isValid = (question: SeenQuestion, answer: SeenAnswer, { key }: NoteSigner = SOUTH): boolean => {
  try {
    verifySeen(question, answer, key);
    return true;
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: 'signature.invalid' });
    return false;
  }
};

describe('what a witness signs', () => {
  test('is this text, byte for byte', () => {
    expect(Buffer.from(seenMessage(QUESTION, NOTE, SOUTH.key.name)).toString()).toBe(
      [
        'signalbox.example/witness-seen/v1',
        `signalbox.example/${NETWORK}/south/witness`,
        `signalbox.example/${NETWORK}/north`,
        'BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=',
        'a note\n',
      ].join('\n'),
    );
    const { signature } = signSeen(QUESTION, NOTE, SOUTH);
    expect(createHash('sha256').update(signature).digest('hex')).toBe(
      '5affeca72a4e4520bdb8785015ad637995b6817d7a768a4047ab064ce38e12b4',
    );
  });

  test('differs wherever any part of it does', () => {
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    const part = fc.tuple(
      fc.constantFrom('north', 'nort', 'h'),
      bytes(32),
      fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(NONE, Buffer.from('\n'), NOTE)),
      fc.constantFrom(SOUTH.key.name, WEST.key.name),
    );
    const message = ([member, nonce, note, witness]: [string, Uint8Array, Uint8Array, string]): string =>
      Buffer.from(seenMessage({ origin: ledgerOrigin(NETWORK, member), nonce }, note, witness)).toString(
        'hex',
      );
    const text = (value: [string, Uint8Array, Uint8Array, string]): string =>
      JSON.stringify([value[0], [...value[1]], [...value[2]], value[3]]);
    fc.assert(
      fc.property(part, part, (left, right) => {
        expect(message(left) === message(right)).toBe(text(left) === text(right));
      }),
    );
  });

  test.each([0, 31, 33, 64])('is nothing for a nonce of %i bytes', (bytes) => {
    const question = { ...QUESTION, nonce: Buffer.alloc(bytes) };
    expect(() => signSeen(question, NONE, SOUTH)).toThrow(invalid('ledger.invalid'));
    expect(() => verifySeen(question, signSeen(QUESTION, NONE, SOUTH), SOUTH.key)).toThrow(
      invalid('ledger.invalid'),
    );
  });

  test.each(['', 'two\nlines', 'a b', 'a+b', '\ud800'])('is nothing for the origin %j', (origin) => {
    expect(() => signSeen({ ...QUESTION, origin }, NONE, SOUTH)).toThrow(invalid('ledger.invalid'));
    expect(() => seenMessage(QUESTION, NONE, origin)).toThrow(invalid('ledger.invalid'));
  });

  test('is signed with a witness key, and with the one that it says', () => {
    const log = signerOf(SOUTH.key.name, 1, TYPE_LOG);
    expect(() => signSeen(QUESTION, NOTE, log)).toThrow(invalid('ledger.invalid'));
    const confused = { key: SOUTH.key, sign: WEST.sign };
    expect(() => signSeen(QUESTION, NOTE, confused)).toThrow(invalid('signature.invalid'));
  });
});

describe('an answer', () => {
  test.each([
    ['with a note', NOTE],
    ['that it has seen none', NONE],
  ])('%s verifies for this question and this witness only', (_, note) => {
    const answer = signSeen(QUESTION, note, SOUTH);
    expect(isValid(QUESTION, answer)).toBe(true);
    expect(isValid({ ...QUESTION, nonce: Buffer.alloc(32, 8) }, answer)).toBe(false);
    expect(isValid({ ...QUESTION, origin: ledgerOrigin(NETWORK, 'east') }, answer)).toBe(false);
    expect(isValid({ ...QUESTION, origin: ledgerOrigin('b'.repeat(64), 'north') }, answer)).toBe(false);
    expect(isValid(QUESTION, answer, WEST)).toBe(false);
    expect(isValid(QUESTION, answer, signerOf(SOUTH.key.name, 2)), 'another key of that name').toBe(false);
    expect(isValid(QUESTION, answer, signerOf(WEST.key.name, 1)), 'that key, another name').toBe(false);
    expect(isValid(QUESTION, { ...answer, note: Buffer.concat([note, Buffer.from('x')]) })).toBe(false);
  });

  test('with any other note or signature is none', () => {
    const answer = signSeen(QUESTION, NOTE, SOUTH);
    const same = (left: Uint8Array, right: Uint8Array): boolean => Buffer.compare(left, right) === 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        fc.pre(!same(bytes, NOTE));
        expect(isValid(QUESTION, { ...answer, note: bytes })).toBe(false);
        expect(isValid(QUESTION, { ...answer, signature: bytes })).toBe(false);
      }),
    );
    fc.assert(
      fc.property(fc.nat(63), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const signature = Buffer.from(answer.signature);
        signature[at] = (signature[at] ?? 0) ^ flip;
        expect(isValid(QUESTION, { ...answer, signature })).toBe(false);
      }),
    );
    for (const length of [0, 63, 65]) {
      const signature = Buffer.concat([answer.signature, Buffer.alloc(1)]).subarray(0, length);
      expect(isValid(QUESTION, { note: NOTE, signature })).toBe(false);
    }
  });

  test('is no cosignature, and a cosignature no answer', () => {
    const text = formatCheckpoint({ origin: ORIGIN, size: 1, root: Buffer.alloc(32), extensions: [] });
    const { signature } = cosignCheckpoint(text, SOUTH, 7);
    expect(isValid(QUESTION, { note: Buffer.from(text), signature: signature.subarray(8) })).toBe(false);
  });
});
