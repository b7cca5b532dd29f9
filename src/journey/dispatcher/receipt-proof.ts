import { openEntryProof } from '../../model/ledger/entry-proof.ts';
import { onlySignedBy } from '../../model/ledger/misconduct.ts';
import { trustIn } from '../../model/proven.ts';
import type { Stop } from '../../ports/dispatcher-store.ts';
import type { Desk } from './desk.ts';

/** A receipt as its station sent it, with the `.tlog-proof` of its entry. */
export type SealedReceipt = {
  readonly receipt: Uint8Array;
  readonly jwe: Uint8Array;
  readonly proof: Uint8Array;
};

/**
 * Whatever else the proof of a receipt shows, its station has signed the head in it: noted outside of the transaction
 * that may refuse the receipt, since evidence stays.
 *
 * @throws PhtError `proof.invalid`, `signer.unknown`
 */
export function noteReceiptHead({ station }: Stop, { proof }: SealedReceipt, desk: Desk): void {
  const trust = trustIn(desk.network(), station, 'station');
  const { opened, note } = openEntryProof(proof, trust);
  for (const key of opened.signedBy)
    desk.noteHead(station, trust.origin, { ...opened.checkpoint, note: onlySignedBy(note, key) });
}
