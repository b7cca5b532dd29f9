import { createPrivateKey, createPublicKey, verify } from 'node:crypto';
import { expect, test } from 'vitest';
import { createSigner } from './ed25519.ts';

// RFC 8032, section 7.1, TEST 2.
const d = '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb';
const x = '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c';
const signature =
  '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00';
const base64url = (hex: string): string => Buffer.from(hex, 'hex').toString('base64url');
const jwk = { kty: 'OKP', crv: 'Ed25519', x: base64url(x), d: base64url(d) } as const;

test('signs as RFC 8032 does', () => {
  expect(Buffer.from(createSigner(jwk).sign(Uint8Array.of(0x72))).toString('hex')).toBe(signature);
});

test('the public half that it shows verifies, and holds nothing private', () => {
  const signer = createSigner(jwk);
  expect(Object.keys(signer.publicJwk).sort()).toStrictEqual(['crv', 'kty', 'x']);
  const message = Buffer.from('message');
  const key = createPublicKey({ key: { ...signer.publicJwk }, format: 'jwk' });
  expect(verify(null, message, key, signer.sign(message))).toBe(true);
  expect(createPublicKey(createPrivateKey({ key: jwk, format: 'jwk' })).equals(key)).toBe(true);
});
