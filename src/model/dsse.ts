import { Buffer } from 'node:buffer';
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { z } from 'zod';
import { PhtError } from './error.ts';
import { type Ed25519PublicJwk, parseWith } from './schema.ts';

/** DSSE v1.0.2 envelopes (https://github.com/secure-systems-lab/dsse). Ed25519 only. */
export const PAYLOAD_TYPE = 'application/vnd.in-toto+json';

const ENVELOPE_BYTES_MAX = 1024 * 1024;
const SIGNATURES_MAX = 16;
/** An Ed25519 signature has 88; others may stand beside it, and nobody checks what a stranger added. */
const SIGNATURE_CHARS_MAX = 1024;

/** No group is repeated: the engine would need stack for each of the groups in a list of members. */
const Base64 = z
  .string()
  .refine((text) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text), 'must be base64');

/** Unknown members of the *envelope* are ignored, and never stored or hashed (protocol, section 2). */
const EnvelopeSchema = z.object({
  payloadType: z.string().max(200),
  payload: Base64,
  signatures: z
    .array(z.object({ keyid: z.string().max(200).optional(), sig: Base64.max(SIGNATURE_CHARS_MAX) }))
    .min(1)
    .max(SIGNATURES_MAX),
});

export type Envelope = {
  payloadType: string;
  payload: string;
  signatures: { keyid?: string | undefined; sig: string }[];
};

/** What a signature covers: PAE(type, body) of the DSSE protocol. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Uint8Array {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.byteLength} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

/** SHA-256 of the raw public key in hexadecimal: the key id of every Ed25519 and X25519 key here. */
export function keyIdOf(jwk: { x: string }): string {
  return createHash('sha256').update(Buffer.from(jwk.x, 'base64url')).digest('hex');
}

/** @throws PhtError `input.too-large`, `statement.malformed` */
export function parseEnvelope(bytes: Uint8Array, what: string, bytesMax = ENVELOPE_BYTES_MAX): Envelope {
  return parseWith(EnvelopeSchema, bytes, { bytesMax, what }, 'statement.malformed');
}

/** The one byte form in which envelopes are stored and sent. */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  const { payloadType, payload, signatures } = envelope;
  const lines = signatures.map(({ keyid, sig }) => (keyid === undefined ? { sig } : { keyid, sig }));
  return Buffer.from(JSON.stringify({ payloadType, payload, signatures: lines }));
}

export function payloadOf(envelope: Envelope): Uint8Array {
  return Buffer.from(envelope.payload, 'base64');
}

/**
 * Verifies against keys that the caller chose from the pinned network, never from the envelope; `keyid` is only a hint
 * and is not believed. A key counts once, however often it signed.
 *
 * @returns the verified payload bytes: use these and nothing else afterwards
 * @throws PhtError `signature.invalid`, `statement.type`
 */
export function verifyEnvelope(
  envelope: Envelope,
  trusted: readonly Ed25519PublicJwk[],
  threshold = 1,
): Uint8Array {
  if (envelope.payloadType !== PAYLOAD_TYPE) {
    throw new PhtError('statement.type', 'the envelope does not carry an in-toto statement');
  }
  const signed = signersIn(envelope, trusted).size;
  if (threshold < 1 || signed < threshold) {
    const found = threshold > 1 ? ` (${signed} of ${threshold} needed)` : '';
    const why = 'it was changed after it was signed, or somebody else signed it';
    throw new PhtError('signature.invalid', `the signature does not fit${found}: ${why}`);
  }
  return payloadOf(envelope);
}

/** Which of these keys have signed, each once, by their `x`. */
export function signersIn(envelope: Envelope, keys: readonly Ed25519PublicJwk[]): ReadonlySet<string> {
  const message = preAuthEncoding(envelope.payloadType, payloadOf(envelope));
  const signed = new Set<string>();
  for (const jwk of keys) {
    const key = publicKey(jwk);
    if (envelope.signatures.some(({ sig }) => verify(null, message, key, Buffer.from(sig, 'base64'))))
      signed.add(jwk.x);
  }
  return signed;
}

const PUBLIC_KEYS_MAX = 4096;
const publicKeys = new Map<string, KeyObject>();

/** Importing a key costs as much as verifying with it, and a network's few keys come again and again. */
export function publicKey(jwk: Ed25519PublicJwk): KeyObject {
  const known = publicKeys.get(jwk.x);
  if (known !== undefined) return known;
  const { kty, crv, x } = jwk;
  const key = createPublicKey({ key: { kty, crv, x }, format: 'jwk' });
  if (publicKeys.size >= PUBLIC_KEYS_MAX) publicKeys.clear();
  publicKeys.set(x, key);
  return key;
}
