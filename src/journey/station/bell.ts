/** Rings are not counted: whoever waits looks at everything there is. */
export type Bell = { ring(): void; wait(signal: AbortSignal): Promise<void> };

export function createBell(): Bell {
  let rung = false;
  let wake: (() => void) | null = null;
  return {
    ring: () => {
      rung = true;
      wake?.();
    },
    /** Resolves at a ring, also at one before the call, and when `signal` aborts. */
    wait: async (signal) => {
      if (!rung && !signal.aborted) {
        await new Promise<void>((resolve) => {
          // One signal outlives many waits, so each takes its listener away again.
          wake = () => {
            signal.removeEventListener('abort', resolved);
            resolve();
          };
          const resolved = (): void => resolve();
          signal.addEventListener('abort', resolved, { once: true });
        });
      }
      wake = null;
      rung = false;
    },
  };
}
