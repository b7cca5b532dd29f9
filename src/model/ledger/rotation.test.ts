import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ed25519, signerOf } from '../../../test/fakes/network.ts';
import { PhtError } from '../error.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { encodeEntry, type LedgerEntry } from './entry.ts';
import type { NoteSigner } from './note.ts';
import { ledgerOrigin, logKey, witnessKey } from './origin.ts';
import { keyIdText, readRotation, rotationBody, rotationMessage, wrongKeyOf } from './rotation.ts';
import { formatVkey } from './vkey.ts';

const NETWORK = 'a'.repeat(64);
const ORIGIN = ledgerOrigin(NETWORK, 'north');

function logSigner(origin = ORIGIN): NoteSigner {
  const { sign, publicJwk } = signerOf(ed25519());
  return { key: logKey(origin, publicJwk), sign };
}

const [first, second, third] = [logSigner(), logSigner(), logSigner()];
const KEYS = [first.key, second.key, third.key];

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof PhtError) return thrown.code;
    throw thrown;
  }
  return 'nothing';
}

describe('a rotation', () => {
  it('is read back with both keys, and fits into an entry', () => {
    const body = rotationBody(41, first, second);
    expect(readRotation(body, 41, KEYS)).toEqual({ index: 41, from: first.key, to: second.key });
    const nothing = {
      trainId: null,
      hopId: null,
      attempt: null,
      epoch: null,
      manifestDigest: null,
      prev: null,
    };
    const entry: LedgerEntry = { v: 1, ts: 1, type: 'log.rotated', ...nothing, actor: 'north', body };
    expect(encodeEntry(entry).length).toBeLessThan(1000);
  });

  it('signs exactly these bytes, which are no checkpoint', () => {
    const message = rotationMessage({ index: 7, from: first.key, to: second.key });
    expect(Buffer.from(message).toString()).toBe(
      `signalbox.example/log-rotation/v1\n${ORIGIN}\n7\n${formatVkey(first.key)}\n${formatVkey(second.key)}\n`,
    );
    expect(codeOf(() => parseCheckpoint(message))).toBe('ledger.invalid');
  });

  it('needs both signatures', () => {
    const body = rotationBody(3, first, second);
    for (const name of ['oldSignature', 'newSignature']) {
      const { [name]: _, ...without } = body;
      expect(
        codeOf(() => readRotation(without, 3, KEYS)),
        name,
      ).toBe('ledger.invalid');
      const other = name === 'oldSignature' ? body['newSignature'] : body['oldSignature'];
      expect(
        codeOf(() => readRotation({ ...body, [name]: other ?? '' }, 3, KEYS)),
        name,
      ).toBe('signature.invalid');
    }
  });

  it('holds at its own place only', () => {
    expect(codeOf(() => readRotation(rotationBody(3, first, second), 4, KEYS))).toBe('signature.invalid');
  });

  it('does not hold in another log, even of the same keys', () => {
    const at = (signer: NoteSigner, origin: string): NoteSigner => ({
      ...signer,
      key: { ...signer.key, name: origin },
    });
    const south = ledgerOrigin(NETWORK, 'south');
    const body = rotationBody(3, at(first, south), at(second, south));
    expect(codeOf(() => readRotation(body, 3, KEYS))).toBe('signature.invalid');
  });

  it('goes forward, to a key that the network names', () => {
    expect(codeOf(() => readRotation(rotationBody(3, first, second), 3, [second.key, first.key]))).toBe(
      'ledger.invalid',
    );
    expect(codeOf(() => readRotation(rotationBody(3, first, logSigner()), 3, KEYS))).toBe('signer.unknown');
    expect(readRotation(rotationBody(3, first, third), 3, KEYS).to).toBe(third.key);
  });

  it('is not made with anything but two log keys of one log', () => {
    expect(codeOf(() => rotationBody(3, first, first))).toBe('ledger.invalid');
    expect(codeOf(() => rotationBody(3, first, logSigner(ledgerOrigin(NETWORK, 'south'))))).toBe(
      'ledger.invalid',
    );
    const { sign, publicJwk } = signerOf(ed25519());
    const witness = { key: witnessKey(NETWORK, 'north', publicJwk), sign };
    expect(codeOf(() => rotationBody(3, first, witness))).toBe('ledger.invalid');
    expect(codeOf(() => rotationBody(3, { ...first, sign: second.sign }, second))).toBe('signature.invalid');
  });

  it('survives no change to what it says', () => {
    const body = rotationBody(3, first, second);
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(body)),
        fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.base64String({ maxLength: 100 })),
        (name, value) => {
          fc.pre(value !== body[name]);
          const code = codeOf(() => readRotation({ ...body, [name]: value }, 3, KEYS));
          expect(['ledger.invalid', 'signer.unknown', 'signature.invalid']).toContain(code);
        },
      ),
    );
    expect(codeOf(() => readRotation({ ...body, more: 1 }, 3, KEYS))).toBe('ledger.invalid');
  });
});

describe('the key that belongs to a size', () => {
  const rotations = [
    { index: 5, from: first.key, to: second.key },
    { index: 9, from: second.key, to: third.key },
  ];

  it.each([
    [5, first, true],
    [5, second, false],
    [6, second, true],
    [6, first, false],
    [9, second, true],
    [10, second, false],
    [10, third, true],
  ] as const)('at %i entries', (size, { key }, right) => {
    expect(wrongKeyOf(size, [key], rotations) === null).toBe(right);
  });

  it('is one alone', () => {
    expect(wrongKeyOf(6, [first.key, second.key], rotations)).toMatch(/two log keys/);
    expect(wrongKeyOf(6, [], rotations)).toMatch(/two log keys/);
    expect(wrongKeyOf(6, [first.key], [])).toBeNull();
    expect(wrongKeyOf(6, [first.key], rotations)).toContain(keyIdText(second.key));
  });
});
