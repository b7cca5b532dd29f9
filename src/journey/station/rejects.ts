import type { ErrorCode } from '../../model/error.ts';
import type { StationLog } from '../../ports/station-store.ts';
import type { Station } from './stages.ts';

const WINDOW_MS = 60_000;
const ENTRIES_PER_WINDOW_MAX = 60;

/** Counts what is not taken on. */
export type Rejects = { count(code: ErrorCode): void };

/**
 * Each reject is an entry of its own until there are too many in one minute; the rest of that minute is counted together
 * by code, so that a dispatcher cannot fill a station's disk with its ledger.
 */
export function createRejects(station: Station, log: StationLog): Rejects {
  let window = { sinceMs: 0, entries: 0 };
  const held = new Map<ErrorCode, number>();

  const record = (code: ErrorCode, count: number, nowMs: number): void => {
    const head = { trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null };
    log.append([{ type: 'rejects.counted', ...head, body: { what: 'order', code, count } }], nowMs);
    window.entries++;
  };

  return {
    count: (code) => {
      const nowMs = station.clock.nowMs();
      if (Math.abs(nowMs - window.sinceMs) >= WINDOW_MS) {
        window = { sinceMs: nowMs, entries: 0 };
        for (const [heldCode, count] of held) record(heldCode, count, nowMs);
        held.clear();
      }
      if (window.entries < ENTRIES_PER_WINDOW_MAX) record(code, 1, nowMs);
      else held.set(code, (held.get(code) ?? 0) + 1);
    },
  };
}
