import { PhtError } from '../../model/error.ts';
import { type CheckpointTrust, openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { decodeEntry } from '../../model/ledger/entry.ts';
import { EMPTY_RANGE, extendRange, leafHash, rangeRoot } from '../../model/ledger/merkle.ts';
import { onlySignedBy } from '../../model/ledger/misconduct.ts';
import { ledgerOrigin } from '../../model/ledger/origin.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import type { Tile } from '../../model/ledger/tile.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import { memberOf } from '../../model/network.ts';
import { inForce, logKeysOf } from '../../model/past-keys.ts';
import type { MirrorHead } from '../../ports/dispatcher-store.ts';
import type { MirrorFiles } from '../../ports/mirror.ts';
import type { Desk } from './desk.ts';
import type { PastHeadsKept } from './past-heads.ts';
import { entriesOf } from './shown.ts';

const PUBLISHED_ENTRIES_MAX = 4096;
/** What a station may send ahead of the checkpoint that covers it: a whole ledger of years, sent anew. */
const PENDING_ENTRIES_MAX = 1_000_000;
const PENDING_BYTES_MAX = 512 * 1024 * 1024;
/** A multiple of the tile width, so that no extra partial tiles arise. */
const BATCH_ENTRIES = 4096;

export type Publication = { first: number; entries: readonly Uint8Array[]; checkpoint: Uint8Array | null };

/** Takes what stations publish of their ledgers. */
export interface Mirroring {
  /**
   * Entries wait until a checkpoint of exactly their size, signed with the station's pinned log key, has the root that
   * they give: then they become files, durable before the head moves, and nothing else is ever shown as its ledger.
   *
   * @returns how many entries are held, pending ones included
   * @throws PhtError `ledger.invalid`, `signature.invalid`, `signer.unknown`, `ledger.inconsistent` (two roots for one
   *   size, or an entry that is not what it was)
   */
  take(station: string, publication: Publication): Promise<number>;
  /** Puts the checkpoint files in place again, which a crash may have left behind the store. */
  recover(): Promise<void>;
}

export type MirrorLimits = { pendingEntriesMax: number; pendingBytesMax: number };

export function createMirroring(
  desk: Desk,
  files: MirrorFiles,
  past: PastHeadsKept,
  limits: Partial<MirrorLimits> = {},
): Mirroring {
  const { pendingEntriesMax = PENDING_ENTRIES_MAX, pendingBytesMax = PENDING_BYTES_MAX } = limits;
  const { mirrors } = desk.store;
  const turns = new Map<string, Promise<unknown>>();

  /** @returns the head with these entries behind it; nothing that is held already may differ */
  const add = async (head: MirrorHead, { first, entries }: Publication): Promise<MirrorHead> => {
    if (entries.length > PUBLISHED_ENTRIES_MAX)
      throw invalid(`at most ${PUBLISHED_ENTRIES_MAX} entries are taken at once`);
    const fresh = await freshEntries(head, first, entries, desk, files);
    for (const entry of fresh) {
      if (decodeEntry(entry).actor !== head.member)
        throw invalid('an entry names another actor than the ledger it stands in');
    }
    const stored = extendRange(head.stored, fresh.map(leafHash));
    const pendingBytes = fresh.reduce((sum, { length }) => sum + length, head.pendingBytes);
    if (stored.size - head.verified.size > pendingEntriesMax || pendingBytes > pendingBytesMax)
      throw invalid('too many entries wait for a checkpoint');
    const next = { ...head, stored, pendingBytes };
    desk.store.atomically(() => {
      mirrors.add(head.member, head.stored.size, fresh);
      mirrors.save(next);
    });
    return next;
  };

  const extended = async (head: MirrorHead): Promise<readonly Tile[]> => {
    try {
      return await files.extend(head.member, head.verified, pending(head, desk));
    } catch (cause) {
      if (!(cause instanceof PhtError) || cause.code !== 'ledger.invalid') throw cause;
      // Not what was published now is wrong, but what stood here.
      throw new PhtError('internal', `the mirror of ${head.member} is damaged`, { cause });
    }
  };

  /** All that waits becomes files, and then the head. */
  const cover = async (head: MirrorHead, checkpoint: Uint8Array): Promise<void> => {
    const written = await extended(head);
    desk.store.atomically(() => {
      mirrors.save({ ...head, verified: head.stored, pendingBytes: 0, checkpoint });
      mirrors.drop(head.member);
      past.keep(head.member, checkpoint);
    });
    await files.show(head.member, checkpoint, written);
  };

  const takeCheckpoint = async (head: MirrorHead, checkpoint: Uint8Array): Promise<void> => {
    const { size, root } = opensAs(head.member, checkpoint, head.checkpoint, desk);
    const { verified, stored } = head;
    if (head.checkpoint !== null && size === verified.size && !sameBytes(root, rangeRoot(verified))) {
      desk.note('a station signed two roots for one size', { station: head.member, size });
      throw inconsistent(`the ledger of ${head.member} has two roots for ${size} entries`);
    }
    if (size !== stored.size || !sameBytes(root, rangeRoot(stored)))
      throw invalid(`the checkpoint of ${size} entries is not over the ${stored.size} that were published`);
    if (head.checkpoint !== null && size === verified.size) {
      // The same head again, as after a lost answer, or with younger cosignatures.
      if (sameBytes(head.checkpoint, checkpoint)) return;
      desk.store.atomically(() => {
        mirrors.save({ ...head, checkpoint });
        past.keep(head.member, checkpoint);
      });
      await files.show(head.member, checkpoint, []);
      return;
    }
    await cover(head, checkpoint);
  };

  const taken = async (station: string, publication: Publication): Promise<number> => {
    const head = mirrors.head(station) ?? emptyHead(station);
    const { checkpoint } = publication;
    // A publication without anything asks where the mirror stands.
    if (publication.entries.length === 0 && checkpoint === null) return head.stored.size;
    try {
      const next = await add(head, publication);
      if (checkpoint !== null) await takeCheckpoint(next, checkpoint);
      return next.stored.size;
    } catch (thrown) {
      if (!(thrown instanceof PhtError)) throw thrown;
      if (thrown.code === 'internal') startAnew(station);
      // What waited for a checkpoint that does not fit it will never fit one.
      else if (checkpoint !== null) desk.store.atomically(() => forgetPending(station, desk));
      throw thrown;
    }
  };

  /** Files that are gone or damaged can be had again from the station alone, and it sends all that is not held. */
  const startAnew = (station: string): void => {
    desk.note('the mirror of a ledger is damaged; the station is asked for all of it again', { station });
    desk.store.atomically(() => {
      mirrors.drop(station);
      mirrors.save(emptyHead(station));
    });
  };

  return {
    take: (station, publication) => {
      const before = turns.get(station) ?? Promise.resolve();
      const turn = before.then(() => taken(station, publication));
      const settled = turn.catch(() => undefined);
      turns.set(station, settled);
      return turn;
    },
    recover: async () => {
      for (const { member, checkpoint } of mirrors.heads()) {
        if (checkpoint === null) continue;
        // One from before any were kept is the oldest proof there is.
        past.keep(member, checkpoint);
        await files.show(member, checkpoint, []);
      }
    },
  };
}

function* pending({ member, verified, stored }: MirrorHead, desk: Desk): Generator<Uint8Array[]> {
  for (let first = verified.size; first < stored.size; ) {
    const end = Math.min(stored.size, first - (first % BATCH_ENTRIES) + BATCH_ENTRIES);
    const entries = desk.store.mirrors.read(member, first, end);
    if (entries.length !== end - first)
      throw new PhtError('internal', `entries of ${member} that wait are not in the store`);
    yield entries;
    first = end;
  }
}

/** What is not held yet; what is held already has to be the same. */
async function freshEntries(
  { member, verified, stored }: MirrorHead,
  first: number,
  entries: readonly Uint8Array[],
  desk: Desk,
  files: MirrorFiles,
): Promise<readonly Uint8Array[]> {
  if (first > stored.size)
    throw invalid(`entries from ${first} on do not follow the ${stored.size} that are held`);
  const end = Math.min(stored.size, first + entries.length);
  const held: Uint8Array[] = [];
  if (first < verified.size) {
    const { size } = verified;
    const readTile = (tile: Tile): Promise<Uint8Array | null> => files.tile(member, tile, size);
    for await (const some of entriesOf(readTile, size, first, Math.min(end, size))) held.push(...some);
  }
  held.push(...desk.store.mirrors.read(member, Math.max(first, verified.size), end));
  for (const [at, bytes] of held.entries()) {
    if (!sameBytes(bytes, entries[at] ?? new Uint8Array()))
      throw inconsistent(`entry ${first + at} is not what it was`);
  }
  return entries.slice(held.length);
}

type Opened = { size: number; root: Uint8Array };

/** Cosignatures pass through: whoever reads them has his own keys to verify them with. */
function opensAs(station: string, checkpoint: Uint8Array, held: Uint8Array | null, desk: Desk): Opened {
  const network = desk.network();
  memberOf(network, station, 'station');
  const origin = ledgerOrigin(network.id, station);
  const keys = inForce(logKeysOf(network, station));
  const trust = { origin, logKeys: keys, witnessKeys: [] };
  const { checkpoint: opened, signedBy } = openCheckpoint(checkpoint, trust);
  for (const key of signedBy)
    desk.noteHead(station, origin, {
      ...opened,
      note: onlySignedBy(Buffer.from(checkpoint).toString(), key),
    });
  const ranks = (of: readonly NoteKey[]): number[] => of.map((key) => keys.indexOf(key));
  // A head with the new key has passed the boundary, and nothing larger or equal is the old key's to sign.
  if (held !== null && Math.min(...ranks(signedBy)) < Math.max(-1, ...ranks(signersOf(held, trust))))
    throw invalid(`the ledger of ${station} has another key by now than the one it is signed with`);
  return opened;
}

/** None where the head that is held was signed with a key that counts no more. */
function signersOf(held: Uint8Array, trust: CheckpointTrust): readonly NoteKey[] {
  try {
    return openCheckpoint(held, trust).signedBy;
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'signer.unknown') return [];
    throw thrown;
  }
}

function forgetPending(station: string, desk: Desk): void {
  const head = desk.store.mirrors.head(station);
  if (head === null) return;
  desk.store.mirrors.drop(station);
  desk.store.mirrors.save({ ...head, stored: head.verified, pendingBytes: 0 });
}

function emptyHead(member: string): MirrorHead {
  return { member, verified: EMPTY_RANGE, stored: EMPTY_RANGE, pendingBytes: 0, checkpoint: null };
}

const invalid = (message: string): PhtError => new PhtError('ledger.invalid', message);
const inconsistent = (message: string): PhtError => new PhtError('ledger.inconsistent', message);
