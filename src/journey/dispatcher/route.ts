import { PROGRESS, type StopState, WAITS } from '../../model/hop.ts';
import { OUTCOMES } from '../../model/receipt.ts';
import type { Route } from '../../model/route.ts';
import type { JourneyState } from '../../ports/dispatcher-store.ts';

/** Where a train goes next and where it stands. Pure: the same journey always gives the same answer. */

export type JourneyFacts = {
  readonly route: Route;
  readonly cancelled: boolean;
  readonly stops: readonly { readonly station: string; readonly state: StopState }[];
};

/** `attempt` and `epoch` count from 1. */
export type NextStop = { readonly station: string; readonly attempt: number; readonly epoch: number };

/** `parallel`: every stop at once. A train that was taken back goes nowhere new. */
export function nextStops({ route, cancelled, stops }: JourneyFacts): NextStop[] {
  if (cancelled) return [];
  const ordered = new Set(stops.map(({ station }) => station));
  return route.stops
    .filter((station) => !ordered.has(station))
    .map((station) => ({ station, attempt: 1, epoch: 1 }));
}

const ENDS: ReadonlySet<StopState> = new Set([...OUTCOMES, 'unheard']);

export function isEnded(state: StopState): boolean {
  return ENDS.has(state);
}

/** A journey ends when nothing is left to order and every stop has ended; whoever took it back sees it cancelled. */
export function journeyState(facts: JourneyFacts): Exclude<JourneyState, 'loading'> {
  if (nextStops(facts).length > 0 || facts.stops.some(({ state }) => !isEnded(state))) return 'under-way';
  if (facts.cancelled) return 'cancelled';
  return releasedOf(facts) >= facts.route.minStations ? 'arrived' : 'failed';
}

export function releasedOf({ stops }: Pick<JourneyFacts, 'stops'>): number {
  return stops.filter(({ state }) => state === 'released').length;
}

const TOLD: ReadonlySet<string> = new Set([...PROGRESS, ...WAITS]);

/**
 * A station tells its progress in order, each report once; a case that changed goes back to its people, so a stop may
 * go back as well. Only an end is final.
 *
 * @returns whether `state` is progress that a station may report at all, and whether it is news after `known`
 */
export function progressAfter(known: StopState, state: string): { valid: boolean; news: boolean } {
  const valid = TOLD.has(state);
  return { valid, news: valid && !isEnded(known) && state !== known };
}
