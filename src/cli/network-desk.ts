import { existsSync } from 'node:fs';
import { loadNextKey, nextKeys, placeKeys } from '../adapters/home/key-rotation.ts';
import { loadKey } from '../adapters/home/keys.ts';
import type { Home } from '../adapters/home/member.ts';
import { rootDraftPath } from '../adapters/home/network-draft.ts';
import { currentNetwork, networkPath, readNetworkFile } from '../adapters/home/network-file.ts';
import { createSigner } from '../adapters/signer/ed25519.ts';
import { signFreshness } from '../journey/authority/sign.ts';
import { payloadOf } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import type { Digest } from '../model/id.ts';
import type { Network } from '../model/network.ts';
import { MembersPredicate, type NetworkFiles, type RootPredicate } from '../model/network-statements.ts';
import { openRoots } from '../model/open-network.ts';
import { readStatement } from '../model/statement.ts';
import type { Signer } from '../ports/signer.ts';
import { type Frame, passphrase } from './frame.ts';
import { type Issuing, keyOf } from './network-certify.ts';

/** The authority at its desk: what it has given out, and how the next network file comes about. */

export const DAY_MS: number = 24 * 3_600_000;
/** Members' clocks may lag (protocol, section 8). */
export const BACKDATE_MS: number = 5 * 60_000;
const DAYS_MAX = 3650;

export type Authority = Issuing;

/** @throws PhtError as `currentNetwork`, `openRoots` */
export function openAuthority(frame: Frame): Authority {
  const home = frame.openHome(['authority']);
  if (!existsSync(networkPath(home)) && existsSync(rootDraftPath(home)))
    throw new PhtError(
      'config.missing',
      'this network has not begun: too few keys have signed its first root and list',
      {
        hint: `let the other holders sign ${rootDraftPath(home)} with pht network sign, then: pht network import FILE`,
      },
    );
  return authorityIn(home);
}

export function authorityIn(home: Home): Authority {
  const network = currentNetwork(home);
  const files = readNetworkFile(networkPath(home));
  const { root } = openRoots(files.roots, network.id);
  placeRoleKeys(home, root.predicate);
  return { home, files, network, root };
}

/**
 * Keys that the root names by now. A further TLS authority waits until everybody knows it (`switchTlsAuthority`), unless
 * it is the only one.
 */
export function placeRoleKeys(home: Home, { roles, version, tlsAuthorities }: RootPredicate): void {
  const named = new Set(Object.values(roles).flatMap(({ keys }) => keys.map(({ x }) => x)));
  const only = tlsAuthorities.length === 1 ? keyOf(tlsAuthorities[0] ?? '') : undefined;
  placeKeys(home, (use, x) => (use === 'tls-authority' ? x === only : named.has(x)), String(version));
}

/** Of the list of members alone; the network's own expiry is the earlier of this and the root's. */
export function listExpiryMs({ members }: NetworkFiles): number {
  return readStatement('members', MembersPredicate, payloadOf(members)).predicate.expiresMs;
}

/** @throws PhtError `usage.invalid` */
export function parseDays(option: string, text: string, daysMax: number = DAYS_MAX): number {
  const days = /^[0-9]{1,4}$/.test(text) ? Number(text) : 0;
  if (days >= 1 && days <= daysMax) return days;
  throw new PhtError('usage.invalid', `${option} takes a whole number from 1 to ${daysMax}`);
}

/**
 * When the next word is given: later than the last one, whatever the clock did.
 *
 * @throws PhtError `clock.untrusted`
 */
export function nextMs(frame: Frame, { freshness, issuedAtMs }: Network): number {
  const lastMs = Math.max(freshness.issuedAtMs, issuedAtMs);
  const nowMs = frame.nowMs();
  if (nowMs >= lastMs - BACKDATE_MS) return Math.max(nowMs, lastMs + 1);
  const last = new Date(lastMs).toISOString();
  throw new PhtError('clock.untrusted', `this clock is behind the network file that was issued at ${last}`, {
    hint: 'set the clock of this machine',
  });
}

/**
 * The key of a role that this home holds: one each, and for a moment its successor.
 *
 * @throws PhtError `config.missing`, `config.invalid`, `passphrase.required`, `passphrase.wrong`
 */
export async function roleSigner(
  home: Home,
  role: 'root' | 'members' | 'freshness',
  root: RootPredicate,
): Promise<Signer> {
  const named = new Set(root.roles[role].keys.map(({ x }) => x));
  const waiting = nextKeys(home)[role];
  const isNext = waiting !== undefined && named.has(waiting.x);
  const load = isNext ? loadNextKey(home, role, passphrase) : loadKey(home.dir, role, passphrase);
  const signer = createSigner(await load);
  if (named.has(signer.publicJwk.x)) return signer;
  throw new PhtError('config.invalid', `the ${role} key of this home is not one that the root names`, {
    hint: 'restore the folder keys of this home from a backup',
  });
}

/** The word that this list is the newest one, for as long as the root allows. */
export async function freshnessFor(
  { home, root, network }: Pick<Authority, 'home' | 'root'> & { network: { id: Digest } },
  newest: { version: number; digest: Digest },
  issuedAtMs: number,
): Promise<NetworkFiles['freshness']> {
  const { version: rootVersion, freshnessMsMax } = root.predicate;
  const issue = { networkId: network.id, rootVersion, issuer: home.member.id };
  const signer = await roleSigner(home, 'freshness', root.predicate);
  const times = { issuedAtMs, expiresMs: issuedAtMs + freshnessMsMax };
  return signFreshness(newest, { ...issue, ...times }, [signer]).envelope;
}
