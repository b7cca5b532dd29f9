import { PhtError } from '../../model/error.ts';
import type { ReadTile } from '../../model/ledger/append.ts';
import type { CheckpointTrust } from '../../model/ledger/checkpoint.ts';
import { parseCheckpoint } from '../../model/ledger/checkpoint.ts';
import { encodeEntry, type LedgerEntry } from '../../model/ledger/entry.ts';
import { formatEntryProof, openEntryProof, type ProvenEntry } from '../../model/ledger/entry-proof.ts';
import { parseNote } from '../../model/ledger/note.ts';
import { ledgerOrigin, logKey } from '../../model/ledger/origin.ts';
import { parseTlogProof } from '../../model/ledger/proof.ts';
import { proveInclusion, tilesForInclusion } from '../../model/ledger/prove.ts';
import { type Tile, tilePath } from '../../model/ledger/tile.ts';
import type { Network } from '../../model/network.ts';
import { witnessPolicy } from '../../model/witnessing.ts';
import type { LogSource } from '../../ports/log-source.ts';

/** An entry at its place in the log of a member. */
export type Placed = { member: string; index: number; entry: LedgerEntry };

/** Whose signatures a proof about this member's log may carry. @throws PhtError `signer.unknown` */
export function trustOf(network: Network, member: string): CheckpointTrust {
  const jwk = network.members.get(member)?.keys.log;
  if (jwk === undefined)
    throw new PhtError('signer.unknown', `the network file names no log key of ${member}`);
  const origin = ledgerOrigin(network.id, member);
  const witnesses = witnessPolicy(network, member)?.witnesses ?? [];
  return { origin, logKeys: [logKey(origin, jwk)], witnessKeys: witnesses.map(({ key }) => key) };
}

/**
 * The `.tlog-proof` of one entry, from a log that was kept with its tiles. What is written has been verified.
 *
 * @param signed the head of the log as it is kept
 * @throws PhtError `ledger.invalid` where a tile is missing, `proof.invalid` where the log is not what it says
 */
export async function proofOf(
  { member, index, entry }: Placed,
  signed: Uint8Array,
  { source, network }: { source: LogSource; network: Network },
): Promise<Uint8Array> {
  const note = Buffer.from(signed).toString('utf8');
  const { size } = parseCheckpoint(parseNote(note).text);
  const read = await tilesOf(source, member, tilesForInclusion(index, size));
  const hashes = proveInclusion(index, size, read);
  const proof = formatEntryProof(encodeEntry(entry), { index, hashes, checkpoint: note });
  openEntryProof(proof, trustOf(network, member));
  return proof;
}

async function tilesOf(source: LogSource, member: string, tiles: readonly Tile[]): Promise<ReadTile> {
  const held = new Map<string, Uint8Array>();
  for (const tile of tiles) {
    const bytes = (await source.hashTile?.(member, tile)) ?? null;
    if (bytes !== null) held.set(tilePath(tile), bytes);
  }
  return (tile) => {
    const bytes = held.get(tilePath(tile));
    if (bytes === undefined)
      throw new PhtError('ledger.invalid', `${tilePath(tile)} of the log of ${member} is missing`);
    return bytes;
  };
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
  const policy = witnessPolicy(network, member);
  const signed = new Set(proven.opened.cosignatures.map(({ key }) => key.name));
  const witnesses = (policy?.witnesses ?? []).filter(({ key }) => signed.has(key.name));
  return {
    ...proven,
    member,
    witnesses: witnesses.map((each) => each.member),
    quorum: policy?.quorum ?? null,
  };
}
