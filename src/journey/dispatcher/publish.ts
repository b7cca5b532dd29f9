import { asPhtError } from '../../model/error.ts';
import type { Ledger, LedgerRows } from '../../ports/ledger.ts';

/** Entries are durable before anybody is answered; signing and publishing them is done in batches, off that path. */
export interface Publisher {
  soon(): void;
  /** Everything up to now, and nothing in the background afterwards. */
  settle(): Promise<void>;
}

const BATCH_MS = 100;

export function createPublisher(
  ledger: Ledger,
  rows: LedgerRows,
  note: (text: string, details: Readonly<Record<string, unknown>>) => void,
): Publisher {
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> = Promise.resolve();
  let settled = false;

  const cover = async (): Promise<void> => ledger.covered(rows.size());

  const run = (): void => {
    timer = null;
    running = cover().catch((thrown: unknown) => {
      // The next entry, the next auditor or the next start tries again.
      note('the ledger could not be published', { code: asPhtError(thrown).code, err: thrown });
    });
  };

  return {
    soon: () => {
      if (!settled) timer ??= setTimeout(run, BATCH_MS);
    },
    settle: async () => {
      settled = true;
      if (timer !== null) clearTimeout(timer);
      timer = null;
      await running;
      await cover();
    },
  };
}
