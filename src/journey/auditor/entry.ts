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

/** Whether a clearance is a person's; who it was stands there as a commitment only. */
export function clearedByPerson(body: LedgerEntry['body']): boolean {
  return textIn(body, 'by') === 'person' && textIn(body, 'byCommitment') !== null;
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
