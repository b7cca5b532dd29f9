import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createHome } from '../adapters/home/create.ts';
import { readBounded, writeAtomic } from '../adapters/home/files.ts';
import { generateKey, publicOf, storeKey } from '../adapters/home/keys.ts';
import { keyIdOf } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import { RoleKeys } from '../model/network-statements.ts';
import { check, Ed25519PublicJwk, parseWith } from '../model/schema.ts';
import type { Frame } from './frame.ts';
import { warnUnencrypted } from './init.ts';
import { newPassphrase } from './passphrase.ts';

/** The keys of the root: the authority's own, and those of further holders. */

const PUBLIC_BYTES_MAX = 4 * 1024;

/** `pht network root-key --out DIR`: what one further holder of a root key has. */
export async function makeRootKey(
  frame: Frame,
  options: { out: string; passphrase: boolean },
): Promise<void> {
  const { out } = options;
  if (!options.passphrase) warnUnencrypted(frame, out);
  const passphrase = options.passphrase ? await newPassphrase(process) : null;
  const jwk = generateKey('root');
  const publicJwk = publicOf(jwk);
  await createHome(out, async (draft) => {
    mkdirSync(join(draft, 'keys'), { mode: 0o700 });
    await storeKey(draft, 'root', jwk, passphrase);
    writeAtomic(join(draft, 'root-key.json'), `${JSON.stringify(publicJwk)}\n`);
  });
  const file = join(out, 'root-key.json');
  const keyId = keyIdOf(publicJwk);
  frame.output.result({ home: out, publicKey: file, keyId }, [
    `made a root key in ${out}`,
    `  fingerprint  ${keyId}`,
    '',
    `Next: send ${file} to the authority and read out the fingerprint.`,
    'Keep the rest to yourself, offline.',
  ]);
}

/**
 * @param own the authority's own, which is always one of them
 * @param before what stays as it is where the options do not say
 * @throws PhtError `usage.invalid`, and as reading the files
 */
export function rootKeysFrom(
  own: Ed25519PublicJwk,
  options: { rootKey?: readonly string[]; rootThreshold?: string },
  before: RoleKeys = { keys: [own], threshold: 1 },
): RoleKeys {
  const others = options.rootKey?.map((path) => {
    const bytes = readBounded(path, PUBLIC_BYTES_MAX, 'a root key');
    return parseWith(Ed25519PublicJwk, bytes, { bytesMax: PUBLIC_BYTES_MAX, what: path });
  });
  const text = options.rootThreshold ?? `${before.threshold}`;
  if (!/^[0-9]{1,2}$/.test(text))
    throw new PhtError('usage.invalid', '--root-threshold takes a whole number');
  const keys = others === undefined ? before.keys : [own, ...others];
  return check(
    RoleKeys,
    { keys, threshold: Number(text) },
    '--root-key and --root-threshold',
    'usage.invalid',
  );
}
