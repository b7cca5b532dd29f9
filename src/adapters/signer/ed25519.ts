import { createPrivateKey, sign } from 'node:crypto';
import type { Ed25519PublicJwk } from '../../model/schema.ts';
import type { Signer } from '../../ports/signer.ts';

/** A signer over one Ed25519 private key (RFC 8032, pure) that was loaded from a member's home. */
export function createSigner(jwk: Ed25519PublicJwk & { d: string }): Signer {
  const { kty, crv, x, d } = jwk;
  const key = createPrivateKey({ key: { kty, crv, x, d }, format: 'jwk' });
  return { publicJwk: { kty, crv, x }, sign: (message) => sign(null, message, key) };
}
