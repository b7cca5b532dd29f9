import { hasEnded } from '../../model/account.ts';
import { type ErrorCode, PhtError } from '../../model/error.ts';
import type { TrainId } from '../../model/id.ts';
import type { JourneyView } from '../../model/journey-view.ts';
import { type JourneyClient, journeyOf } from './journeys.ts';
import { CALL_ATTEMPTS_MAX, type Researcher, type Retry } from './researcher.ts';

/** What a dispatcher that was heard before may answer for a while: nothing that is decided about this train or member. */
const PASSING: ReadonlySet<ErrorCode> = new Set(['internal', 'certificate.invalid', 'ledger.unchecked']);

export type FollowPorts = {
  /** @param again after a break: dialled anew, since certificate and address may have been renewed meanwhile */
  client: (again: boolean) => Promise<JourneyClient>;
  retry: Retry;
};

/**
 * Watches until the journey has ended, be it weeks. A dispatcher that goes away is waited for once it has been heard;
 * one that never answered is given up after a few attempts.
 *
 * @param seen called with every new state of affairs, the last included; that a station was there again is none
 * @throws PhtError `unreachable`, `not-found`, and the signal's reason
 */
export async function follow(
  trainId: TrainId,
  researcher: Researcher,
  ports: FollowPorts,
  seen: (journey: JourneyView) => void,
  signal: AbortSignal,
): Promise<JourneyView> {
  let last = '';
  let heard = false;
  let failures = 0;
  let told: string | null = null;
  const hears = (journey: JourneyView): boolean => {
    heard = true;
    if (told !== null) researcher.tell('the dispatcher answers again');
    told = null;
    // After a reconnect the dispatcher says again what was seen before, and so it does to keep the line open.
    const now = lookOf(journey);
    const isNews = now !== last;
    last = now;
    if (isNews) seen(journey);
    return isNews;
  };
  return ports.retry(
    async ({ number, progressed }) => {
      const client = await ports.client(number > 0);
      let messages = 0;
      for await (const { journey: message } of client.watch({ trainId }, { signal })) {
        const journey = journeyOf(message);
        if (journey.trainId !== trainId) {
          throw new PhtError(
            'input.malformed',
            'the dispatcher told of another train than the one asked for',
          );
        }
        messages += 1;
        // One that repeats itself and hangs up, over and over, is not progress.
        if (hears(journey) || messages > 1) progressed();
        if (hasEnded(journey.state)) return journey;
      }
      throw new PhtError('unreachable', 'the dispatcher ended the watch before the journey had ended');
    },
    {
      signal,
      retryAlso: ({ code }) => heard && PASSING.has(code),
      onRetry: (error) => {
        failures += 1;
        if (!heard && failures >= CALL_ATTEMPTS_MAX) throw error;
        // A trouble that lasts a weekend is one line.
        if (told !== error.message) researcher.tell(`${error.message}; trying again until it answers`);
        told = error.message;
      },
    },
  );
}

function lookOf(journey: JourneyView): string {
  return JSON.stringify({ ...journey, stops: journey.stops.map((stop) => ({ ...stop, stationSeenMs: 0 })) });
}
