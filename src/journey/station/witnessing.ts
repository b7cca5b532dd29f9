import { PhtError } from '../../model/error.ts';
import type { Ledger, SignedHead } from '../../ports/ledger.ts';
import type { Witnessing } from '../../ports/witnessing.ts';

/** Asks every witness once for the newest checkpoint; resolves when enough have cosigned it. */
export type GatherRound = (signal: AbortSignal) => Promise<void>;

/** One that is under way may have begun before the entries that matter; the one after it has not. */
const ROUNDS_MAX = 3;

/**
 * Without a quorum a checkpoint is published as it is signed, and no round is ever needed. A round is shared, so it ends
 * with the station (`closed`) and not with whoever asked for it first.
 */
export function createWitnessing(
  ledger: Ledger,
  ports: {
    round: GatherRound;
    /** Whether as many have cosigned a published head as the network asks for now. */
    isWitnessed: (text: Uint8Array) => boolean;
    /** Told of each head that a round has published. */
    published: (head: SignedHead) => void;
  },
  closed: AbortSignal,
): Witnessing {
  let running: Promise<void> | null = null;
  const covers = (size: number): boolean => {
    const head = ledger.published();
    return head !== null && head.size >= size && ports.isWitnessed(head.text);
  };
  const renew: Witnessing['renew'] = async (signal) => {
    // A round that is begun for nobody would fail unheard.
    signal.throwIfAborted();
    running ??= ports
      .round(closed)
      .then(() => {
        const head = ledger.published();
        if (head !== null) ports.published(head);
      })
      .finally(() => {
        running = null;
      });
    await unlessAborted(running, signal);
  };
  return {
    covered: async (size, signal) => {
      await ledger.covered(size);
      for (let rounds = 0; !covers(size); rounds++) {
        if (rounds === ROUNDS_MAX)
          throw new PhtError('witness.unreachable', 'too few witnesses have cosigned the ledger');
        await renew(signal);
      }
    },
    renew,
  };
}

async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
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
