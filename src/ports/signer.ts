import type { Ed25519PublicJwk, X25519PublicJwk } from '../model/schema.ts';

/** Signs with one private key of one use. The key never leaves the adapter. */
export interface Signer {
  readonly publicJwk: Ed25519PublicJwk;
  sign(message: Uint8Array): Uint8Array;
}

/** Seals bytes so that only the named recipients can open them. */
export interface Sealer {
  /**
   * JWE (RFC 7516, general JSON serialisation), `ECDH-ES+A256KW` over X25519 with `A256GCM`, no `zip`. The plaintext
   * is JSON and is padded with spaces to 4, 16, 64 or 256 KiB and then to multiples of 256 KiB, since length tells.
   */
  seal(plaintext: Uint8Array, recipients: readonly X25519PublicJwk[]): Promise<Uint8Array>;
}

/** Opens what was sealed to one private key. */
export interface Opener {
  readonly publicJwk: X25519PublicJwk;
  /** @throws PhtError `envelope.invalid` for anything that is not exactly such a JWE for this key */
  open(jwe: Uint8Array): Promise<Uint8Array>;
}
