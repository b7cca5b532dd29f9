/**
 * Wake-ups in memory. They carry nothing, so losing one with the process loses nothing: whoever connects anew looks at
 * everything first.
 */
export interface Wake {
  /** Everybody who listens for `key` looks again. */
  ring(key: string): void;
  listen(key: string): Listening;
}

export interface Listening {
  /** Rises with each ring. */
  sequence(): number;
  /** Resolves when the sequence is beyond `last`, after `atMostMs`, or when the signal aborts. */
  beyond(last: number, atMostMs: number, signal: AbortSignal): Promise<void>;
  close(): void;
}

export const stationKey = (station: string): string => `station ${station}`;
export const trainKey = (trainId: string): string => `train ${trainId}`;

type Bell = { sequence: number; listeners: number; waiting: Set<() => void> };

export function createWake(): Wake {
  // Kept only while somebody listens, so that a million trains leave nothing behind.
  const bells = new Map<string, Bell>();
  return {
    ring: (key) => {
      const bell = bells.get(key);
      if (bell === undefined) return;
      bell.sequence += 1;
      for (const wake of [...bell.waiting]) wake();
    },
    listen: (key) => {
      const bell = bells.get(key) ?? { sequence: 1, listeners: 0, waiting: new Set() };
      bells.set(key, bell);
      bell.listeners += 1;
      let open = true;
      return {
        sequence: () => bell.sequence,
        beyond: (last, atMostMs, signal) => wait(bell, last, atMostMs, signal),
        close: () => {
          if (!open) return;
          open = false;
          bell.listeners -= 1;
          if (bell.listeners === 0) bells.delete(key);
        },
      };
    },
  };
}

function wait(bell: Bell, last: number, atMostMs: number, signal: AbortSignal): Promise<void> {
  if (bell.sequence > last || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      bell.waiting.delete(done);
      resolve();
    };
    const timer = setTimeout(done, atMostMs);
    signal.addEventListener('abort', done);
    bell.waiting.add(done);
  });
}
