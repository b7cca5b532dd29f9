import { generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Envelope,
  encodeEnvelope,
  keyIdOf,
  PAYLOAD_TYPE,
  parseEnvelope,
  preAuthEncoding,
  verifyEnvelope,
} from './dsse.ts';
import { PhtError } from './error.ts';
import { Ed25519PublicJwk } from './schema.ts';

type Vectors = {
  pae: { payloadType: string; payload: string; pae: string };
  cases: { name: string; envelope: Envelope; trusted: string[]; threshold: number; valid: boolean }[];
};
const vectors = JSON.parse(
  readFileSync(new URL('../../test/vectors/dsse.json', import.meta.url), 'utf8'),
) as Vectors;

const jwkOf = (raw: string): Ed25519PublicJwk => ({
  kty: 'OKP',
  crv: 'Ed25519',
  x: Buffer.from(raw, 'base64').toString('base64url'),
});

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    return thrown instanceof PhtError ? thrown.code : `not ours: ${String(thrown)}`;
  }
  return 'accepted';
}

describe('vectors of securesystemslib', () => {
  test('pre-authentication encoding', () => {
    const { payloadType, payload, pae } = vectors.pae;
    expect(Buffer.from(preAuthEncoding(payloadType, Buffer.from(payload))).toString()).toBe(pae);
  });

  test('there are good and bad envelopes', () => {
    expect(vectors.cases.filter(({ valid }) => valid).length).toBeGreaterThan(1);
    expect(vectors.cases.filter(({ valid }) => !valid).length).toBeGreaterThan(4);
  });

  test.each(vectors.cases)('$name', ({ envelope, trusted, threshold, valid }) => {
    const verify = (): Uint8Array => {
      const parsed = parseEnvelope(Buffer.from(JSON.stringify(envelope)), 'the vector');
      return verifyEnvelope(parsed, trusted.map(jwkOf), threshold);
    };
    if (valid) expect(Buffer.from(verify()).toString('base64')).toBe(envelope.payload);
    else expect(codeOf(verify)).toMatch(/^(?:signature\.invalid|statement\.type|statement\.malformed)$/);
  });
});

const pair = generateKeyPairSync('ed25519');
const { kty, crv, x } = pair.publicKey.export({ format: 'jwk' });
const jwk = Ed25519PublicJwk.parse({ kty, crv, x });

function signed(payload: Uint8Array): Envelope {
  const sig = sign(null, preAuthEncoding(PAYLOAD_TYPE, payload), pair.privateKey).toString('base64');
  return {
    payloadType: PAYLOAD_TYPE,
    payload: Buffer.from(payload).toString('base64'),
    signatures: [{ keyid: keyIdOf(jwk), sig }],
  };
}

test('no trusted keys and a threshold of 0 accept nothing', () => {
  expect(codeOf(() => verifyEnvelope(signed(Buffer.from('{}')), []))).toBe('signature.invalid');
  expect(codeOf(() => verifyEnvelope(signed(Buffer.from('{}')), [], 0))).toBe('signature.invalid');
  expect(codeOf(() => verifyEnvelope(signed(Buffer.from('{}')), [jwk]))).toBe('accepted');
});

test('one key listed twice does not meet a threshold of 2', () => {
  expect(codeOf(() => verifyEnvelope(signed(Buffer.from('{}')), [jwk, jwk], 2))).toBe('signature.invalid');
});

test('any changed byte of payload or signature is refused', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 64 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (bytes, at, flip) => {
        const envelope = signed(bytes);
        const flipped = (base64: string): string => {
          const raw = Buffer.from(base64, 'base64');
          const place = at % raw.length;
          raw[place] = (raw[place] ?? 0) ^ flip;
          return raw.toString('base64');
        };
        const [signature] = envelope.signatures;
        const forged = { ...envelope, signatures: [{ sig: flipped(signature?.sig ?? '') }] };
        expect(codeOf(() => verifyEnvelope(forged, [jwk]))).toBe('signature.invalid');
        const swapped = { ...envelope, payload: flipped(envelope.payload) };
        expect(codeOf(() => verifyEnvelope(swapped, [jwk]))).toBe('signature.invalid');
      },
    ),
    { numRuns: 50 },
  );
});

test('unknown members of the envelope are dropped, and base64 is canonical in form', () => {
  const envelope = signed(Buffer.from('{}'));
  const parsed = parseEnvelope(Buffer.from(JSON.stringify({ ...envelope, extra: 1 })), 'it');
  expect(Buffer.from(encodeEnvelope(parsed)).toString()).toBe(JSON.stringify(envelope));
  for (const payload of ['e30', 'e30=\n', 'e3_=', ' e30=', '====']) {
    const bytes = Buffer.from(JSON.stringify({ ...envelope, payload }));
    expect(codeOf(() => parseEnvelope(bytes, 'it'))).toBe('statement.malformed');
  }
});

test('arbitrary bytes and arbitrary JSON end in one of our errors', () => {
  const ours = /^(?:statement\.malformed|input\.malformed|input\.too-large)$/;
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value))),
      ),
      (bytes) => {
        expect(codeOf(() => parseEnvelope(bytes, 'it'))).toMatch(ours);
      },
    ),
  );
  expect(codeOf(() => parseEnvelope(Buffer.alloc(1024 * 1024 + 1, ' '), 'it'))).toBe('input.too-large');
});
