import { ledgerOrigin, logKey, witnessKey } from './ledger/origin.ts';
import type { NoteKey } from './ledger/vkey.ts';
import type { Network, Span } from './network.ts';
import type { Ed25519PublicJwk } from './schema.ts';

/**
 * One key that a member had for its log or as a witness. What it signed counts when it is known to be older than
 * `endsMs`, the member's revocation or the moment since when the key is in other hands; null while it counts by itself.
 */
export type PastKey = {
  readonly key: NoteKey;
  /** First version of the list that names it. */
  readonly since: number;
  readonly endsMs: number | null;
  /** Said to be in other hands: what it signed is nobody's misconduct. */
  readonly stolen: boolean;
};

/** The keys that a member's log was, is and will be signed with, oldest first. */
export function logKeysOf(network: Network, member: string): readonly PastKey[] {
  const origin = ledgerOrigin(network.id, member);
  return remembered(network, `log ${network.id} ${member}`, (own) =>
    pastKeys(
      own(member),
      ({ keys }) => keys.log,
      (jwk) => logKey(origin, jwk),
    ),
  );
}

/** The keys that a member cosigns with, and did, oldest first. */
export function witnessKeysOf(network: Network, member: string): readonly PastKey[] {
  return remembered(network, `witness ${network.id} ${member}`, (own) =>
    pastKeys(
      own(member),
      ({ keys }) => keys.witness,
      (jwk) => witnessKey(network.id, member, jwk),
    ),
  );
}

/** All that this member's own log may be signed with: its key at hand, listed or not, and those that were listed. */
export function ownLogKeys(network: Network, member: string, publicJwk: Ed25519PublicJwk): NoteKey[] {
  const own = logKey(ledgerOrigin(network.id, member), publicJwk);
  const listed = logKeysOf(network, member).map(({ key }) => key);
  return [own, ...listed.filter((key) => !isKey(key, own))];
}

const known = new WeakMap<readonly Span[], Map<string, readonly PastKey[]>>();

/** A list changes rarely, and reading a key costs more than verifying with it. */
function remembered(
  { spans }: Network,
  name: string,
  make: (own: (member: string) => Span[]) => PastKey[],
): readonly PastKey[] {
  const of = known.get(spans) ?? new Map<string, readonly PastKey[]>();
  known.set(spans, of);
  const keys = of.get(name) ?? make((member) => spans.filter(({ id }) => id === member));
  of.set(name, keys);
  return keys;
}

function pastKeys(
  own: readonly Span[],
  of: (span: Span) => Ed25519PublicJwk | undefined,
  noted: (jwk: Ed25519PublicJwk) => NoteKey,
): PastKey[] {
  const past: { x: string; key: PastKey }[] = [];
  for (const [at, span] of own.entries()) {
    const jwk = of(span);
    if (jwk === undefined) continue;
    const ends = endsMsOf(own, at);
    const stolen = span.ended?.invalidAfterMs !== undefined;
    const last = past.at(-1);
    // Named again in the entry that took the place of the one before: whatever ended that did not end the key.
    if (last?.x === jwk.x && own[at - 1]?.ended?.why === 'renewed') {
      last.key = { ...last.key, endsMs: ends, stolen };
    } else past.push({ x: jwk.x, key: { key: noted(jwk), since: span.since, endsMs: ends, stolen } });
  }
  return past.map(({ key }) => key);
}

/** As `signerOf` ends the trust in an entry: a revocation ends that in every earlier one, too. */
function endsMsOf(own: readonly Span[], at: number): number | null {
  const revoked = own.slice(at).find(({ ended }) => ended?.why === 'revoked')?.ended?.atMs ?? null;
  return earlier(revoked, own[at]?.ended?.invalidAfterMs ?? null);
}

function earlier(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}

/** Whether what a key signed counts, given when it is known to have been signed; null when that is not known. */
export function countsAt({ endsMs }: Pick<PastKey, 'endsMs'>, atMs: number | null): boolean {
  return endsMs === null || (atMs !== null && atMs < endsMs);
}

/** Those that somebody may sign with now: a retired key is still good until its holder has taken up the next. */
export function inForce(keys: readonly PastKey[]): NoteKey[] {
  return keys.filter((past) => countsAt(past, null)).map(({ key }) => key);
}

/** By the name and key id that stand in a signature line. */
export function isKey({ name, keyId }: Pick<NoteKey, 'name' | 'keyId'>, other: NoteKey): boolean {
  return name === other.name && keyId === other.keyId;
}
