import { nextKeys } from '../adapters/home/key-rotation.ts';
import { type Ed25519PrivateJwk, generateKey, publicOf } from '../adapters/home/keys.ts';
import type { Home } from '../adapters/home/member.ts';
import { PhtError } from '../model/error.ts';
import { datesOf, faultOf, readCertificate } from '../model/member-certificate.ts';
import type { RoleKeys, RootPredicate } from '../model/network-statements.ts';
import type { Signer } from '../ports/signer.ts';
import type { Frame } from './frame.ts';
import { issuingAuthority } from './network-certify.ts';
import { type Authority, BACKDATE_MS, openAuthority, parseDays, roleSigner } from './network-desk.ts';
import { newTlsAuthority } from './network-init.ts';
import { type HeldRole, type RoleOptions, roleKeysFrom, saysHolders } from './network-role-key.ts';
import { type NewRoot, ownRootSigner, proposeRoot } from './network-root.ts';
import { outcomeLines } from './network-take-over.ts';

/** `pht network rotate` in the authority's home: each a new root, as it is the root that names keys. */

export type RotateOptions = RoleOptions & {
  lost?: true;
  rootExpiresDays: string;
  retire?: true;
  atOnce?: true;
};
export type RotatedRole = 'root' | 'members' | 'freshness' | 'tls-authority';

/** @throws PhtError `config.missing` without the root key, `usage.invalid`, `passphrase.required` */
export async function rotateRole(frame: Frame, what: RotatedRole, options: RotateOptions): Promise<void> {
  const authority = openAuthority(frame);
  const expiresDays = parseDays('--root-expires-days', options.rootExpiresDays);
  for (const role of ['root', 'members'] as const)
    if (what !== role && saysHolders(role, options))
      throw new PhtError('usage.invalid', `--${role}-key and --${role}-threshold go with rotate ${role}`);
  if (what !== 'tls-authority' && (options.retire === true || options.atOnce === true))
    throw new PhtError('usage.invalid', '--retire and --at-once go with rotate tls-authority');
  if (options.lost === true && (what !== 'root' || options.rootKey === undefined))
    throw new PhtError('usage.invalid', '--lost goes with rotate root, and --root-key for each other holder');
  const next = { ...(await changeOf(frame, what, authority, options)), expiresDays };
  const outcome = await proposeRoot(frame, authority, next);
  const { home, network } = authority;
  const done = 'network' in outcome;
  frame.output.result(
    {
      ...{ networkId: network.id, rotated: what, inForce: done },
      ...(done ? { rootVersion: outcome.network.rootVersion, version: outcome.network.version } : outcome),
    },
    [...outcomeLines(home, outcome), ...LATER[what](options, done)],
  );
}

const OFFLINE = 'Take keys/root.jwe offline again.';
const LATER: Readonly<Record<RotatedRole, (options: RotateOptions, done: boolean) => string[]>> = {
  root: (_options, done) =>
    done
      ? [
          'Take the new keys/root.jwe offline; the one before it is in keys/former.',
          'Destroy that once every member has the new root.',
        ]
      : ['Take keys/root.jwe and keys/next/root.jwe offline once that is done.'],
  members: () => [OFFLINE],
  freshness: () => [OFFLINE],
  'tls-authority': ({ retire, atOnce }) =>
    retire === true || atOnce === true
      ? [OFFLINE]
      : [
          OFFLINE,
          'The new authority issues once every fresh member knows it;',
          'pht network freshen sees to that.',
          'Then drop the old one with: pht network rotate tls-authority --retire',
        ],
};

type Change = Omit<NewRoot, 'expiresDays'>;

async function changeOf(
  frame: Frame,
  what: RotatedRole,
  authority: Authority,
  options: RotateOptions,
): Promise<Change> {
  if (what === 'tls-authority') return tlsChange(frame, authority, options);
  const key = generateKey(what);
  // One key alone: a timer signs with it.
  if (what === 'freshness')
    return { change: { freshness: { keys: [publicOf(key)], threshold: 1 } }, keys: { freshness: key } };
  return {
    change: { [what]: await nextHolders(what, authority, key, options) },
    keys: { [what]: key },
    ...(options.lost === true ? { withoutOld: true } : {}),
  };
}

/** The authority's own key is replaced; those of the other holders stay, or are given anew. */
async function nextHolders(
  role: HeldRole,
  { home, root }: Authority,
  key: Ed25519PrivateJwk,
  options: RotateOptions,
): Promise<RoleKeys> {
  const own = publicOf(key);
  const before = root.predicate.roles[role];
  // Without a key that is given anew, holders and threshold stay: nobody is dropped by a word that was left out.
  const given = role === 'root' ? options.rootKey : options.membersKey;
  if (given !== undefined) return roleKeysFrom(role, own, options, before);
  if (before.keys.length === 1) return roleKeysFrom(role, own, options, { ...before, keys: [own] });
  const { publicJwk } = await ownSigner(role, home, root.predicate);
  const keys = before.keys.map((each) => (each.x === publicJwk.x ? own : each));
  return roleKeysFrom(role, own, options, { ...before, keys });
}

async function ownSigner(role: HeldRole, home: Home, root: RootPredicate): Promise<Signer> {
  if (role === 'root') return ownRootSigner(home, root);
  try {
    return await roleSigner(home, 'members', root);
  } catch (thrown) {
    if (!(thrown instanceof PhtError) || thrown.code !== 'config.missing') throw thrown;
    throw new PhtError(
      'config.missing',
      'the members key of this home is lost: which one is to be replaced?',
      {
        cause: thrown,
        hint: 'name those that stay, with --members-key FILE for each other holder',
      },
    );
  }
}

async function tlsChange(
  frame: Frame,
  authority: Authority,
  { retire, atOnce }: RotateOptions,
): Promise<Change> {
  const { predicate } = authority.root;
  const held = predicate.tlsAuthorities;
  const waiting = nextKeys(authority.home)['tls-authority'] !== undefined;
  if (retire === true) return { change: { tlsAuthorities: [await remaining(frame, authority)] }, keys: {} };
  if (waiting && held.length > 1)
    throw new PhtError('conflict', 'a new TLS authority is on its way already', {
      hint: 'pht network freshen lets it take over; then: pht network rotate tls-authority --retire',
    });
  if (held.length > 1)
    throw new PhtError('conflict', 'two TLS authorities are in force already', {
      hint: 'drop the old one first: pht network rotate tls-authority --retire',
    });
  const keys = generateKey('tls-authority');
  const made = await newTlsAuthority(predicate.title, keys, frame.nowMs());
  const tlsAuthorities = atOnce === true ? [made] : [...held, made];
  return { change: { tlsAuthorities }, keys: { 'tls-authority': keys } };
}

/** The one that issues now. Everybody must have had the time to fetch a certificate of it. */
async function remaining(frame: Frame, { home, root, network }: Authority): Promise<string> {
  const { tlsAuthorities, freshnessMsMax } = root.predicate;
  if (tlsAuthorities.length < 2) throw new PhtError('usage.invalid', 'there is no old TLS authority to drop');
  const early = (why: string): PhtError =>
    new PhtError('conflict', `the old TLS authority cannot be dropped yet: ${why}`, {
      hint: 'pht network freshen lets the new one take over; try again some days later',
    });
  if (nextKeys(home)['tls-authority'] !== undefined) throw early('the new one has not taken over');
  const current = await issuingAuthority(home, root.predicate);
  const judge = { id: network.id, tlsAuthorities: [current], members: network.members };
  const sinceMs = [...network.certificates].map(([id, text]) => {
    const certificate = readCertificate(text);
    if (certificate === null || faultOf(certificate, judge, id) !== null)
      throw early(`the certificate of ${id} is still of the old one`);
    return datesOf(certificate).notBeforeMs + BACKDATE_MS;
  });
  // The oldest of them was issued when the new one took over, or later.
  const untilMs = Math.min(...sinceMs) + freshnessMsMax;
  if (frame.nowMs() < untilMs)
    throw early(`members have until ${new Date(untilMs).toISOString().slice(0, 10)} to fetch theirs`);
  return current;
}
