import type { ErrorCode } from '../../model/error.ts';
import type { StationLog } from '../../ports/station-store.ts';
import type { Station } from './stages.ts';

const WINDOW_MS = 60_000;
const ENTRIES_PER_WINDOW_MAX = 60;

/** Counts what is not taken on: orders, unless said otherwise. */
export type Rejects = { count(code: ErrorCode, what?: Refused): void };
type Refused = 'order' | 'inquiry' | 'clearance' | 'withdrawal' | 'network';

/**
 * Each reject is an entry of its own until there are too many in one minute; the rest of that minute is counted together
 * by code, so that a dispatcher cannot fill a station's disk with its ledger.
 */
export function createRejects(station: Station, log: Pick<StationLog, 'append'>): Rejects {
  let window = { sinceMs: 0, entries: 0 };
  let held = new Map<string, { code: ErrorCode; what: Refused; count: number }>();

  const record = (code: ErrorCode, what: Refused, count: number, nowMs: number): void => {
    const head = { trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null };
    log.append([{ type: 'rejects.counted', ...head, body: { what, code, count } }], nowMs);
    window.entries++;
  };

  return {
    count: (code, what = 'order') => {
      const nowMs = station.clock.nowMs();
      if (Math.abs(nowMs - window.sinceMs) >= WINDOW_MS) {
        window = { sinceMs: nowMs, entries: 0 };
        for (const one of held.values()) record(one.code, one.what, one.count, nowMs);
        held = new Map();
      }
      if (window.entries < ENTRIES_PER_WINDOW_MAX) return record(code, what, 1, nowMs);
      const key = `${what} ${code}`;
      const count = (held.get(key)?.count ?? 0) + 1;
      held.set(key, { code, what, count });
    },
  };
}
