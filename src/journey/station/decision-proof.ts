import { setImmediate as turn } from 'node:timers/promises';
import { decodeEntry } from '../../model/ledger/entry.ts';
import type { Ledger, LedgerRows } from '../../ports/ledger.ts';
import type { HopRecord } from '../../ports/station-store.ts';

export type ProofPorts = {
  ledgerRows: Pick<LedgerRows, 'size' | 'read'>;
  ledger: Pick<Ledger, 'covered' | 'tree'>;
};

const BATCH_ENTRIES = 512;

/**
 * The `.tlog-proof` of the last decision of a person about this hop, under the published checkpoint where that covers
 * it, otherwise under the signed one; empty while no such decision is on record.
 *
 * @throws PhtError `ledger.unchecked`, `ledger.inconsistent`
 */
export async function decisionProof(
  { hopId }: Pick<HopRecord, 'hopId'>,
  { ledgerRows, ledger }: ProofPorts,
): Promise<Uint8Array> {
  const index = await decisionOf(hopId, ledgerRows);
  if (index === null) return new Uint8Array();
  await ledger.covered(index + 1);
  return ledger.tree.prove(index);
}

/** Found in the ledger itself, so that it is found after a restore too. Before its order there is nothing of a hop. */
async function decisionOf(hopId: string, rows: ProofPorts['ledgerRows']): Promise<number | null> {
  for (let end = rows.size(); end > 0; ) {
    const first = Math.max(0, end - BATCH_ENTRIES);
    const batch = rows.read(first, end);
    for (const [before, bytes] of batch.reverse().entries()) {
      if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(hopId)) continue;
      const entry = decodeEntry(bytes);
      if (entry.hopId !== hopId) continue;
      if (entry.type === 'order.received') return null;
      if (entry.type === 'clearance.recorded' && 'byCommitment' in entry.body) return end - 1 - before;
    }
    end = first;
    await turn();
  }
  return null;
}
