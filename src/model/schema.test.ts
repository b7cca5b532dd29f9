import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { X25519PublicJwk } from './schema.ts';

const jwkOf = (hex: string) => ({
  kty: 'OKP',
  crv: 'X25519',
  x: Buffer.from(hex, 'hex').toString('base64url'),
});

/** The points of small order: with each of them every shared secret is zero, and sealing fails. */
const points = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
];

test.each(points)('a key of small order is no key: %s', (hex) => {
  const spelledOtherwise = Buffer.from(hex, 'hex');
  spelledOtherwise[31] = (spelledOtherwise[31] ?? 0) | 0x80;
  for (const each of [hex, spelledOtherwise.toString('hex')])
    expect(X25519PublicJwk.safeParse(jwkOf(each)).success).toBe(false);
});

test('an ordinary key is one', () => {
  const { kty, crv, x } = generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' });
  expect(X25519PublicJwk.parse({ kty, crv, x })).toEqual({ kty, crv, x });
});
