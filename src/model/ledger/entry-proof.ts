import { PhtError } from '../error.ts';
import type { digestOf } from '../id.ts';
import type { CheckpointTrust, OpenedCheckpoint } from './checkpoint.ts';
import { decodeEntry, type EntryQuote, type LedgerEntry } from './entry.ts';
import { leafHash } from './merkle.ts';
import { formatTlogProof, parseTlogProof, type TlogProof, verifyTlogProof } from './proof.ts';

/** Far above an entry of 4 KiB, 64 hashes and a note with sixteen lines. */
const ENTRY_PROOF_BYTES_MAX = 65_536;

/** What a valid proof shows: this entry stands at `quote.index` of the ledger `quote.origin`. */
export type ProvenEntry = {
  readonly entry: LedgerEntry;
  readonly quote: EntryQuote;
  readonly opened: OpenedCheckpoint;
  /** The signed checkpoint it was proved under, with all of its lines. */
  readonly note: string;
};

/** A `.tlog-proof` that carries its entry as extra data, so that one file says what it proves. */
export function formatEntryProof(entry: Uint8Array, proof: Omit<TlogProof, 'extra'>): Uint8Array {
  return Buffer.from(formatTlogProof({ ...proof, extra: entry }));
}

/**
 * The extra data of a proof is authenticated by nothing (C2SP tlog-proof); here it is, since the path is walked from its
 * own leaf hash.
 *
 * @throws PhtError `proof.invalid` whatever is wrong with it
 */
export function openEntryProof(bytes: Uint8Array, trust: CheckpointTrust): ProvenEntry {
  try {
    if (bytes.length > ENTRY_PROOF_BYTES_MAX)
      throw new PhtError('proof.invalid', `it has more than ${ENTRY_PROOF_BYTES_MAX} bytes`);
    const proof = parseTlogProof(bytes);
    if (proof.extra === null) throw new PhtError('proof.invalid', 'the entry is not in it');
    const hash = leafHash(proof.extra);
    const opened = verifyTlogProof(proof, hash, trust);
    const quote = { origin: trust.origin, index: proof.index, leafHash: hexOf(hash) };
    return { entry: decodeEntry(proof.extra), quote, opened, note: proof.checkpoint };
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    throw new PhtError('proof.invalid', `a ledger proof does not hold: ${thrown.message}`, { cause: thrown });
  }
}

function hexOf(hash: Uint8Array): EntryQuote['leafHash'] {
  return Buffer.from(hash).toString('hex') as ReturnType<typeof digestOf>;
}
