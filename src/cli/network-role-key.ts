import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
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

/** The keys of the root and of the list of members: the authority's own, and those of further holders. */

const PUBLIC_BYTES_MAX = 4 * 1024;

const PublicRoleKey = z.strictObject({ role: z.enum(['root', 'members']), key: Ed25519PublicJwk });

export type HeldRole = 'root' | 'members';
export type RoleOptions = {
  rootKey?: string[];
  rootThreshold?: string;
  membersKey?: string[];
  membersThreshold?: string;
};

/** `pht network root-key --out DIR` and `members-key`: what one further holder of such a key has. */
export async function makeRoleKey(
  frame: Frame,
  role: HeldRole,
  options: { out: string; passphrase: boolean },
): Promise<void> {
  const { out } = options;
  if (!options.passphrase) warnUnencrypted(frame, out);
  const passphrase = options.passphrase ? await newPassphrase(process) : null;
  const jwk = generateKey(role);
  const publicJwk = publicOf(jwk);
  const name = `${role}-key.json`;
  await createHome(out, async (draft) => {
    mkdirSync(join(draft, 'keys'), { mode: 0o700 });
    await storeKey(draft, role, jwk, passphrase);
    writeAtomic(join(draft, name), `${JSON.stringify({ role, key: publicJwk })}\n`);
  });
  const file = join(out, name);
  const keyId = keyIdOf(publicJwk);
  frame.output.result({ home: out, publicKey: file, keyId }, [
    `made a ${role} key in ${out}`,
    `  fingerprint  ${keyId}`,
    '',
    `Next: send ${file} to the authority and read out the fingerprint.`,
    'Keep the rest to yourself, offline.',
  ]);
}

/** Whether any option says who holds the keys of that role, or how many have to sign. */
export function saysHolders(role: HeldRole, options: RoleOptions): boolean {
  const { keys, threshold } = saidOf(role, options);
  return keys !== undefined || threshold !== undefined;
}

/**
 * @param own the authority's own, which is always one of them
 * @param before what stays as it is where the options do not say
 * @throws PhtError `usage.invalid`, and as reading the files
 */
export function roleKeysFrom(
  role: HeldRole,
  own: Ed25519PublicJwk,
  options: RoleOptions,
  before: RoleKeys = { keys: [own], threshold: 1 },
): RoleKeys {
  const said = saidOf(role, options);
  const others = said.keys?.map((path) => readRoleKey(path, role));
  const text = said.threshold ?? `${before.threshold}`;
  if (!/^([1-9]|10)$/.test(text))
    throw new PhtError('usage.invalid', `--${role}-threshold takes a whole number from 1 to 10`);
  const keys = others === undefined ? before.keys : [own, ...others];
  return check(
    RoleKeys,
    { keys, threshold: Number(text) },
    `--${role}-key and --${role}-threshold`,
    'usage.invalid',
  );
}

/** @throws PhtError `usage.invalid` for a key that was made for the other role: its holder could not sign with it */
function readRoleKey(path: string, role: HeldRole): Ed25519PublicJwk {
  const bytes = readBounded(path, PUBLIC_BYTES_MAX, `a ${role} key`);
  const given = parseWith(PublicRoleKey, bytes, { bytesMax: PUBLIC_BYTES_MAX, what: path });
  if (given.role === role) return given.key;
  throw new PhtError(
    'usage.invalid',
    `${path} is a ${given.role} key, and --${role}-key takes a ${role} key`,
    {
      hint: `its holder makes one with: pht network ${role}-key`,
    },
  );
}

function saidOf(role: HeldRole, options: RoleOptions): { keys?: string[]; threshold?: string } {
  const { rootKey, rootThreshold, membersKey, membersThreshold } = options;
  const [keys, threshold] = role === 'root' ? [rootKey, rootThreshold] : [membersKey, membersThreshold];
  return { ...(keys && { keys }), ...(threshold !== undefined && { threshold }) };
}
