import { type Envelope, keyIdOf, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import type { Member, MemberKeys, Network, Role } from '../../model/network.ts';
import { Enrolment, Renewal } from '../../model/network-statements.ts';
import type { Ed25519PublicJwk } from '../../model/schema.ts';
import { claimedType, readStatement, verifyStatement } from '../../model/statement.ts';

/** What the authority checks of those who ask to be admitted, before any of its own keys is touched. */

/** Proof that the sender holds its TLS key. @throws PhtError `certificate.invalid` */
export type CheckRequest = (
  request: string,
  expected: { networkId: string; memberId: string; publicJwk: Ed25519PublicJwk },
) => Promise<void>;

export type Desk = {
  readonly network: Network;
  /** The member keys that each role holds, no more and no fewer. */
  readonly usesOf: (role: Role) => readonly string[];
  readonly checkRequest: CheckRequest;
};

/** What a file asks for; null when the network says so already. */
export type Asked =
  | { readonly kind: 'enrolment'; readonly member: Member }
  | { readonly kind: 'renewal'; readonly member: Member };

/**
 * An enrolment, or the new keys of a member. The signature proves that the sender holds the statement key; who the sender
 * is, a person checks.
 *
 * @param what the file, for errors
 * @throws PhtError `signature.invalid`, `statement.*`, `network.mismatch`, `network.invalid`, `certificate.invalid`,
 *   `conflict`, `signer.unknown`
 */
export async function readAsked(envelope: Envelope, what: string, desk: Desk): Promise<Asked | null> {
  return claimedType(payloadOf(envelope), ['enrolment', 'renewal']) === 'renewal'
    ? readRenewal(envelope, what, desk)
    : readEnrolment(envelope, what, desk);
}

async function readEnrolment(envelope: Envelope, what: string, desk: Desk): Promise<Asked | null> {
  const { network } = desk;
  const claimed = readStatement('enrolment', Enrolment, payloadOf(envelope)).predicate;
  const { predicate } = verifyStatement('enrolment', Enrolment, envelope, [claimed.keys.statement]);
  if (predicate.networkId !== network.id)
    throw new PhtError('network.mismatch', `${what} asks for admission to another network`);
  const { member: id, role, title, organisation, person, station, keys, tlsRequest } = predicate;
  assertUses(desk, role, keys, what);
  const known = network.members.get(id);
  if (known !== undefined) {
    if (known.role === role && sameKeys(known.keys, keys)) return null;
    throw new PhtError(
      'conflict',
      `${id} is a member already, with other keys or in another role; nobody was admitted`,
      { hint: 'find out who sent this enrolment; a new member takes a new id' },
    );
  }
  assertUnused(network, id, keys, {});
  await assertProved(desk, id, keys, tlsRequest);
  const member: Member = {
    ...{ id, role, title, organisation },
    ...(person === undefined ? {} : { person }),
    ...(station === undefined ? {} : { station }),
    keys,
  };
  return { kind: 'enrolment', member };
}

async function readRenewal(envelope: Envelope, what: string, desk: Desk): Promise<Asked | null> {
  const { network } = desk;
  const claimed = readStatement('renewal', Renewal, payloadOf(envelope)).predicate;
  const member = network.members.get(claimed.issuer);
  if (claimed.networkId !== network.id)
    throw new PhtError('network.mismatch', `${what} is of another network`);
  if (member === undefined)
    throw new PhtError('signer.unknown', `${what}: ${claimed.issuer} is no member of this network`);
  if (sameKeys(member.keys, claimed.keys)) return null;
  // By the keys of now, not of the version it names: an old renewal must not come back.
  const signers = distinct([member.keys.statement, claimed.keys.statement]);
  const { predicate } = verifyStatement('renewal', Renewal, envelope, signers, signers.length);
  const { keys, tlsRequest } = predicate;
  assertUses(desk, member.role, keys, what);
  assertUnused(network, member.id, keys, member.keys);
  if (keys.tls?.x !== member.keys.tls?.x) await assertProved(desk, member.id, keys, tlsRequest);
  return { kind: 'renewal', member: { ...member, keys } };
}

function assertUses({ usesOf }: Desk, role: Role, keys: MemberKeys, what: string): void {
  const held = Object.entries(keys).flatMap(([use, jwk]) => (jwk === undefined ? [] : [use]));
  const needed = usesOf(role);
  if (held.length === needed.length && held.every((use) => needed.includes(use))) return;
  throw new PhtError('network.invalid', `${what}: a ${role} has the keys ${needed.join(', ')} and no others`);
}

/** Key material is never admitted twice, not even after the member that had it has gone. */
function assertUnused(network: Network, id: string, keys: MemberKeys, kept: Partial<MemberKeys>): void {
  const known = new Map<string, string>();
  for (const span of network.spans)
    for (const jwk of Object.values(span.keys)) if (jwk !== undefined) known.set(jwk.x, span.id);
  const before = new Set(Object.values(kept).map((jwk) => jwk?.x));
  for (const [use, jwk] of Object.entries(keys)) {
    if (jwk === undefined || before.has(jwk.x)) continue;
    const holder = known.get(jwk.x);
    if (holder === undefined) continue;
    throw new PhtError(
      'conflict',
      `the ${use} key of ${id} (${keyIdOf(jwk).slice(0, 16)}) was one of ${holder} before; nobody was admitted`,
      { hint: 'the member makes new keys: a key counts for one member, one use and one time' },
    );
  }
}

async function assertProved(
  { network, checkRequest }: Desk,
  memberId: string,
  keys: MemberKeys,
  request: string | undefined,
): Promise<void> {
  const { tls } = keys;
  if ((tls === undefined) !== (request === undefined))
    throw new PhtError(
      'certificate.invalid',
      `${memberId}: a TLS key and its certificate request go together`,
    );
  if (tls !== undefined && request !== undefined)
    await checkRequest(request, { networkId: network.id, memberId, publicJwk: tls });
}

const distinct = (keys: Ed25519PublicJwk[]): Ed25519PublicJwk[] =>
  keys.filter(({ x }, at) => keys.findIndex((other) => other.x === x) === at);

function sameKeys(one: MemberKeys, two: MemberKeys): boolean {
  const uses = ['statement', 'tls', 'log', 'witness', 'encryption'] as const;
  return uses.every((use) => one[use]?.x === two[use]?.x);
}

/**
 * Whom the members together make up: an admin's station is there, and only admins name one.
 *
 * @throws PhtError `network.invalid`
 */
export function assertStations(members: readonly Member[]): void {
  for (const { id, role, station } of members) {
    if ((role === 'admin') !== (station !== undefined))
      throw new PhtError('network.invalid', `${id}: an admin, and nobody else, names a station`);
    if (station === undefined || members.some((other) => other.id === station && other.role === 'station'))
      continue;
    throw new PhtError(
      'network.invalid',
      `${id} governs ${station}, which is not a station of this network`,
      { hint: 'admit the station first, or both in one command; revoke its admins with a station' },
    );
  }
}
