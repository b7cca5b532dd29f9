import { type Envelope, payloadOf, signersIn } from './dsse.ts';
import { PhtError } from './error.ts';
import { type Digest, digestOf } from './id.ts';
import { assertDistinct, assertOrderly, assertSound } from './list-rules.ts';
import { MembersPredicate, type RoleKeys, RootPredicate } from './network-statements.ts';
import { assertFirst, assertFollows, openMembers, openRoots } from './open-network.ts';
import { assertSamePast, pastOf } from './same-past.ts';
import { readStatement, type Verified } from './statement.ts';

/**
 * A root, a list of members, or both at once, that too few of their key holders have signed so far. Nothing of it is in
 * force; each holder sees what it changes, by the parts of before that it carries.
 */
export type NetworkDraft = {
  /** Those in force; none before the network begins. */
  readonly roots: readonly Envelope[];
  readonly root?: Envelope;
  /** `before`: the list in force; absent for the first one. */
  readonly list?: { readonly before?: Envelope; readonly next: Envelope };
};

export type DraftPart = {
  readonly role: 'root' | 'members';
  readonly envelope: Envelope;
  /** Enough keys of each of them must sign. */
  readonly by: readonly RoleKeys[];
};

type Change<P> = { readonly next: P; readonly before: P | null };

/** What a draft says: in itself sound, following what is in force, and signed by nobody in particular. */
export type OpenDraft = {
  readonly id: Digest;
  /** As the draft, once in force, leaves it. */
  readonly title: string;
  readonly expiresMs: number;
  readonly root: Change<RootPredicate> | null;
  readonly list: Change<MembersPredicate> | null;
  readonly parts: readonly DraftPart[];
};

/**
 * @throws PhtError `network.invalid`, `network.mismatch`, `network.forked` for a list that tells another past than the one
 *   it follows, `signature.invalid` for roots or a list of before that were never in force, `statement.*`
 */
export function openDraft({ roots, root, list }: NetworkDraft): OpenDraft {
  const inForce = roots.length === 0 ? null : openRoots(roots, null);
  const nextRoot = root === undefined ? null : readRoot(root, inForce);
  const over = nextRoot ?? inForce?.root.predicate;
  if (over === undefined) throw invalid('it has no root');
  const id = inForce?.id ?? digestOf(payloadOf(root as Envelope));
  const nextList = list === undefined ? null : readList(list, id, over, inForce?.root ?? null);
  const [oldRoles, roles] = [inForce?.root.predicate.roles, over.roles];
  const rootPart = root && { envelope: root, by: [...(oldRoles ? [oldRoles.root] : []), roles.root] };
  const listPart = list && { envelope: list.next, by: [roles.members] };
  return {
    ...{ id, title: over.title },
    expiresMs: Math.min(over.expiresMs, nextList?.next.expiresMs ?? Number.POSITIVE_INFINITY),
    root: nextRoot && { next: nextRoot, before: inForce?.root.predicate ?? null },
    list: nextList,
    parts: [
      ...(rootPart ? [{ role: 'root' as const, ...rootPart }] : []),
      ...(listPart ? [{ role: 'members' as const, ...listPart }] : []),
    ],
  };
}

function readRoot(
  envelope: Envelope,
  inForce: { id: Digest; root: Verified<RootPredicate> } | null,
): RootPredicate {
  const { predicate } = readStatement('root', RootPredicate, payloadOf(envelope));
  if (inForce === null) assertFirst(predicate);
  else assertFollows(predicate, inForce.root, inForce.id);
  assertDistinct([], predicate.roles);
  return predicate;
}

function readList(
  { before: envelope, next: drafted }: NonNullable<NetworkDraft['list']>,
  id: Digest,
  over: RootPredicate,
  inForce: Verified<RootPredicate> | null,
): Change<MembersPredicate> {
  const payload = payloadOf(drafted);
  const next = readStatement('members', MembersPredicate, payload);
  const { predicate } = next;
  assertOrderly(next, id, over);
  assertSound(predicate, over);
  if (inForce === null && envelope === undefined) {
    if (predicate.networkVersion !== 1 || predicate.previousDigest !== null)
      throw invalid('its first list is not version 1');
    return { next: predicate, before: null };
  }
  if (inForce === null || envelope === undefined) throw invalid('its list has nothing before it');
  const before = openMembers(envelope, id, inForce);
  const { networkVersion: version } = before.predicate;
  if (predicate.networkVersion !== version + 1)
    throw invalid(`its list ${predicate.networkVersion} does not follow list ${version}`);
  assertSamePast(pastOf(before), pastOf({ predicate, digest: digestOf(payload) }));
  return { next: predicate, before: before.predicate };
}

/** How many have signed a part, and whether that is enough. */
export function signaturesOf({ envelope, by }: DraftPart): { signed: number; isEnough: boolean } {
  const counts = by.map(({ keys, threshold }) => ({ signed: signersIn(envelope, keys).size, threshold }));
  return {
    signed: signersIn(envelope, keysOf(by)).size,
    isEnough: counts.every(({ signed, threshold }) => signed >= threshold),
  };
}

/** Whose keys may sign a part. */
export function keysOf(by: DraftPart['by']): RoleKeys['keys'] {
  const all = by.flatMap(({ keys }) => keys);
  return all.filter(({ x }, at) => all.findIndex((other) => other.x === x) === at);
}

/**
 * Whoever drafted it signed it first: a signature that fits no more tells that the draft was changed on its way.
 *
 * @throws PhtError `signature.invalid`
 */
export function assertUnchanged(parts: readonly DraftPart[]): void {
  for (const { role, envelope, by } of parts) {
    if (signersIn(envelope, keysOf(by)).size === envelope.signatures.length) continue;
    throw new PhtError(
      'signature.invalid',
      `a signature on this ${PART_WORDS[role]} does not fit: it was changed after it was signed, or signed by a key ` +
        'that is none of its own',
      { hint: 'ask the authority for its own copy of the draft' },
    );
  }
}

export const PART_WORDS: Readonly<Record<DraftPart['role'], string>> = {
  root: 'root',
  members: 'list of members',
};

const invalid = (why: string): PhtError => new PhtError('network.invalid', `the draft: ${why}`);
