import { z } from 'zod';
import { PhtError } from './error.ts';
import type { Digest } from './id.ts';
import { Ed25519PublicJwk, ShortText, Slug, TimestampMs, X25519PublicJwk } from './schema.ts';
import { SKEW_MS } from './skew.ts';

/** Who is a member, with which keys, and who was: a network that was verified down to the pinned root. */

export const ROLES = ['authority', 'dispatcher', 'station', 'researcher', 'admin', 'auditor'] as const;
export type Role = (typeof ROLES)[number];

/** One key per use; a verifier selects by member, role *and* use. */
export const MemberKeys = z.strictObject({
  statement: Ed25519PublicJwk,
  tls: Ed25519PublicJwk.optional(),
  log: Ed25519PublicJwk.optional(),
  witness: Ed25519PublicJwk.optional(),
  encryption: X25519PublicJwk.optional(),
});
export type MemberKeys = z.infer<typeof MemberKeys>;

/** `person` is the natural person behind the member; without it the member is that person by itself. */
export const Member = z.strictObject({
  id: Slug,
  role: z.enum(ROLES),
  title: ShortText,
  organisation: ShortText,
  person: Slug.optional(),
  station: Slug.optional(),
  keys: MemberKeys,
});
export type Member = z.infer<typeof Member>;

const Version = z.int().min(1).max(1_000_000);

/** `renewed`: replaced by another entry of the same member. `invalidAfterMs`: known to be in other hands since then. */
export const Ended = z.strictObject({
  version: Version,
  atMs: TimestampMs,
  why: z.enum(['renewed', 'revoked']),
  reason: ShortText.optional(),
  invalidAfterMs: TimestampMs.optional(),
});
export type Ended = z.infer<typeof Ended>;

/** A member as it stood in the versions from `since` until, and without, `ended.version`. */
export const Span = z.strictObject({ ...Member.shape, since: Version, ended: Ended.optional() });
export type Span = z.infer<typeof Span>;

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

/** The rule of the versions from `since` on, until the next one's. */
export const WitnessingSpan = z.strictObject({ since: Version, rule: Witnessing });
export type WitnessingSpan = z.infer<typeof WitnessingSpan>;

export type Network = {
  readonly id: Digest;
  /** Of the list of members. */
  readonly version: number;
  readonly title: string;
  readonly rootVersion: number;
  /** DER in base64. */
  readonly tlsAuthorities: readonly string[];
  /** The earlier of root's and members' own. */
  readonly expiresMs: number;
  readonly issuedAtMs: number;
  readonly freshness: Freshness;
  readonly members: ReadonlyMap<string, Member>;
  readonly witnessing: Witnessing;
  /** Digest of this version's list: one version with two digests is misconduct. */
  readonly digest: Digest;
  /** Of the version before; null for the first. */
  readonly previousDigest: string | null;
  /** By member id, DER in base64; whether one is sound, TLS says. */
  readonly certificates: ReadonlyMap<string, string>;
  readonly spans: readonly Span[];
  readonly witnessingSpans: readonly WitnessingSpan[];
};

/** `version`: of the newest list of members there is, by the authority's word of `issuedAtMs`. */
export type Freshness = {
  readonly version: number;
  readonly issuedAtMs: number;
  readonly expiresMs: number;
};

/** @throws PhtError `signer.unknown` when no member of that id has that role */
export function memberOf(network: Network, id: string, role: Role): Member {
  const member = network.members.get(id);
  if (member === undefined || member.role !== role) throw stranger(network, id, role);
  return member;
}

export function membersOf(network: Network, role: Role): Member[] {
  return [...network.members.values()].filter((member) => member.role === role);
}

/** The natural person behind a member: four eyes are two of them, whatever keys they hold. */
export function personOf({ id, person }: Pick<Member, 'id' | 'person'>): string {
  return person ?? id;
}

/** For looking back at what was accepted then: nothing runs on the strength of it. */
export const LOOKING_BACK: number = Number.NEGATIVE_INFINITY;

type IssuedBy = { networkId: string; networkVersion: number; issuer: string };

/**
 * Whose keys judge a statement: those that the issuer had in the network version that the statement names. After a
 * revocation, or with a key that is in other hands, a statement counts only when it is proved to be older.
 *
 * @param provenAtMs when the statement is proved to have been on record: the time that witnesses put on a checkpoint
 *   over its entry. null when nothing is proved, as for everything that is only now to be acted upon.
 * @throws PhtError `network.mismatch`, `network.behind`, `signer.unknown`, `signer.revoked`
 */
export function signerOf(
  network: Network,
  { networkId, networkVersion, issuer }: IssuedBy,
  role: Role,
  provenAtMs: number | null = null,
): Member {
  if (networkId !== network.id) {
    throw new PhtError('network.mismatch', 'the statement belongs to another network');
  }
  if (networkVersion > network.version) {
    throw new PhtError(
      'network.behind',
      `the statement names version ${networkVersion} of the network file, and this home has version ${network.version}`,
      { hint: 'fetch the current file: pht network import FILE' },
    );
  }
  const own = network.spans.filter(({ id }) => id === issuer);
  const span = own.find((each) => holdsIn(each, networkVersion));
  if (span === undefined || span.role !== role) {
    const gone = own.find(({ role: was, ended }) => was === role && ended?.why === 'revoked');
    if (gone !== undefined) throw revoked(gone);
    throw stranger(network, issuer, role);
  }
  const end = endOfTrust(own, span);
  if (end !== null && (provenAtMs === null || provenAtMs >= end.atMs)) throw revoked(end.span);
  return memberIn(span);
}

/** From when on nothing signed with this entry's keys counts by itself; null while it counts. */
function endOfTrust(own: readonly Span[], span: Span): { atMs: number; span: Span } | null {
  const ends = own
    .filter(({ since }) => since >= span.since)
    .flatMap((each) => {
      const { why, atMs = 0, invalidAfterMs } = each.ended ?? {};
      const revoked = why === 'revoked' ? [{ atMs, span: each }] : [];
      // A key in other hands signs for the earlier entries that name it as well.
      const isStolen = invalidAfterMs !== undefined && each.keys.statement.x === span.keys.statement.x;
      return isStolen ? [...revoked, { atMs: invalidAfterMs, span: each }] : revoked;
    });
  return ends.reduce<(typeof ends)[number] | null>(
    (first, each) => (first === null || each.atMs < first.atMs ? each : first),
    null,
  );
}

/** Whether an entry stands in that version. */
export function holdsIn({ since, ended }: Span, version: number): boolean {
  return since <= version && (ended === undefined || version < ended.version);
}

/** The entry alone, as it stood: what people are shown and case files hold. */
export function memberIn({ since: _since, ended: _ended, ...member }: Span): Member {
  return member;
}

/** @throws PhtError `network.expired` */
export function assertCurrent(network: Network, nowMs: number): void {
  if (nowMs >= network.expiresMs) {
    throw new PhtError('network.expired', 'the network file has expired', {
      hint: 'ask the network authority for the current file and import it with: pht network import FILE',
    });
  }
}

/**
 * Nothing newer is being withheld: the authority's word on that is young enough, and what it names is here. Without it
 * there is no new run and no release.
 *
 * @throws PhtError `network.expired`, `network.stale`, `network.behind`
 */
export function assertFresh(network: Network, nowMs: number): void {
  assertCurrent(network, nowMs);
  const { version, issuedAtMs, expiresMs } = network.freshness;
  if (issuedAtMs > nowMs + SKEW_MS)
    throw new PhtError(
      'network.stale',
      "the authority's word on the network file is of the future; a clock is wrong",
    );
  if (nowMs >= expiresMs) {
    throw new PhtError(
      'network.stale',
      "the authority's word that the network file is the newest is too old",
      {
        hint: 'look whether the authority still runs pht network freshen, and whether its files arrive here',
      },
    );
  }
  if (version > network.version) {
    throw new PhtError(
      'network.behind',
      `the authority has issued version ${version} of the network file, and version ${network.version} is here`,
      { hint: 'fetch the current file: pht network import FILE' },
    );
  }
}

function stranger(network: Network, id: string, role: Role): PhtError {
  const gone = network.spans.find(
    (span) => span.id === id && span.role === role && span.ended?.why === 'revoked',
  );
  if (gone !== undefined) return revoked(gone);
  const article = /^[aeiou]/.test(role) ? 'an' : 'a';
  return new PhtError('signer.unknown', `${id} is not ${article} ${role} of this network`);
}

function revoked({ id, role, ended }: Span): PhtError {
  const on = ended === undefined ? '' : ` since version ${ended.version} of the network file`;
  return new PhtError('signer.revoked', `the keys of ${role} ${id} count no more${on}`);
}
