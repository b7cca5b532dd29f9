import { createPrivateKey, generateKeyPairSync, sign as signBytes } from 'node:crypto';
import {
  createAuthority,
  type Ed25519PrivateJwk,
  issueCertificate,
  pemOf,
  privateKeyPem,
} from '../../src/adapters/wire/certificates.ts';
import type { Envelope } from '../../src/model/dsse.ts';
import { digestOf } from '../../src/model/id.ts';
import {
  type Member,
  type Network,
  openNetwork,
  type Role,
  type Witnessing,
} from '../../src/model/network.ts';
import type { Ed25519PublicJwk, X25519PublicJwk } from '../../src/model/schema.ts';
import { type Sign, signStatement } from '../../src/model/statement.ts';

/** A small network with real keys, real certificates and a real root signature, all in memory. */

const DAY_MS = 86_400_000;

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
  files: { root: Envelope; members: Envelope };
  members: Record<string, FakeMember>;
  root: Ed25519PrivateJwk;
  authority: { certificate: string; keys: Ed25519PrivateJwk };
  /** The next version without these members, signed by the same root. */
  without(...ids: string[]): { network: Network; files: { root: Envelope; members: Envelope } };
};

export type FakePlan = {
  dispatcher?: string;
  /** Further ones. */
  dispatchers?: readonly string[];
  stations?: readonly string[];
  /** An admin of a station, by id. */
  admins?: Readonly<Record<string, string>>;
  researchers?: readonly string[];
  auditors?: readonly string[];
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
  const root = ed25519();
  const authorityKeys = ed25519();
  const certificate = await createAuthority({
    title: 'A network of tests',
    keys: authorityKeys,
    notBeforeMs: nowMs - 400 * DAY_MS,
    notAfterMs: nowMs + 3650 * DAY_MS,
  });
  const authority = { certificate, keys: authorityKeys };
  const rootSigner = signerOf(root);
  const rootPredicate = {
    version: 1,
    title: 'A network of tests',
    keys: [publicOf(root)],
    tlsAuthority: certificate,
    createdAtMs: nowMs,
  };
  const subject = { name: 'root', digest: digestOf('root') };
  const signedRoot = signStatement('root', subject, rootPredicate, rootSigner);
  const networkId = signedRoot.digest;

  const members: Record<string, FakeMember> = {};
  const listed: Member[] = [];
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
      tlsCertificate,
    });
  }

  const version = (networkVersion: number, of: readonly Member[]) => {
    const predicate = {
      networkId,
      networkVersion,
      issuer: 'authority',
      issuedAtMs: nowMs,
      expiresMs: nowMs + 30 * DAY_MS,
      witnessing: plan.witnessing ?? { quorum: 'none' },
      members: of,
    };
    const signed = signStatement('network', { name: 'root', digest: networkId }, predicate, rootSigner);
    const files = { root: signedRoot.envelope, members: signed.envelope };
    return { files, network: openNetwork(files, networkId) };
  };
  let latest = 1;
  return {
    ...version(latest, listed),
    members,
    root,
    authority,
    without: (...ids) =>
      version(
        ++latest,
        listed.filter(({ id }) => !ids.includes(id)),
      ),
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
  ];
}
