import { type Digest, hopIdOf, trainIdOf } from '../../model/id.ts';
import type { BodyValue, EntryType, LedgerEntry } from '../../model/ledger/entry.ts';

/** The leaf hash of the entry at hand; made only where another ledger may quote it. */
export type LeafOf = () => Digest;

/** What a station writes about a hop, in the order of the protocol. */
export const HOP_TYPES: ReadonlySet<EntryType> = new Set([
  'order.received',
  'manifest.verified',
  'policy.decided',
  'clearance.recorded',
  'run.started',
  'run.ended',
  'output.screened',
  'result.released',
  'release.withdrawn',
  'receipt.issued',
]);

export function textIn(body: Readonly<Record<string, BodyValue>>, name: string): string | null {
  const value = body[name];
  return typeof value === 'string' ? value : null;
}

/** How a receipt says that its hop ended. */
export function outcomeIn(body: LedgerEntry['body']): string {
  return `${textIn(body, 'outcome') ?? 'no outcome'} (${textIn(body, 'code') ?? 'no code'})`;
}

/** Whether a person has cleared it; who it was stands there as a commitment only. */
export function clearedByPerson(body: LedgerEntry['body']): boolean {
  const rejected = textIn(body, 'verdict') === 'reject';
  return !rejected && textIn(body, 'by') === 'person' && textIn(body, 'byCommitment') !== null;
}

/** Entries of one hop speak of one train, or what is said of the one is said of another. @returns what does not fit */
export function otherTrain(entry: LedgerEntry, before: { manifestDigest: Digest | null }): string | null {
  const { hopId, manifestDigest } = entry;
  if (manifestDigest === before.manifestDigest) return null;
  const [first, now] = [before.manifestDigest, manifestDigest].map((each) => each?.slice(0, 16) ?? 'none');
  return `${hopId} was a hop of the manifest ${first}, and is one of ${now} here`;
}

const OF_A_HOP: ReadonlySet<EntryType> = new Set([
  ...HOP_TYPES,
  'order.issued',
  'image.verified',
  'receipt.received',
]);

/** Ids are derived from digests, so an entry can be held against itself. @returns what does not fit, or null */
export function contradictionIn(entry: LedgerEntry): string | null {
  const { type, hopId, trainId, manifestDigest, body } = entry;
  if (OF_A_HOP.has(type) && (hopId === null || trainId === null || manifestDigest === null)) {
    return `${type} does not say of which hop`;
  }
  if (trainId !== null && manifestDigest !== null && trainIdOf(manifestDigest) !== trainId) {
    return `${trainId} is not the train of the manifest ${manifestDigest.slice(0, 16)}`;
  }
  if (type !== 'order.issued' && type !== 'order.received') return null;
  const orderDigest = textIn(body, 'orderDigest');
  if (orderDigest === null) return `${type} without the digest of the order`;
  return hopIdOf(orderDigest as Digest) === hopId ? null : `${hopId} is not the hop of its order`;
}
