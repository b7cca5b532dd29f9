import { PhtError } from '../../model/error.ts';
import type { Ledger, SignedHead } from '../../ports/ledger.ts';
import type { Witnessing } from '../../ports/witnessing.ts';

/** Asks every witness once for the newest checkpoint; resolves when enough have cosigned it. */
export type GatherRound = (signal: AbortSignal) => Promise<void>;

/** One that is under way may have begun before the entries that matter; the one after it has not. */
const ROUNDS_MAX = 3;

/**
 * Without a quorum a checkpoint is published as it is signed, and no round is ever needed. A round is shared, so it ends
 * with the station (`closed`) and not with whoever asked for it first. Each one that succeeds is told to `published`.
 */
export function createWitnessing(
  ledger: Ledger,
  round: GatherRound,
  closed: AbortSignal,
  published: (head: SignedHead | null) => void = () => undefined,
): Witnessing {
  let running: Promise<void> | null = null;
  const publishedSize = (): number => ledger.published()?.size ?? -1;
  const renew: Witnessing['renew'] = (signal) => {
    running ??= round(closed)
      .then(() => published(ledger.published()))
      .finally(() => {
        running = null;
      });
    return unlessAborted(running, signal);
  };
  return {
    covered: async (size, signal) => {
      await ledger.covered(size);
      for (let rounds = 0; publishedSize() < size; rounds++) {
        if (rounds === ROUNDS_MAX)
          throw new PhtError('witness.unreachable', 'too few witnesses have cosigned the ledger');
        await renew(signal);
      }
    },
    renew,
  };
}

async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let leave = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    leave = () => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}
