import { type HopState, isSealed } from '../../model/hop.ts';
import { type Digest, type HopId, trainIdOf } from '../../model/id.ts';
import type { Outcome } from '../../model/receipt.ts';
import type { HopNotes, HopRecord } from '../../ports/station-store.ts';
import { blob, blobOrNull, integer, type Row, text } from './database.ts';

/** One row of `hops`. */
export function hopOf(row: Row): HopRecord {
  const manifestDigest = text(row, 'manifest_digest') as Digest;
  const state = text(row, 'state') as HopState;
  return {
    hopId: text(row, 'hop_id') as HopId,
    trainId: trainIdOf(manifestDigest),
    manifestDigest,
    orderDigest: text(row, 'order_digest') as Digest,
    step: 'run',
    round: 1,
    attempt: integer(row, 'attempt'),
    epoch: integer(row, 'epoch'),
    dispatcher: text(row, 'dispatcher'),
    order: blob(row, 'order_bytes'),
    manifest: blob(row, 'manifest_bytes'),
    state,
    receivedAtMs: integer(row, 'received_at'),
    changedAtMs: integer(row, 'changed_at'),
    notes: JSON.parse(text(row, 'notes')) as HopNotes,
    held:
      state === 'awaiting-witness'
        ? { jwe: blob(row, 'jwe'), ledgerSize: integer(row, 'ledger_size') }
        : null,
    sealed: isSealed(state)
      ? {
          outcome: text(row, 'outcome') as Outcome,
          code: text(row, 'code'),
          receipt: blob(row, 'receipt'),
          receiptDigest: text(row, 'receipt_digest') as Digest,
          jwe: blobOrNull(row, 'jwe'),
          ledgerSize: integer(row, 'ledger_size'),
        }
      : null,
  };
}
