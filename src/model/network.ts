import { z } from 'zod';
import type { Envelope } from './dsse.ts';
import { PhtError } from './error.ts';
import type { Digest } from './id.ts';
import { Ed25519PublicJwk, Sha256Hex, ShortText, Slug, TimestampMs, X25519PublicJwk } from './schema.ts';
import { Issued, readStatement, type Verified, verifyStatement } from './statement.ts';

/** The network file: who is a member, with which keys, signed by the offline root (protocol, section 1). */

export const ROLES = ['authority', 'dispatcher', 'station', 'researcher', 'admin', 'auditor'] as const;
export type Role = (typeof ROLES)[number];

const Certificate = z
  .string()
  .regex(/^[A-Za-z0-9+/]+={0,2}$/)
  .max(4096);

/** One key per use; a verifier selects by member, role *and* use. */
export const MemberKeys = z.strictObject({
  statement: Ed25519PublicJwk,
  tls: Ed25519PublicJwk.optional(),
  log: Ed25519PublicJwk.optional(),
  witness: Ed25519PublicJwk.optional(),
  encryption: X25519PublicJwk.optional(),
});
export type MemberKeys = z.infer<typeof MemberKeys>;

/** What a member says of itself when it asks to be admitted; self-signed to prove possession of its statement key. */
export const Enrolment = z.strictObject({
  networkId: Sha256Hex,
  member: Slug,
  role: z.enum(ROLES).exclude(['authority']),
  title: ShortText,
  organisation: ShortText,
  station: Slug.optional(),
  keys: MemberKeys,
  createdAtMs: TimestampMs,
});
export type Enrolment = z.infer<typeof Enrolment>;

/** `tlsCertificate` is DER in base64, issued by the network's own TLS authority at admission. */
export const Member = z.strictObject({
  id: Slug,
  role: z.enum(ROLES),
  title: ShortText,
  organisation: ShortText,
  station: Slug.optional(),
  keys: MemberKeys,
  tlsCertificate: Certificate.optional(),
});
export type Member = z.infer<typeof Member>;

export const RootPredicate = z.strictObject({
  version: z.literal(1),
  title: ShortText,
  keys: z.array(Ed25519PublicJwk).length(1),
  tlsAuthority: Certificate,
  createdAtMs: TimestampMs,
});
export type RootPredicate = z.infer<typeof RootPredicate>;

/**
 * Which witnesses must have cosigned a ledger's head before anything leaves on the strength of it: `quorum` of the named
 * members other than the ledger's own. `faulty` is how many of them may lie. A network too small for a quorum says none.
 */
export const Witnessing = z.union([
  z.strictObject({ quorum: z.literal('none') }),
  z.strictObject({
    // A signed note has sixteen lines, one of them its own log's.
    quorum: z.int().min(2).max(15),
    faulty: z.int().min(1).max(32),
    witnesses: z.array(Slug).min(3).max(64),
  }),
]);
export type Witnessing = z.infer<typeof Witnessing>;

export const NetworkPredicate = z.strictObject({
  ...Issued,
  issuedAtMs: TimestampMs,
  expiresMs: TimestampMs,
  witnessing: Witnessing,
  members: z.array(Member).min(1).max(1000),
});
export type NetworkPredicate = z.infer<typeof NetworkPredicate>;

/** A network that was verified down to the pinned root. */
export type Network = {
  readonly id: Digest;
  readonly version: number;
  readonly title: string;
  readonly tlsAuthority: string;
  readonly expiresMs: number;
  readonly members: ReadonlyMap<string, Member>;
  readonly witnessing: Witnessing;
  /** Digest of this version's statement: one version with two digests is misconduct. */
  readonly digest: Digest;
};

/**
 * @param pinnedId the network id that this home was told out of band; null only when it is being told now
 * @throws PhtError `network.mismatch`, `network.invalid`, `signature.invalid`
 */
export function openNetwork(files: { root: Envelope; members: Envelope }, pinnedId: string | null): Network {
  const root = openRoot(files.root);
  if (pinnedId !== null && root.digest !== pinnedId) {
    throw new PhtError(
      'network.mismatch',
      'the file belongs to another network: its id is not the pinned one',
    );
  }
  const opened = verifyStatement('network', NetworkPredicate, files.members, root.predicate.keys);
  const { predicate } = opened;
  if (predicate.networkId !== root.digest || opened.subject !== root.digest) {
    throw new PhtError('network.mismatch', 'the list of members belongs to another network');
  }
  assertDistinct(predicate.members, root.predicate.keys);
  assertWitnessing(predicate.witnessing, predicate.members);
  return {
    id: root.digest,
    version: predicate.networkVersion,
    title: root.predicate.title,
    tlsAuthority: root.predicate.tlsAuthority,
    expiresMs: predicate.expiresMs,
    members: new Map(predicate.members.map((member) => [member.id, member])),
    witnessing: predicate.witnessing,
    digest: opened.digest,
  };
}

/** The first root statement is signed by the keys it names; its digest *is* the network id, which is pinned. */
export function openRoot(envelope: Envelope): Verified<RootPredicate> {
  const claimed = readStatement('root', RootPredicate, Buffer.from(envelope.payload, 'base64'));
  return verifyStatement('root', RootPredicate, envelope, claimed.predicate.keys);
}

/** Ids and key material are unique: a key that appears twice could speak for two members or two uses. */
function assertDistinct(members: readonly Member[], rootKeys: readonly Ed25519PublicJwk[]): void {
  const ids = new Set<string>();
  const material = new Set(rootKeys.map(({ x }) => x));
  for (const member of members) {
    if (ids.has(member.id)) throw new PhtError('network.invalid', `member ${member.id} is listed twice`);
    ids.add(member.id);
    for (const jwk of Object.values(member.keys)) {
      if (jwk === undefined) continue;
      if (material.has(jwk.x)) throw new PhtError('network.invalid', `a key of ${member.id} appears twice`);
      material.add(jwk.x);
    }
  }
}

/**
 * A quorum has to hold for every ledger of the network, each without its own operator: any two quorums share an honest
 * witness (2k > n + f), and no dispatcher reaches it alone (protocol, section 7).
 */
function assertWitnessing(witnessing: Witnessing, members: readonly Member[]): void {
  if (witnessing.quorum === 'none') return;
  const { quorum, faulty, witnesses } = witnessing;
  const invalid = (why: string): PhtError => new PhtError('network.invalid', `the witnesses: ${why}`);
  if (new Set(witnesses).size !== witnesses.length) throw invalid('one is named twice');
  const named = witnesses.map((id) => members.find((member) => member.id === id));
  for (const [at, member] of named.entries()) {
    if (member?.keys.witness === undefined) throw invalid(`${witnesses[at]} has no witness key`);
  }
  const logs = members.filter(({ role }) => role === 'dispatcher' || role === 'station');
  const outsider = logs.some(({ id }) => !witnesses.includes(id));
  const [fewest, most] = [witnesses.length - 1, witnesses.length - (outsider ? 0 : 1)];
  if (quorum > fewest)
    throw invalid(`${quorum} cannot be reached by the ${fewest} that a witness's own ledger has`);
  if (2 * quorum <= most + faulty)
    throw invalid(`${quorum} of ${most} is too few with ${faulty} that may lie`);
  const dispatchers = named.filter((member) => member?.role === 'dispatcher').length;
  if (quorum <= dispatchers) throw invalid('the quorum must not be met by dispatchers alone');
}

/** @throws PhtError `signer.unknown` when no member of that id has that role */
export function memberOf(network: Network, id: string, role: Role): Member {
  const member = network.members.get(id);
  if (member === undefined || member.role !== role) {
    const article = /^[aeiou]/.test(role) ? 'an' : 'a';
    throw new PhtError('signer.unknown', `${id} is not ${article} ${role} of this network`);
  }
  return member;
}

export function membersOf(network: Network, role: Role): Member[] {
  return [...network.members.values()].filter((member) => member.role === role);
}

/** @throws PhtError `network.expired` */
export function assertCurrent(network: Network, nowMs: number): void {
  if (nowMs >= network.expiresMs) {
    throw new PhtError('network.expired', 'the network file has expired', {
      hint: 'ask the network authority for the current file and import it with: pht network import FILE',
    });
  }
}

/** Statements speak of one network and of a version that exists. */
export function assertSameNetwork(
  network: Network,
  issued: { networkId: string; networkVersion: number },
): void {
  if (issued.networkId !== network.id) {
    throw new PhtError('network.mismatch', 'the statement belongs to another network');
  }
}
