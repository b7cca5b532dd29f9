import { generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { PAYLOAD_TYPE, preAuthEncoding } from './dsse.ts';
import { PhtError } from './error.ts';
import { digestOf } from './id.ts';
import { Ed25519PublicJwk } from './schema.ts';
import { readStatement, signStatement, verifyStatement } from './statement.ts';

const Predicate = z.strictObject({ issuer: z.string(), count: z.int() });
const predicate = { issuer: 'ana', count: 3 };
const subject = { name: 'image', digest: digestOf('image') };

function keyPair(): { publicJwk: Ed25519PublicJwk; sign: (message: Uint8Array) => Uint8Array } {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const { kty, crv, x } = publicKey.export({ format: 'jwk' });
  return {
    publicJwk: Ed25519PublicJwk.parse({ kty, crv, x }),
    sign: (message) => sign(null, message, privateKey),
  };
}

const ana = keyPair();
const eve = keyPair();

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    return thrown instanceof PhtError ? thrown.code : `not ours: ${String(thrown)}`;
  }
  return 'accepted';
}

/** Signs a payload that `signStatement` would never make. */
function verifyText(text: string): string {
  const payload = Buffer.from(text);
  const sig = Buffer.from(ana.sign(preAuthEncoding(PAYLOAD_TYPE, payload))).toString('base64');
  const envelope = { payloadType: PAYLOAD_TYPE, payload: payload.toString('base64'), signatures: [{ sig }] };
  return codeOf(() => verifyStatement('manifest', Predicate, envelope, [ana.publicJwk]));
}

const good = JSON.parse(
  Buffer.from(signStatement('manifest', subject, predicate, ana).envelope.payload, 'base64').toString(),
) as Record<string, unknown>;

test('what was signed is what is read, and the digest is of the payload bytes', () => {
  const { envelope, digest } = signStatement('manifest', subject, predicate, ana);
  const verified = verifyStatement('manifest', Predicate, envelope, [eve.publicJwk, ana.publicJwk]);
  expect(verified.predicate).toStrictEqual(predicate);
  expect(verified.subject).toBe(subject.digest);
  expect(verified.digest).toBe(digest);
  expect(digestOf(Buffer.from(envelope.payload, 'base64'))).toBe(digest);
});

test('another signer is refused before the payload is parsed', () => {
  const { envelope } = signStatement('manifest', subject, predicate, eve);
  expect(codeOf(() => verifyStatement('manifest', Predicate, envelope, [ana.publicJwk]))).toBe(
    'signature.invalid',
  );
  const garbage = { ...envelope, payload: Buffer.from('not json').toString('base64') };
  expect(codeOf(() => verifyStatement('manifest', Predicate, garbage, [ana.publicJwk]))).toBe(
    'signature.invalid',
  );
});

test('a statement of another type is refused although its signature verifies', () => {
  const { envelope } = signStatement('order', subject, predicate, ana);
  expect(codeOf(() => verifyStatement('manifest', Predicate, envelope, [ana.publicJwk]))).toBe(
    'statement.type',
  );
});

describe('well-signed payloads that are refused', () => {
  test('the base case is accepted', () => {
    expect(verifyText(JSON.stringify(good))).toBe('accepted');
    expect(verifyText(`${JSON.stringify(good)}  `)).toBe('accepted');
  });

  test.each([
    ['an unknown member', { ...good, extra: 1 }, 'statement.malformed'],
    [
      'an unknown member of the predicate',
      { ...good, predicate: { ...predicate, extra: 1 } },
      'statement.malformed',
    ],
    ['a missing member', { ...good, predicate: { issuer: 'ana' } }, 'statement.malformed'],
    [
      'another statement type',
      { ...good, _type: 'https://in-toto.io/Statement/v0.1' },
      'statement.malformed',
    ],
    ['no subject', { ...good, subject: [] }, 'statement.malformed'],
    [
      'a predicate type that only starts alike',
      { ...good, predicateType: `${String(good['predicateType'])}0` },
      'statement.type',
    ],
    ['no predicate type', { ...good, predicateType: undefined }, 'statement.malformed'],
  ])('%s', (_name, value, code) => {
    expect(verifyText(JSON.stringify(value))).toBe(code);
  });

  test('two subjects', () => {
    const [one] = good['subject'] as unknown[];
    expect(verifyText(JSON.stringify({ ...good, subject: [one, one] }))).toBe('statement.malformed');
  });

  test('a duplicate member', () => {
    expect(verifyText(JSON.stringify(good).replace('"count":3', '"count":3,"count":4'))).toBe(
      'input.malformed',
    );
  });

  test('a payload that is too large', () => {
    expect(verifyText(JSON.stringify(good) + ' '.repeat(768 * 1024))).toBe('input.too-large');
  });
});

test('reading arbitrary payloads ends in one of our errors', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value))),
      ),
      (bytes) => {
        const code = codeOf(() => readStatement('manifest', Predicate, bytes));
        expect(code).toMatch(/^(?:statement\.(?:malformed|type)|input\.malformed)$/);
      },
    ),
  );
});
