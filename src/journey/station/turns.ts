/** Work under a limit of how much goes on at once. */
export type Turn = <T>(signal: AbortSignal, work: () => Promise<T>) => Promise<T>;
export type Turns = { whenFree: Turn /** Until then whoever asks waits. */; open(): void };

/** At most `max` at once, first come first served. Whoever aborts while waiting leaves the queue at once. */
export function createTurns(max: number): Turns {
  let free = 0;
  let opened = false;
  const waiting = new Set<() => void>();

  const waitForTurn = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const admit = (): void => {
        signal.removeEventListener('abort', leave);
        waiting.delete(admit);
        resolve();
      };
      const leave = (): void => {
        waiting.delete(admit);
        reject(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
      waiting.add(admit);
    });

  const giveBack = (): void => {
    const [next] = waiting;
    if (next === undefined) free++;
    else next();
  };

  return {
    whenFree: async (signal, work) => {
      signal.throwIfAborted();
      if (free > 0) free--;
      else await waitForTurn(signal);
      try {
        return await work();
      } finally {
        giveBack();
      }
    },
    open: () => {
      if (opened) return;
      opened = true;
      for (let turn = 0; turn < max; turn++) giveBack();
    },
  };
}
