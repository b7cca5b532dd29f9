import type { LedgerService } from '../../gen/pht/v1/ledger_pb.ts';
import type { Ledger, LedgerRows } from '../../ports/ledger.ts';
import type { Client } from '../../ports/wire.ts';

const BATCH_ENTRIES_MAX = 256;

/**
 * Pushes what is published of the ledger to the dispatcher's mirror, so that auditors read it without an open port at
 * the hospital. An empty publication asks where the mirror stands. Hash tiles are not sent: whoever holds the entries
 * makes them, and the checkpoint says whether they are right.
 */
export async function mirror(
  client: Client<typeof LedgerService>,
  { rows, ledger }: { rows: LedgerRows; ledger: Ledger },
  signal: AbortSignal,
): Promise<void> {
  const head = ledger.published();
  if (head === null) return;
  const options = { deadlineMs: 30_000, signal };
  let { size } = await client.publish({ firstIndex: 0n, entries: [], checkpoint: new Uint8Array() }, options);
  // It holds what this ledger does not have, as after a restored backup: the checkpoint has it forget what nobody signed.
  if (size > BigInt(head.size)) {
    await client.publish({ firstIndex: size, entries: [], checkpoint: head.text }, options);
    return;
  }
  for (let first = Number(size); first <= head.size; first = Number(size)) {
    const end = Math.min(head.size, first + BATCH_ENTRIES_MAX);
    const last = end === head.size;
    const entries = rows.read(first, end);
    const checkpoint = last ? head.text : new Uint8Array();
    const answer = await client.publish({ firstIndex: size, entries, checkpoint }, options);
    if (last || Number(answer.size) <= first) return;
    size = answer.size;
  }
}
