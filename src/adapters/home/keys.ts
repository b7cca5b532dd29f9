import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CompactEncrypt, compactDecrypt } from 'jose';
import { z } from 'zod';
import { PhtError } from '../../model/error.ts';
import type { Role } from '../../model/network.ts';
import { Ed25519PublicJwk, parseWith, X25519PublicJwk } from '../../model/schema.ts';
import { assertPrivate, readBounded, writeAtomic } from './files.ts';

/** Private keys at rest: `keys/<use>.jwk` in clear, or `keys/<use>.jwe` under the home's passphrase. */

export type KeyUse =
  | 'root'
  | 'members'
  | 'freshness'
  | 'tls-authority'
  | 'statement'
  | 'tls'
  | 'log'
  | 'witness'
  | 'encryption';

const Secret = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
const Ed25519PrivateJwk = z.strictObject({ ...Ed25519PublicJwk.shape, d: Secret });
const X25519PrivateJwk = z.strictObject({ ...X25519PublicJwk.shape, d: Secret });
export type Ed25519PrivateJwk = z.infer<typeof Ed25519PrivateJwk>;
export type X25519PrivateJwk = z.infer<typeof X25519PrivateJwk>;

/** The uses whose keys each role holds. */
export const KEY_USES: Readonly<Record<Role, readonly KeyUse[]>> = {
  authority: ['root', 'members', 'freshness', 'tls-authority', 'statement', 'tls'],
  dispatcher: ['statement', 'tls', 'log', 'witness'],
  station: ['statement', 'tls', 'log', 'witness', 'encryption'],
  researcher: ['statement', 'tls', 'encryption'],
  admin: ['statement'],
  auditor: ['statement', 'tls', 'witness', 'encryption'],
};

/** What a timer needs: connections, the word that a list is the newest, and certificates. None of them makes a member. */
const UNATTENDED: ReadonlySet<KeyUse> = new Set(['tls', 'freshness', 'tls-authority']);

/**
 * Whether a new key is encrypted under a passphrase unless the person says otherwise. Servers start unattended; a
 * person's TLS key stays in clear so that `watch` can, for it authorises a connection and never content.
 */
export function encryptedByDefault(role: Role, use: KeyUse): boolean {
  const personal = role === 'researcher' || role === 'admin' || role === 'authority';
  return personal && !UNATTENDED.has(use);
}

/** Asked only when an encrypted key is really needed. */
export type AskPassphrase = () => Promise<string>;

const KEY_BYTES_MAX = 8 * 1024;
// OWASP's 2023 floor for PBKDF2-HMAC-SHA512 is 210,000.
const PBES2_COUNT = 600_000;

export function generateKey<U extends KeyUse>(
  use: U,
): U extends 'encryption' ? X25519PrivateJwk : Ed25519PrivateJwk;
export function generateKey(use: KeyUse): X25519PrivateJwk | Ed25519PrivateJwk {
  if (use === 'encryption') {
    return X25519PrivateJwk.parse(generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' }));
  }
  return Ed25519PrivateJwk.parse(generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }));
}

export function publicOf(jwk: Ed25519PrivateJwk): Ed25519PublicJwk;
export function publicOf(jwk: X25519PrivateJwk): X25519PublicJwk;
export function publicOf({
  kty,
  crv,
  x,
}: Ed25519PrivateJwk | X25519PrivateJwk): Ed25519PublicJwk | X25519PublicJwk {
  return crv === 'Ed25519' ? { kty, crv, x } : { kty, crv, x };
}

export const keysFolder = (dir: string): string => join(dir, 'keys');

/** Writes one key into `dir/keys`, which exists; encrypted when a passphrase is given. */
export function storeKey(
  dir: string,
  use: KeyUse,
  jwk: Ed25519PrivateJwk | X25519PrivateJwk,
  passphrase: string | null,
): Promise<void> {
  return storeKeyIn(keysFolder(dir), use, jwk, passphrase);
}

export async function storeKeyIn(
  folder: string,
  use: KeyUse,
  jwk: Ed25519PrivateJwk | X25519PrivateJwk,
  passphrase: string | null,
): Promise<void> {
  const text = JSON.stringify(jwk);
  if (passphrase === null) return writeAtomic(join(folder, `${use}.jwk`), `${text}\n`);
  const jwe = await new CompactEncrypt(Buffer.from(text))
    .setProtectedHeader({ alg: 'PBES2-HS512+A256KW', enc: 'A256GCM', cty: 'jwk+json' })
    .setKeyManagementParameters({ p2c: PBES2_COUNT })
    .encrypt(Buffer.from(passphrase));
  writeAtomic(join(folder, `${use}.jwe`), `${jwe}\n`);
}

export type PrivateJwkOf<U extends KeyUse> = U extends 'encryption' ? X25519PrivateJwk : Ed25519PrivateJwk;

/**
 * @throws PhtError `config.missing`, `config.invalid`, `passphrase.required`, `passphrase.wrong`
 */
export function loadKey<U extends KeyUse>(dir: string, use: U, ask: AskPassphrase): Promise<PrivateJwkOf<U>> {
  return loadKeyIn(keysFolder(dir), use, ask);
}

/** @throws PhtError as `loadKey` */
export async function loadKeyIn<U extends KeyUse>(
  folder: string,
  use: U,
  ask: AskPassphrase,
): Promise<PrivateJwkOf<U>>;
export async function loadKeyIn(
  folder: string,
  use: KeyUse,
  ask: AskPassphrase,
): Promise<X25519PrivateJwk | Ed25519PrivateJwk> {
  const plain = join(folder, `${use}.jwk`);
  const sealed = join(folder, `${use}.jwe`);
  const encrypted = existsSync(sealed);
  if (encrypted && existsSync(plain)) {
    throw new PhtError(
      'config.invalid',
      `both ${plain} and ${sealed} exist; remove the one that is not meant`,
    );
  }
  const path = encrypted ? sealed : plain;
  const bytes = readPrivate(path, use);
  const text = encrypted ? await decryptKey(bytes, path, await ask()) : bytes;
  const limits = { bytesMax: KEY_BYTES_MAX, what: path };
  const jwk =
    use === 'encryption'
      ? parseWith(X25519PrivateJwk, text, limits, 'config.invalid')
      : parseWith(Ed25519PrivateJwk, text, limits, 'config.invalid');
  assertPair(jwk, path);
  return jwk;
}

function readPrivate(path: string, use: KeyUse): Uint8Array {
  const bytes = readBounded(path, KEY_BYTES_MAX, `the ${use} key`);
  assertPrivate(path, `the ${use} key`);
  return bytes;
}

async function decryptKey(jwe: Uint8Array, path: string, passphrase: string): Promise<Uint8Array> {
  const text = Buffer.from(jwe).toString('latin1').trim();
  try {
    const { plaintext } = await compactDecrypt(text, Buffer.from(passphrase), {
      keyManagementAlgorithms: ['PBES2-HS512+A256KW'],
      contentEncryptionAlgorithms: ['A256GCM'],
      maxPBES2Count: PBES2_COUNT,
    });
    return plaintext;
  } catch (cause) {
    throw new PhtError('passphrase.wrong', `${path} does not open with this passphrase`, { cause });
  }
}

/** A public half that does not belong to the private one would make signatures that nobody can verify. */
function assertPair(jwk: Ed25519PrivateJwk | X25519PrivateJwk, path: string): void {
  const derived = createPublicKey(createPrivateKey({ key: jwk, format: 'jwk' })).export({ format: 'jwk' });
  if (derived.x !== jwk.x)
    throw new PhtError('config.invalid', `${path}: the two halves of the key do not belong together`);
}
