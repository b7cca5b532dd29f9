import { PhtError } from '../../model/error.ts';
import { openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { decodeEntry } from '../../model/ledger/entry.ts';
import {
  type CompactRange,
  EMPTY_RANGE,
  extendRange,
  leafHash,
  rangeRoot,
} from '../../model/ledger/merkle.ts';
import { ledgerOrigin, logKey } from '../../model/ledger/origin.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import { memberOf } from '../../model/network.ts';
import type { MirrorHead } from '../../ports/dispatcher-store.ts';
import type { Desk } from './desk.ts';

const PUBLISHED_ENTRIES_MAX = 4096;
/** What a station may send ahead of the checkpoint that covers it. */
const PENDING_ENTRIES_MAX = 1_000_000;

export type Publication = { first: number; entries: readonly Uint8Array[]; checkpoint: Uint8Array | null };

/**
 * Takes what a station publishes of its ledger. Entries wait as pending until a checkpoint of exactly their size, signed
 * with the station's pinned log key, has the root that they give: nothing else is ever shown as its ledger. Costs two
 * hashes an entry, however long the ledger is.
 *
 * @returns how many entries are held, pending ones included
 * @throws PhtError `ledger.invalid`, `signature.invalid`, `signer.unknown`, `ledger.inconsistent` (two roots for one
 *   size, or an entry that is not what it was)
 */
export function mirror(station: string, publication: Publication, desk: Desk): number {
  const head = desk.store.mirrors.head(station) ?? emptyHead(station);
  // A publication without anything asks where the mirror stands.
  if (publication.entries.length === 0 && publication.checkpoint === null) return head.stored.size;
  try {
    return desk.store.atomically(() => take(station, head, publication, desk));
  } catch (thrown) {
    // What waited for a checkpoint that does not fit it will never fit one.
    if (publication.checkpoint !== null) desk.store.atomically(() => forgetPending(head, desk));
    throw thrown;
  }
}

function take(
  station: string,
  head: MirrorHead,
  { first, entries, checkpoint }: Publication,
  desk: Desk,
): number {
  if (entries.length > PUBLISHED_ENTRIES_MAX)
    throw invalid(`at most ${PUBLISHED_ENTRIES_MAX} entries are taken at once`);
  const fresh = freshEntries(station, head, first, entries, desk);
  for (const entry of fresh) {
    if (decodeEntry(entry).actor !== station)
      throw invalid('an entry names another actor than the ledger it stands in');
  }
  const stored = extendRange(head.stored, fresh.map(leafHash));
  if (stored.size - head.verified.size > PENDING_ENTRIES_MAX)
    throw invalid('too many entries wait for a checkpoint');
  desk.store.mirrors.add(station, head.stored.size, fresh);
  if (checkpoint === null) {
    desk.store.mirrors.save({ ...head, stored });
    return stored.size;
  }
  const opened = opensAs(station, checkpoint, desk);
  if (isKnown(head, stored.size, opened, desk)) return stored.size;
  if (opened.size !== stored.size || !sameBytes(opened.root, rangeRoot(stored))) {
    throw invalid(
      `the checkpoint of ${opened.size} entries is not over the ${stored.size} that were published`,
    );
  }
  desk.store.mirrors.save({ member: station, verified: stored, stored, checkpoint });
  return stored.size;
}

/** What is not held yet; what is held already has to be the same. */
function freshEntries(
  station: string,
  { stored }: MirrorHead,
  first: number,
  entries: readonly Uint8Array[],
  desk: Desk,
): readonly Uint8Array[] {
  if (first > stored.size)
    throw invalid(`entries from ${first} on do not follow the ${stored.size} that are held`);
  const known = desk.store.mirrors.read(station, first, Math.min(stored.size, first + entries.length));
  for (const [at, bytes] of known.entries()) {
    if (!sameBytes(bytes, entries[at] ?? new Uint8Array()))
      throw inconsistent(`entry ${first + at} is not what it was`);
  }
  return entries.slice(known.length);
}

type Opened = { size: number; root: Uint8Array };

function opensAs(station: string, checkpoint: Uint8Array, desk: Desk): Opened {
  const network = desk.network();
  const jwk = memberOf(network, station, 'station').keys.log;
  if (jwk === undefined)
    throw new PhtError('signer.unknown', `the network file names no log key of ${station}`);
  const origin = ledgerOrigin(network.id, station);
  return openCheckpoint(checkpoint, { origin, logKeys: [logKey(origin, jwk)], witnessKeys: [] }).checkpoint;
}

/** The same head again, as after a lost answer. Another root for that size is misconduct, and both notes prove it. */
function isKnown(head: MirrorHead, storedSize: number, opened: Opened, desk: Desk): boolean {
  if (head.checkpoint === null || opened.size !== head.verified.size) return false;
  if (sameBytes(opened.root, rangeRoot(head.verified))) return storedSize === head.verified.size;
  desk.note('a station signed two roots for one size', { station: head.member, size: opened.size });
  throw inconsistent(`the ledger of ${head.member} has two roots for ${opened.size} entries`);
}

function forgetPending(head: MirrorHead, desk: Desk): void {
  desk.store.mirrors.drop(head.member, head.verified.size);
  desk.store.mirrors.save({ ...head, stored: head.verified });
}

function emptyHead(member: string): MirrorHead {
  const empty: CompactRange = EMPTY_RANGE;
  return { member, verified: empty, stored: empty, checkpoint: null };
}

const invalid = (message: string): PhtError => new PhtError('ledger.invalid', message);
const inconsistent = (message: string): PhtError => new PhtError('ledger.inconsistent', message);
