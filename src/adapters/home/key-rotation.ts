import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { PhtError } from '../../model/error.ts';
import { MemberKeys, type Network } from '../../model/network.ts';
import { Ed25519PublicJwk, parseWith, X25519PublicJwk } from '../../model/schema.ts';
import { errnoOf, fileError, readBounded, syncFolder, writeAtomic } from './files.ts';
import {
  type AskPassphrase,
  type Ed25519PrivateJwk,
  encryptedByDefault,
  KEY_USES,
  type KeyUse,
  keysFolder,
  loadKeyIn,
  type PrivateJwkOf,
  publicOf,
  storeKeyIn,
  type X25519PrivateJwk,
} from './keys.ts';
import type { Home } from './member.ts';

/**
 * New keys wait in `keys/next/` until the network names them; then each takes the place of the one before it, which goes
 * to `keys/former/<version>/`. A key that is in use is never missing, whenever the process dies.
 */

const PUBLIC_BYTES_MAX = 8 * 1024;

const Public = z.strictObject({
  v: z.literal(1),
  keys: z.partialRecord(
    z.enum([
      'root',
      'members',
      'freshness',
      'tls-authority',
      'statement',
      'tls',
      'log',
      'witness',
      'encryption',
    ]),
    z.union([Ed25519PublicJwk, X25519PublicJwk]),
  ),
});
type PublicKeys = z.infer<typeof Public>['keys'];
type PrivateKeys = Partial<Record<KeyUse, Ed25519PrivateJwk | X25519PrivateJwk>>;

const nextFolder = (dir: string): string => join(keysFolder(dir), 'next');
const formerFolder = (dir: string): string => join(keysFolder(dir), 'former');
const publicPath = (dir: string): string => join(nextFolder(dir), 'public.json');

/** The public halves of the keys that wait for the network to name them. @throws PhtError `config.invalid` */
export function nextKeys({ dir }: Pick<Home, 'dir'>): PublicKeys {
  const path = publicPath(dir);
  let bytes: Uint8Array;
  try {
    bytes = readBounded(path, PUBLIC_BYTES_MAX, 'the keys that are to come');
  } catch (cause) {
    if (cause instanceof PhtError && cause.code === 'config.missing') return {};
    throw cause;
  }
  return parseWith(Public, bytes, { bytesMax: PUBLIC_BYTES_MAX, what: path }, 'config.invalid').keys;
}

/** Encrypted where the key that they follow is. Others that wait already go on waiting. */
export async function storeNextKeys(home: Home, keys: PrivateKeys, ask: AskPassphrase): Promise<void> {
  const { dir } = home;
  const folder = nextFolder(dir);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const published = { ...nextKeys({ dir }) };
  const fresh = Object.entries(keys) as [KeyUse, Ed25519PrivateJwk][];
  for (const [use] of fresh) delete published[use];
  writePublic(dir, published);
  for (const [use, jwk] of fresh) {
    await storeKeyIn(folder, use, jwk, isSealed(home, use) ? await ask() : null);
    published[use] = publicOf(jwk);
  }
  // Last, so that what it names is there.
  writePublic(dir, published);
}

function writePublic(dir: string, keys: PublicKeys): void {
  writeAtomic(publicPath(dir), `${JSON.stringify({ v: 1, keys })}\n`);
}

/** A key that is not here, lost or offline, is followed as the others of this home are kept. */
function isSealed({ dir, member }: Home, use: KeyUse): boolean {
  const files = readdirSync(keysFolder(dir));
  if (files.includes(`${use}.jwe`) || files.includes(`${use}.jwk`)) return files.includes(`${use}.jwe`);
  return encryptedByDefault(member.role, use) && files.some((name) => name.endsWith('.jwe'));
}

/** @throws PhtError as `loadKey` */
export function loadNextKey<U extends KeyUse>(
  { dir }: Pick<Home, 'dir'>,
  use: U,
  ask: AskPassphrase,
): Promise<PrivateJwkOf<U>> {
  return loadKeyIn(nextFolder(dir), use, ask);
}

/** The uses that `pht network rotate keys` replaces unless some are named: all that the list of members names. */
export function rotatedKeys({ member }: Pick<Home, 'member'>): KeyUse[] {
  return KEY_USES[member.role].filter((use) => use in MemberKeys.shape);
}

/** @returns the uses that changed */
export function placeListedKeys(home: Home, network: Network): KeyUse[] {
  const named: Partial<Record<string, { x: string }>> = network.members.get(home.member.id)?.keys ?? {};
  return placeKeys(home, (use, x) => named[use]?.x === x, String(network.version));
}

/**
 * Moves every waiting key that is named now into its place. Called again after a crash it goes on where it stopped.
 *
 * @param label of the folder that keeps the old ones
 */
export function placeKeys(
  home: Pick<Home, 'dir'>,
  isNamed: (use: KeyUse, x: string) => boolean,
  label: string,
): KeyUse[] {
  const waiting = nextKeys(home);
  const placed: KeyUse[] = [];
  for (const [use, key] of Object.entries(waiting) as [KeyUse, { x: string }][]) {
    if (!isNamed(use, key.x)) continue;
    placeKey(home.dir, use, label);
    placed.push(use);
  }
  if (placed.length === 0) return placed;
  const rest = Object.entries(waiting).filter(([use]) => !placed.includes(use as KeyUse));
  if (rest.length === 0) rmSync(nextFolder(home.dir), { recursive: true, force: true });
  else writePublic(home.dir, Object.fromEntries(rest));
  return placed;
}

function placeKey(dir: string, use: KeyUse, label: string): void {
  const name = ['jwk', 'jwe']
    .map((kind) => `${use}.${kind}`)
    .find((file) => existsSync(join(nextFolder(dir), file)));
  // It was moved before a crash, and only the note of it was left.
  if (name === undefined) return;
  const [next, place] = [join(nextFolder(dir), name), join(keysFolder(dir), name)];
  try {
    const former = formerPlace(dir, { name, label });
    mkdirSync(former, { recursive: true, mode: 0o700 });
    keepFormer(place, join(former, name));
    for (const folder of [former, formerFolder(dir), keysFolder(dir)]) syncFolder(folder);
    moveKey(next, place);
    syncFolder(keysFolder(dir));
  } catch (cause) {
    throw fileError(cause, place, '(a new key) could not be put in its place');
  }
}

/**
 * The folder for the key that is replaced. One of that label may hold another key already: a list that was disowned had the
 * same version as the one that followed it. The last one of a label is the newest.
 */
function formerPlace(dir: string, { name, label }: { name: string; label: string }): string {
  const held = bytesIn(join(keysFolder(dir), name));
  for (let more = 0; ; more++) {
    const folder = join(formerFolder(dir), more === 0 ? label : `${label}.${String(more).padStart(3, '0')}`);
    const kept = bytesIn(join(folder, name));
    if (kept === null || held === null || kept.equals(held)) return folder;
  }
}

function bytesIn(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return null;
    throw cause;
  }
}

/** A second name for the old key, which stays in its place until the new one replaces it. */
function keepFormer(place: string, former: string): void {
  try {
    linkSync(place, former);
  } catch (cause) {
    // EEXIST: kept before a crash. ENOENT: it was taken offline, and the person has it.
    if (!['EEXIST', 'ENOENT'].includes(errnoOf(cause))) throw cause;
  }
}

function moveKey(next: string, place: string): void {
  try {
    renameSync(next, place);
  } catch (cause) {
    // Another process of this home, which saw the same list, was faster.
    if (errnoOf(cause) !== 'ENOENT' || !existsSync(place)) throw cause;
  }
}

/** Keys of one use that were replaced, the newest first: what was sealed to them still opens. */
export async function loadFormerKeys<U extends KeyUse>(
  { dir }: Pick<Home, 'dir'>,
  use: U,
  ask: AskPassphrase,
): Promise<PrivateJwkOf<U>[]> {
  const keys: PrivateJwkOf<U>[] = [];
  for (const label of labelsIn(formerFolder(dir))) {
    const folder = join(formerFolder(dir), label);
    if (['jwk', 'jwe'].some((kind) => existsSync(join(folder, `${use}.${kind}`))))
      keys.push(await loadKeyIn(folder, use, ask));
  }
  return keys;
}

function labelsIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).sort((one, two) => Number(two) - Number(one));
}
