import { type HopState, isSealed } from '../../model/hop.ts';
import { type Digest, type HopId, trainIdOf } from '../../model/id.ts';
import type { Outcome } from '../../model/receipt.ts';
import type { HopNotes, HopRecord, OpenHop } from '../../ports/station-store.ts';
import { blob, blobOrNull, integer, type Row, text } from './database.ts';

/** Asked every few seconds, so that sealed results, manifests and orders stay on disk. */
export const OPEN_HOPS = `SELECT hop_id, manifest_digest, epoch, dispatcher, state, notes FROM hops
  WHERE state <> 'delivered' ORDER BY received_at, hop_id`;

export function openHopOf(row: Row): OpenHop {
  const manifestDigest = text(row, 'manifest_digest') as Digest;
  return {
    hopId: text(row, 'hop_id') as HopId,
    trainId: trainIdOf(manifestDigest),
    manifestDigest,
    epoch: integer(row, 'epoch'),
    dispatcher: text(row, 'dispatcher'),
    state: text(row, 'state') as HopState,
    notes: JSON.parse(text(row, 'notes')) as HopNotes,
  };
}

/** One row of `hops`. */
export function hopOf(row: Row): HopRecord {
  const open = openHopOf(row);
  const { state } = open;
  return {
    ...open,
    orderDigest: text(row, 'order_digest') as Digest,
    step: 'run',
    round: 1,
    attempt: integer(row, 'attempt'),
    order: blob(row, 'order_bytes'),
    manifest: blob(row, 'manifest_bytes'),
    receivedAtMs: integer(row, 'received_at'),
    changedAtMs: integer(row, 'changed_at'),
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
