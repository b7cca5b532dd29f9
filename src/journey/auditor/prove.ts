import { PhtError } from '../../model/error.ts';
import type { ReadTile } from '../../model/ledger/append.ts';
import type { Checkpoint, CheckpointTrust } from '../../model/ledger/checkpoint.ts';
import { parseCheckpoint } from '../../model/ledger/checkpoint.ts';
import { encodeEntry, type LedgerEntry } from '../../model/ledger/entry.ts';
import { formatEntryProof, openEntryProof, type ProvenEntry } from '../../model/ledger/entry-proof.ts';
import { EMPTY_ROOT, HASH_BYTES } from '../../model/ledger/merkle.ts';
import { parseNote } from '../../model/ledger/note.ts';
import { ledgerOrigin } from '../../model/ledger/origin.ts';
import { parseTlogProof, verifyConsistency } from '../../model/ledger/proof.ts';
import {
  proveConsistency,
  proveInclusion,
  rootFromTiles,
  tilesForConsistency,
  tilesForInclusion,
  tilesForRoot,
} from '../../model/ledger/prove.ts';
import { type Tile, tilePath, tileWidth } from '../../model/ledger/tile.ts';
import type { Network } from '../../model/network.ts';
import { logKeysOf, witnessKeysOf } from '../../model/past-keys.ts';
import { countedBy, quorumRule } from '../../model/witnessing.ts';
import type { LogSource } from '../../ports/log-source.ts';
import { lastVersionOf } from './on-record.ts';

/** An entry at its place in the log of a member. */
export type Placed = { member: string; index: number; entry: LedgerEntry };

/**
 * Whose signatures a head or a proof of this member's log may carry: any log key that it ever had, and any key that
 * anybody ever cosigned with. Which of them count is judged by the network and by the place in the log.
 *
 * @throws PhtError `signer.unknown`
 */
export function trustOf(network: Network, member: string): CheckpointTrust {
  const logKeys = logKeysOf(network, member).map(({ key }) => key);
  if (logKeys.length === 0)
    throw new PhtError('signer.unknown', `the network file names no log key of ${member}`);
  const others = new Set(network.spans.map(({ id }) => id).filter((id) => id !== member));
  const witnessKeys = [...others].flatMap((id) => witnessKeysOf(network, id).map(({ key }) => key));
  return { origin: ledgerOrigin(network.id, member), logKeys, witnessKeys };
}

/**
 * The `.tlog-proof` of one entry, from a log that was kept with its tiles. What is written has been verified.
 *
 * @param signed a head of the log, as it is kept or an earlier one
 * @param of `size`: entries in the log as it is kept
 * @throws PhtError `ledger.invalid` where a tile is missing, `proof.invalid` where the log is not what it says
 */
export async function proofOf(
  { member, index, entry }: Placed,
  signed: Uint8Array,
  of: { source: LogSource; network: Network; size?: number },
): Promise<Uint8Array> {
  const note = Buffer.from(signed).toString('utf8');
  const { size } = parseCheckpoint(parseNote(note).text);
  const read = await tilesOf(of.source, member, tilesForInclusion(index, size), of.size ?? size);
  const hashes = proveInclusion(index, size, read);
  const proof = formatEntryProof(encodeEntry(entry), { index, hashes, checkpoint: note });
  openEntryProof(proof, trustOf(of.network, member));
  return proof;
}

/** Of a log of `size` entries by now: a tile of a smaller tree is the beginning of the one that stands there. */
export async function tilesOf(
  source: Pick<LogSource, 'hashTile'>,
  member: string,
  tiles: readonly Tile[],
  size: number,
): Promise<ReadTile> {
  const held = new Map<string, Uint8Array>();
  for (const tile of tiles) {
    const width = tileWidth(size, tile.level, tile.index);
    const bytes = (await source.hashTile?.(member, { ...tile, width })) ?? null;
    if (bytes !== null && bytes.length === width * HASH_BYTES)
      held.set(tilePath(tile), bytes.subarray(0, tile.width * HASH_BYTES));
  }
  return (tile) => {
    const bytes = held.get(tilePath(tile));
    if (bytes === undefined)
      throw new PhtError('ledger.invalid', `${tilePath(tile)} of the log of ${member} is missing or damaged`);
    return bytes;
  };
}

/** One reader's copy of a log, with its tiles, and the head that he was shown. */
export type View = {
  source: Pick<LogSource, 'hashTile'>;
  member: string;
  head: Pick<Checkpoint, 'size' | 'root'>;
};

/**
 * The root that the signed tree had when it was smaller, proved from its tiles.
 *
 * @throws PhtError `ledger.invalid`, `ledger.inconsistent` where the tiles are not those of the signed tree
 */
export async function rootWithin({ source, member, head }: View, size: number): Promise<Uint8Array> {
  if (size === head.size) return head.root;
  if (size === 0) return EMPTY_ROOT;
  const tiles = [...tilesForRoot(size), ...tilesForConsistency(size, head.size)];
  const read = await tilesOf(source, member, tiles, head.size);
  const rootBefore = rootFromTiles(size, read);
  const hashes = proveConsistency(size, head.size, read);
  verifyConsistency({ sizeBefore: size, rootBefore, size: head.size, root: head.root, hashes });
  return rootBefore;
}

/** A proof that holds: of whose log, and who has seen its head. */
export type CheckedProof = ProvenEntry & { member: string; witnesses: string[]; quorum: number | null };

/**
 * Verifies one proof from nothing but itself and the pinned keys.
 *
 * @throws PhtError `proof.invalid`, `signer.unknown` for a log that is not of this network, `ledger.invalid`
 */
export function checkProof(bytes: Uint8Array, network: Network): CheckedProof {
  const { origin } = parseCheckpoint(parseNote(parseTlogProof(bytes).checkpoint).text);
  const member = origin.split('/').at(-1) ?? '';
  if (ledgerOrigin(network.id, member) !== origin)
    throw new PhtError(
      'signer.unknown',
      `the proof is of the log ${origin.slice(0, 200)}, not of this network`,
    );
  const proven = openEntryProof(bytes, trustOf(network, member));
  if (proven.entry.actor !== member)
    throw new PhtError('proof.invalid', `the entry names ${proven.entry.actor} as its author, not ${member}`);
  const rule = quorumRule(network, member, lastVersionOf(network, member));
  const counted = rule === null ? [] : countedBy(rule, proven.opened.cosignatures);
  return { ...proven, member, witnesses: counted.map((by) => by.member), quorum: rule?.quorum ?? null };
}
