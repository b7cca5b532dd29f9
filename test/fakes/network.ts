import { createPrivateKey, generateKeyPairSync, sign as signBytes } from 'node:crypto';
import {
  createAuthority,
  type Ed25519PrivateJwk,
  issueCertificate,
  pemOf,
  privateKeyPem,
} from '../../src/adapters/wire/certificates.ts';
import { firstList, type ListChange, type MembersList, nextList } from '../../src/journey/authority/list.ts';
import { signFreshness, signMembers, signRoot } from '../../src/journey/authority/sign.ts';
import type { Digest } from '../../src/model/id.ts';
import type { Member, Network, Role, Witnessing } from '../../src/model/network.ts';
import type { NetworkFiles } from '../../src/model/network-statements.ts';
import { openNetwork } from '../../src/model/open-network.ts';
import type { Ed25519PublicJwk, X25519PublicJwk } from '../../src/model/schema.ts';
import type { Sign } from '../../src/model/statement.ts';

/** A small network with real keys, real certificates and a real root signature, all in memory. */

const DAY_MS = 86_400_000;
const FRESHNESS_MS = 7 * DAY_MS;

export type X25519PrivateJwk = X25519PublicJwk & { d: string };
export type FakeKeys = {
  statement: Ed25519PrivateJwk;
  tls: Ed25519PrivateJwk;
  log: Ed25519PrivateJwk;
  witness: Ed25519PrivateJwk;
  encryption: X25519PrivateJwk;
};
export type FakeMember = {
  id: string;
  role: Role;
  keys: FakeKeys;
  /** What `serve` and `connect` take as `tls`. */
  tls: { authorityPem: string; certificatePem: string; privateKeyPem: string };
  signer: { sign: Sign; publicJwk: Ed25519PublicJwk };
};
export type FakeNetwork = {
  network: Network;
  files: NetworkFiles;
  members: Record<string, FakeMember>;
  /** Of the three roles. */
  roles: FakeRoles;
  authority: { certificate: string; keys: Ed25519PrivateJwk };
  /** The next version without these members: revoked. */
  without(...ids: string[]): Opened;
  /** The next version, or the same one with a freshness statement of that time. Each call follows the one before. */
  next(change: ListChange & Partial<Times>): Opened;
  /** Another second version, beside whatever came of the first one. */
  fork(change: ListChange): Opened;
  /** The same members with the word of that moment that they are the newest. */
  fresh(issuedAtMs: number, change?: { version?: number }): Opened;
};

type Opened = { network: Network; files: NetworkFiles };
type Times = { issuedAtMs: number; expiresMs: number };
export type FakeRoles = Record<'root' | 'members' | 'freshness', Ed25519PrivateJwk>;

export type FakePlan = {
  dispatcher?: string;
  /** Further ones. */
  dispatchers?: readonly string[];
  stations?: readonly string[];
  /** An admin of a station, by id. */
  admins?: Readonly<Record<string, string>>;
  researchers?: readonly string[];
  auditors?: readonly string[];
  /** Who gives the network file out, over its own connection. */
  authorities?: readonly string[];
  /** No quorum unless said. */
  witnessing?: Witnessing;
  nowMs?: number;
  /** How long the certificates have been valid, and for how much longer. */
  certificates?: { notBeforeMs: number; notAfterMs: number };
};

/** @returns `members` by id; the dispatcher is `dispatcher` unless named otherwise */
export async function makeNetwork(plan: FakePlan = {}): Promise<FakeNetwork> {
  const nowMs = plan.nowMs ?? Date.now();
  const validity = plan.certificates ?? { notBeforeMs: nowMs - DAY_MS, notAfterMs: nowMs + 365 * DAY_MS };
  const roles = { root: ed25519(), members: ed25519(), freshness: ed25519() };
  const authorityKeys = ed25519();
  const certificate = await createAuthority({
    title: 'A network of tests',
    keys: authorityKeys,
    notBeforeMs: nowMs - 400 * DAY_MS,
    notAfterMs: nowMs + 3650 * DAY_MS,
  });
  const authority = { certificate, keys: authorityKeys };
  const only = (jwk: Ed25519PrivateJwk) => ({ keys: [publicOf(jwk)], threshold: 1 });
  const signedRoot = signRoot(
    {
      networkId: null,
      version: 1,
      previousDigest: null,
      title: 'A network of tests',
      roles: { root: only(roles.root), members: only(roles.members), freshness: only(roles.freshness) },
      freshnessMsMax: FRESHNESS_MS,
      tlsAuthorities: [certificate],
      issuedAtMs: nowMs,
      expiresMs: nowMs + 3650 * DAY_MS,
    },
    [signerOf(roles.root)],
  );
  const networkId = signedRoot.digest;

  const members: Record<string, FakeMember> = {};
  const listed: Member[] = [];
  const certificates: Record<string, string> = {};
  for (const { id, role, station } of planned(plan)) {
    const keys = {
      statement: ed25519(),
      tls: ed25519(),
      log: ed25519(),
      witness: ed25519(),
      encryption: x25519(),
    };
    const tlsCertificate = await issueCertificate({
      authority,
      networkId,
      memberId: id,
      publicJwk: publicOf(keys.tls),
      ...validity,
    });
    members[id] = {
      id,
      role,
      keys,
      signer: signerOf(keys.statement),
      tls: tlsOf(certificate, tlsCertificate, keys.tls),
    };
    listed.push({
      id,
      role,
      title: `${role} ${id}`,
      organisation: `Organisation of ${id}`,
      ...(station === undefined ? {} : { station }),
      keys: publicKeysOf(keys),
    });
    certificates[id] = tlsCertificate;
  }

  const issue = { networkId, rootVersion: 1, issuer: 'authority' };
  const times = { issuedAtMs: nowMs, expiresMs: nowMs + 30 * DAY_MS };
  const fresh = (issuedAtMs: number, newest: { version: number; digest: Digest }) =>
    signFreshness(newest, { ...issue, issuedAtMs, expiresMs: issuedAtMs + FRESHNESS_MS }, [
      signerOf(roles.freshness),
    ]).envelope;
  const version = (list: MembersList, when: Times, previousDigest: Digest | null): Opened => {
    const signed = signMembers(list, { ...issue, ...when, previousDigest }, [signerOf(roles.members)]);
    const freshness = fresh(when.issuedAtMs, { version: list.version, digest: signed.digest });
    const files = { roots: [signedRoot.envelope], members: signed.envelope, freshness, certificates };
    return { files, network: openNetwork(files, networkId) };
  };
  const first = version(firstList(listed, plan.witnessing ?? { quorum: 'none' }), times, null);
  let latest = first;
  const next: FakeNetwork['next'] = ({ issuedAtMs, expiresMs, ...change }) => {
    const when = { issuedAtMs: issuedAtMs ?? times.issuedAtMs, expiresMs: expiresMs ?? times.expiresMs };
    latest = version(nextList(latest.network, change, when.issuedAtMs), when, latest.network.digest);
    return latest;
  };
  return {
    ...latest,
    members,
    roles,
    authority,
    next,
    without: (...ids) => next({ revoked: ids.map((id) => ({ id, reason: 'for a test' })) }),
    fork: (change) => version(nextList(first.network, change, nowMs), times, first.network.digest),
    fresh: (issuedAtMs, change = {}) => {
      const newest = { version: latest.network.version, digest: latest.network.digest, ...change };
      const files = { ...latest.files, freshness: fresh(issuedAtMs, newest) };
      return { files, network: openNetwork(files, networkId) };
    },
  };
}

/** A member by id, or a test that names a wrong one fails. */
export function memberIn(fake: FakeNetwork, id: string): FakeMember {
  const member = fake.members[id];
  if (member === undefined) throw new Error(`the fake network has no member ${id}`);
  return member;
}

export function ed25519(): Ed25519PrivateJwk {
  return generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }) as Ed25519PrivateJwk;
}

export function x25519(): X25519PrivateJwk {
  return generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' }) as X25519PrivateJwk;
}

export function publicOf<K extends Ed25519PrivateJwk | X25519PrivateJwk>(jwk: K): Omit<K, 'd'> {
  const { d: _private, ...rest } = jwk;
  return rest;
}

export function signerOf(jwk: Ed25519PrivateJwk): { sign: Sign; publicJwk: Ed25519PublicJwk } {
  const key = createPrivateKey({ key: { ...jwk }, format: 'jwk' });
  return { sign: (message) => signBytes(null, message, key), publicJwk: publicOf(jwk) };
}

export function tlsOf(authority: string, certificate: string, keys: Ed25519PrivateJwk): FakeMember['tls'] {
  return {
    authorityPem: pemOf(authority),
    certificatePem: pemOf(certificate),
    privateKeyPem: privateKeyPem(keys),
  };
}

function publicKeysOf(keys: FakeKeys): Member['keys'] {
  return {
    statement: publicOf(keys.statement),
    tls: publicOf(keys.tls),
    log: publicOf(keys.log),
    witness: publicOf(keys.witness),
    encryption: publicOf(keys.encryption),
  };
}

function planned(plan: FakePlan): { id: string; role: Role; station?: string }[] {
  const ofRole = (role: Role, ids: readonly string[] = []) => ids.map((id) => ({ id, role }));
  return [
    { id: plan.dispatcher ?? 'dispatcher', role: 'dispatcher' },
    ...(plan.dispatchers ?? []).map((id) => ({ id, role: 'dispatcher' as const })),
    ...ofRole('station', plan.stations ?? ['north', 'south']),
    ...Object.entries(plan.admins ?? {}).map(([id, station]) => ({ id, role: 'admin' as const, station })),
    ...ofRole('researcher', plan.researchers ?? ['rosa']),
    ...ofRole('auditor', plan.auditors),
    ...ofRole('authority', plan.authorities),
  ];
}
