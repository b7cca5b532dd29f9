import { asPhtError } from '../../model/error.ts';
import type { Notice, Notices, NoticeVerdict, Notifier } from '../../ports/notify.ts';
import { createBell } from './bell.ts';
import type { Station } from './stages.ts';

/** Tells the people of a station what waits for them, so that nobody has to poll. No hop ever waits for this. */

/** `at`: `HH:MM` by the clock of this machine, for the daily digest. */
export type NotifyPlan = {
  readonly when: 'at-once' | 'daily';
  readonly at: string;
  readonly on: readonly NoticeVerdict[];
  readonly remindAfterDays: number;
};

export type Notifying = {
  /** Something may have been decided. */
  ring(): void;
  /** Until the signal aborts; what is being told then is told again after the next start. */
  run(signal: AbortSignal): Promise<void>;
};

const DAY_MS = 86_400_000;
const LOOK_AGAIN_MS = 60_000;
const LINES_MAX = 1000;
const FAILURES_MAX = 5;
const RETRY_MS = 60_000;
/** Yesterday's digest ended a little after its time; what it named is due again at today's. */
const SLACK_MS = 3_600_000;

/** @param lookAgainMs for tests; how long it waits when nobody rings */
export function createNotifying(
  station: Pick<Station, 'clock' | 'note'>,
  ports: { notices: Notices; notifier: Notifier },
  plan: NotifyPlan,
  lookAgainMs = LOOK_AGAIN_MS,
): Notifying {
  const bell = createBell();
  let failures = 0;
  let notBeforeMs = 0;

  const pending = (): Notice[] => {
    const remindBeforeMs = station.clock.nowMs() - plan.remindAfterDays * DAY_MS + SLACK_MS;
    return ports.notices.waiting(plan.on, remindBeforeMs, LINES_MAX);
  };

  /** @returns whether more may be waiting now */
  const tell = async (signal: AbortSignal): Promise<boolean> => {
    const nowMs = station.clock.nowMs();
    if (nowMs < notBeforeMs) return false;
    if (plan.when === 'daily' && !isDigestDue(plan.at, ports.notices.lastDigestMs(), nowMs)) return false;
    const batch = pending();
    if (batch.length === 0) {
      if (plan.when === 'daily') ports.notices.digestMade(nowMs);
      return false;
    }
    const { code, why } = await ports.notifier.run(linesOf(batch), signal);
    if (signal.aborted) return false;
    const ok = code === 0;
    failures = ok ? 0 : failures + 1;
    const givenUp = failures >= FAILURES_MAX;
    const noted = { lines: batch.length, exit: code, ...(why === '' ? {} : { why }) };
    station.note(ok ? 'the notify command was run' : `the notify command failed, time ${failures}`, noted);
    if (!ok && !givenUp) {
      notBeforeMs = station.clock.nowMs() + RETRY_MS * 2 ** (failures - 1);
      return false;
    }
    if (givenUp) {
      station.note('these notices are given up; pht station inbox has what waits', noted);
      failures = 0;
    }
    ports.notices.told(batch, station.clock.nowMs());
    // What comes from here on is for tomorrow's digest.
    if (plan.when === 'daily' && batch.length < LINES_MAX) ports.notices.digestMade(nowMs);
    return true;
  };

  /** Trains do not wait for this, so nothing that goes wrong with it may end the station. */
  const tellAll = async (signal: AbortSignal): Promise<void> => {
    try {
      ports.notices.settle(plan.on, station.clock.nowMs());
      for (let more = true; more; ) more = await tell(signal);
    } catch (thrown) {
      station.note('nobody could be notified', { error: asPhtError(thrown) });
    }
  };

  return {
    ring: bell.ring,
    run: async (signal) => {
      while (!signal.aborted) {
        await tellAll(signal);
        // Time makes things due, too.
        const timer = setTimeout(bell.ring, lookAgainMs);
        await bell.wait(signal);
        clearTimeout(timer);
      }
    },
  };
}

function linesOf(notices: readonly Notice[]): string {
  return notices.map(({ trainId, verdict }) => `${trainId} ${verdict}\n`).join('');
}

/** A digest is due once after each `at` that has passed, also one that passed while the station was down. */
export function isDigestDue(at: string, lastMs: number, nowMs: number): boolean {
  const [hours = 0, minutes = 0] = at.split(':').map(Number);
  const due = new Date(nowMs);
  due.setHours(hours, minutes, 0, 0);
  if (due.getTime() > nowMs) {
    due.setDate(due.getDate() - 1);
    due.setHours(hours, minutes, 0, 0);
  }
  return lastMs < due.getTime();
}
