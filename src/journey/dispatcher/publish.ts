import { asPhtError, PhtError } from '../../model/error.ts';
import type { Ledger, LedgerRows } from '../../ports/ledger.ts';

/**
 * Entries are durable before anybody is answered; signing them, having them cosigned and publishing them is done in
 * batches, off that path.
 */
export interface Publisher {
  /** Something new is to be published, or a witness is there that was missing. */
  soon(): void;
  /**
   * Waits until a signed checkpoint covers `size` entries, for a bounded time.
   *
   * @throws PhtError `ledger.unchecked` while nobody has said what this ledger signed before
   */
  covered(size: number): Promise<void>;
  /** Waits until all up to now is published, for a bounded time: what is shown after it may be older. */
  shown(): Promise<void>;
  /** All up to now is signed where that can be, and nothing happens in the background afterwards. */
  settle(): Promise<void>;
}

export type PublisherOptions = {
  ledger: Ledger;
  rows: LedgerRows;
  /** Whether as many have cosigned a published head as the network asks for now. */
  isWitnessed: (text: Uint8Array) => boolean;
  /** One round of asking the witnesses for the newest signed checkpoint; at once where there is no quorum. */
  gather: (signal: AbortSignal) => Promise<void>;
  note: (text: string, details: Readonly<Record<string, unknown>>) => void;
  /** Ends when the dispatcher does. */
  signal: AbortSignal;
  times?: Partial<PublisherTimes>;
};
export type PublisherTimes = typeof TIMES;

const TIMES = {
  batchMs: 100,
  /** Below the 15 s and 30 s after which callers give up. */
  coveredMs: 8000,
  shownMs: 3000,
  retryMs: 500,
  retryMsMax: 60_000,
  /** An idle ledger is cosigned anew this often, so that readers see that nothing is held back. */
  renewMs: 3_600_000,
};

export function createPublisher(options: PublisherOptions): Publisher {
  const { ledger, rows, gather, isWitnessed, note, signal } = options;
  const times = { ...TIMES, ...options.times };
  let timer: { at: number; handle: NodeJS.Timeout } | null = null;
  let running: Promise<void> | null = null;
  let again = false;
  let failures = 0;
  let complaint = '';
  let settled = false;
  const waiting = new Set<() => void>();

  const schedule = (delayMs: number): void => {
    const at = performance.now() + delayMs;
    if (settled || (timer !== null && timer.at <= at)) return;
    if (timer !== null) clearTimeout(timer.handle);
    timer = { at, handle: setTimeout(run, delayMs) };
  };

  const round = async (): Promise<void> => {
    await ledger.covered(rows.size());
    // There is nobody to ask any more once the dispatcher ends.
    if (!signal.aborted) await gather(signal);
  };

  const succeeded = (): void => {
    if (complaint !== '') note('the ledger is published again', {});
    [failures, complaint] = [0, ''];
    schedule(times.renewMs);
  };

  const failed = (thrown: unknown): void => {
    if (signal.aborted) return;
    const { code, message, reasons } = asPhtError(thrown);
    // Not at every attempt: it may take a weekend.
    if (complaint !== code)
      note('the ledger cannot be published yet', { code, message, reasons, err: thrown });
    complaint = code;
    schedule(Math.min(times.retryMsMax, times.retryMs * 2 ** Math.min(failures, 16)));
    failures += 1;
  };

  function run(): void {
    timer = null;
    if (running !== null) {
      again = true;
      return;
    }
    running = round()
      .then(succeeded, failed)
      .finally(() => {
        running = null;
        for (const wake of [...waiting]) wake();
        if (again) schedule(times.batchMs);
        again = false;
      });
  }

  const covered: Publisher['covered'] = async (size) => {
    const untilMs = performance.now() + times.coveredMs;
    for (;;) {
      try {
        return await within(ledger.covered(size), untilMs - performance.now());
      } catch (thrown) {
        const over = performance.now() + times.retryMs >= untilMs || signal.aborted;
        if (!(thrown instanceof PhtError) || thrown.code !== 'ledger.unchecked' || over) throw thrown;
        await pause(times.retryMs);
      }
    }
  };

  const shown: Publisher['shown'] = async () => {
    const size = rows.size();
    const untilMs = performance.now() + times.shownMs;
    const isShown = (): boolean => {
      const head = ledger.published();
      return head !== null && head.size >= size && isWitnessed(head.text);
    };
    while (!isShown() && !settled && performance.now() < untilMs) {
      schedule(0);
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clearTimeout(tooLate);
          waiting.delete(wake);
          resolve();
        };
        const tooLate = setTimeout(wake, Math.max(0, untilMs - performance.now()));
        waiting.add(wake);
      });
      // A round that failed at once is not begun again at once.
      if (!isShown()) await pause(Math.min(times.retryMs, Math.max(0, untilMs - performance.now())));
    }
  };

  return {
    soon: () => {
      if (failures > 0) failures = 1;
      schedule(times.batchMs);
    },
    covered,
    shown,
    settle: async () => {
      settled = true;
      if (timer !== null) clearTimeout(timer.handle);
      await running;
      for (const wake of [...waiting]) wake();
      try {
        await ledger.covered(rows.size());
      } catch (thrown) {
        const { code } = asPhtError(thrown);
        // What nobody would vouch for stays in the store, and the next start signs it.
        if (code !== 'ledger.unchecked') throw thrown;
        note('the last entries of the ledger are not signed yet', { code });
      }
    },
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function within(work: Promise<void>, atMostMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const unsigned = (): void =>
      reject(
        new PhtError('ledger.unchecked', 'the ledger is not signed yet: too few of its witnesses answer', {
          hint: 'nothing is lost; try again once more stations are connected',
        }),
      );
    timer = setTimeout(unsigned, Math.max(0, atMostMs));
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
