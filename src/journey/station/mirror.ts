import type { LedgerService } from '../../gen/pht/v1/ledger_pb.ts';
import type { Ledger, LedgerRows } from '../../ports/ledger.ts';
import type { Client } from '../../ports/wire.ts';

const BATCH_ENTRIES_MAX = 256;

/**
 * Pushes the ledger to the dispatcher's mirror, so that auditors read it without an open port at the hospital. An empty
 * publication asks where the mirror stands.
 */
export async function mirror(
  client: Client<typeof LedgerService>,
  { rows, ledger }: { rows: LedgerRows; ledger: Ledger },
  signal: AbortSignal,
): Promise<void> {
  await ledger.covered(rows.size());
  const checkpoint = rows.checkpoint();
  if (checkpoint === null) return;
  const options = { deadlineMs: 30_000, signal };
  let { size } = await client.publish({ firstIndex: 0n, entries: [], checkpoint: new Uint8Array() }, options);
  while (Number(size) < checkpoint.size) {
    const first = Number(size);
    const end = Math.min(checkpoint.size, first + BATCH_ENTRIES_MAX);
    const last = end === checkpoint.size;
    const answer = await client.publish(
      {
        firstIndex: size,
        entries: rows.read(first, end),
        checkpoint: last ? checkpoint.text : new Uint8Array(),
      },
      options,
    );
    if (Number(answer.size) <= first) return;
    size = answer.size;
  }
}
