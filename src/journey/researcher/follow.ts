import { hasEnded } from '../../model/account.ts';
import { PhtError } from '../../model/error.ts';
import type { TrainId } from '../../model/id.ts';
import { type JourneyClient, type JourneyView, journeyOf } from './journeys.ts';
import { CALL_ATTEMPTS_MAX, type Researcher, type Retry } from './researcher.ts';

/**
 * Watches until the journey has ended. A dispatcher that goes away is waited for once it has been heard; one that never
 * answered is given up after a few attempts.
 *
 * @param seen called with every new state of affairs, the last included
 * @throws PhtError `unreachable`, `not-found`, and the signal's reason
 */
export async function follow(
  trainId: TrainId,
  researcher: Researcher,
  ports: { client: JourneyClient; retry: Retry },
  seen: (journey: JourneyView) => void,
  signal: AbortSignal,
): Promise<JourneyView> {
  let last = '';
  let heard = false;
  let failures = 0;
  return ports.retry(
    async ({ progressed }) => {
      for await (const { journey: message } of ports.client.watch({ trainId }, { signal })) {
        heard = true;
        progressed();
        const journey = journeyOf(message);
        if (journey.trainId !== trainId) {
          throw new PhtError(
            'input.malformed',
            'the dispatcher told of another train than the one asked for',
          );
        }
        // After a reconnect the dispatcher says again what was seen before.
        const now = JSON.stringify(journey);
        if (now !== last) seen(journey);
        last = now;
        if (hasEnded(journey.state)) return journey;
      }
      throw new PhtError('unreachable', 'the dispatcher ended the watch before the journey had ended');
    },
    {
      signal,
      onRetry: (error, waitMs) => {
        failures += 1;
        if (!heard && failures >= CALL_ATTEMPTS_MAX) throw error;
        researcher.tell(`${error.message}; trying again in ${Math.ceil(waitMs / 1000)} s`);
      },
    },
  );
}
