import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { invalid, strictBase64, strictText } from './strict.ts';

/** Signature types of C2SP signed-note: plain Ed25519 of a log, and `cosignature/v1` of a witness. */
export const TYPE_LOG = 0x01;
export const TYPE_COSIGNATURE = 0x04;

const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const TIME_BYTES = 8;
const VKEY_BYTES_MAX = 1024;

/** A key that is trusted to sign notes under one name. `keyId` is an unsigned 32-bit number. */
export interface NoteKey {
  readonly name: string;
  readonly type: number;
  readonly keyId: number;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly keyObject: KeyObject;
}

/** One signature algorithm; another type byte is one more row in `SIGNATURE_KINDS`. */
interface SignatureKind {
  readonly signatureBytes: number;
  /** What is signed, or null where the signature's own header is out of range. */
  message(text: string, signature: Uint8Array): Buffer | null;
  /** Where in the signature the Ed25519 part begins. */
  readonly offsetBytes: number;
}

const SIGNATURE_KINDS: ReadonlyMap<number, SignatureKind> = new Map([
  [TYPE_LOG, { signatureBytes: SIGNATURE_BYTES, offsetBytes: 0, message: (text) => Buffer.from(text) }],
  [
    TYPE_COSIGNATURE,
    {
      signatureBytes: TIME_BYTES + SIGNATURE_BYTES,
      offsetBytes: TIME_BYTES,
      message: (text, signature) => {
        const timeS = signatureTimeS(signature);
        return timeS === null ? null : cosignatureMessage(text, timeS);
      },
    },
  ],
]);

/** Names are non-empty, without Unicode spaces, `+` or control characters (C2SP signed-note). */
export function isKeyName(name: string): boolean {
  return name.isWellFormed() && /^[^\p{White_Space}\p{Cc}+]+$/u.test(name);
}

/** @throws PhtError `ledger.invalid` for a bad name, an unknown type or a key that is not 32 bytes long */
export function noteKey(name: string, type: number, publicKey: Uint8Array): NoteKey {
  if (!isKeyName(name)) throw invalid('a note key has an invalid name');
  if (!SIGNATURE_KINDS.has(type)) throw invalid(`signature type ${type} is not supported`);
  if (publicKey.length !== PUBLIC_KEY_BYTES) {
    throw invalid(`a note key has ${publicKey.length} bytes instead of ${PUBLIC_KEY_BYTES}`);
  }
  const raw = Buffer.from(publicKey);
  const id = createHash('sha256').update(`${name}\n`).update(Buffer.of(type)).update(raw).digest();
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') };
  const keyObject = createPublicKey({ key: jwk, format: 'jwk' });
  return { name, type, keyId: id.readUInt32BE(0), publicKey: raw, keyObject };
}

/** `name+keyID in 8 hex digits+base64(type || public key)`. */
export function formatVkey(key: NoteKey): string {
  const material = Buffer.concat([Buffer.of(key.type), key.publicKey]).toString('base64');
  return `${key.name}+${key.keyId.toString(16).padStart(8, '0')}+${material}`;
}

/** @throws PhtError `ledger.invalid` */
export function parseVkey(input: Uint8Array | string): NoteKey {
  const text = strictText(input, VKEY_BYTES_MAX, 'a verifier key');
  const [name = '', id = '', ...rest] = text.split('+');
  // Base64 may hold further plus signs.
  const material = strictBase64(rest.join('+'), 'the key in a verifier key');
  const type = material[0];
  if (type === undefined) throw invalid('a verifier key holds no key');
  const key = noteKey(name, type, material.subarray(1));
  if (id !== key.keyId.toString(16).padStart(8, '0'))
    throw invalid('a verifier key does not match its key id');
  return key;
}

/** What a `cosignature/v1` signs: `timeS` in seconds since the Unix epoch, then the whole checkpoint text. */
export function cosignatureMessage(text: string, timeS: number): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${timeS}\n${text}`);
}

/** Time of a `cosignature/v1` in seconds since the Unix epoch; null if it lacks one or lies beyond 2^53 - 1. */
export function signatureTimeS(signature: Uint8Array): number | null {
  if (signature.length !== TIME_BYTES + SIGNATURE_BYTES) return null;
  const timeS = Number(Buffer.from(signature).readBigUInt64BE(0));
  return Number.isSafeInteger(timeS) ? timeS : null;
}

/** Whether `signature` (without the key id) is this key's over the note `text`. */
export function isSignedBy(key: NoteKey, text: string, signature: Uint8Array): boolean {
  const kind = SIGNATURE_KINDS.get(key.type);
  if (kind === undefined || signature.length !== kind.signatureBytes) return false;
  const message = kind.message(text, signature);
  return message !== null && verify(null, message, key.keyObject, signature.subarray(kind.offsetBytes));
}
