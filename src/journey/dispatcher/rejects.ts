import type { ErrorCode } from '../../model/error.ts';
import type { Digest } from '../../model/id.ts';
import { trainIdOf } from '../../model/id.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DispatcherStore } from '../../ports/dispatcher-store.ts';
import { committed } from './commit.ts';

/**
 * Refusals on record. A member's first few a minute get an entry each; everything beyond, and everything from
 * strangers, is counted, so that nobody can grow the ledger at will (protocol, section 5).
 */
export interface Rejects {
  /** A member's train that was not admitted; null when nothing was legible. Durable when it returns. */
  train(caller: string, manifestDigest: Digest | null, code: ErrorCode): void;
  /** Anything else that was turned away. */
  count(code: ErrorCode): void;
  /** Puts the counts of minutes that have passed on record, or with `all` the current one's too. */
  flush(all?: boolean): void;
}

const MINUTE_MS = 60_000;
const ENTRIES_PER_MEMBER_AND_MINUTE_MAX = 10;
const NO_HOP = { hopId: null, attempt: null, epoch: null, prev: null } as const;

export function createRejects(store: DispatcherStore, clock: Clock): Rejects {
  let minute = -1;
  let written = new Map<string, number>();
  let counts = new Map<ErrorCode, number>();

  const flush = (all = false): void => {
    const now = Math.floor(clock.nowMs() / MINUTE_MS);
    if (now === minute && !all) return;
    if (counts.size > 0) {
      const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
      const codes = [...counts].map(([code, count]) => `${code} ${count}`).sort();
      const body = { minuteMs: minute * MINUTE_MS, count: total, codes };
      const entry = {
        type: 'rejects.counted',
        trainId: null,
        manifestDigest: null,
        ...NO_HOP,
        body,
      } as const;
      store.atomically(() => store.append([entry], clock.nowMs()));
    }
    minute = now;
    written = new Map();
    counts = new Map();
  };

  const count = (code: ErrorCode): void => {
    flush();
    counts.set(code, (counts.get(code) ?? 0) + 1);
  };

  return {
    flush,
    count,
    train: (caller, manifestDigest, code) => {
      flush();
      const already = written.get(caller) ?? 0;
      if (already >= ENTRIES_PER_MEMBER_AND_MINUTE_MAX) return count(code);
      written.set(caller, already + 1);
      const trainId = manifestDigest === null ? null : trainIdOf(manifestDigest);
      const entry = {
        type: 'train.rejected',
        trainId,
        manifestDigest,
        ...NO_HOP,
      } as const;
      store.atomically(() => {
        const body = { code, callerCommitment: committed(caller, store) };
        store.append([{ ...entry, body }], clock.nowMs());
      });
    },
  };
}
