import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type StopState, PROGRESS as TOLD, WAITS } from '../../model/hop.ts';
import { OUTCOMES } from '../../model/receipt.ts';
import { isEnded, journeyState, nextStops, progressAfter } from './route.ts';

const PROGRESS = ['ordered', ...TOLD, ...WAITS] as const;
const STATES: readonly StopState[] = [...PROGRESS, ...OUTCOMES, 'unheard'];
const stations = ['a', 'b', 'c', 'd'];

const facts = fc.record({
  minStations: fc.integer({ min: 1, max: 4 }),
  cancelled: fc.boolean(),
  states: fc.array(fc.constantFrom(...STATES), { maxLength: 4 }),
});

const journey = ({
  minStations,
  cancelled,
  states,
}: {
  minStations: number;
  cancelled: boolean;
  states: StopState[];
}) => ({
  route: { pattern: 'parallel' as const, stops: stations, minStations, deadlineMs: 60_000 },
  cancelled,
  stops: states.map((state, at) => ({ station: stations[at] ?? '', state })),
});

describe('a parallel route', () => {
  it('orders every stop once, all at the same time', () => {
    const empty = journey({ minStations: 1, cancelled: false, states: [] });
    expect(nextStops(empty)).toEqual(stations.map((station) => ({ station, attempt: 1, epoch: 1 })));
    fc.assert(
      fc.property(facts, (each) => {
        const { cancelled, stops } = journey(each);
        const next = nextStops(journey(each)).map(({ station }) => station);
        const known = stops.map(({ station }) => station);
        expect(cancelled ? next : [...known, ...next].sort()).toEqual(cancelled ? [] : stations);
      }),
    );
  });

  it('ends exactly when nothing is open, by what was released', () => {
    fc.assert(
      fc.property(facts, (each) => {
        const state = journeyState(journey(each));
        const open =
          each.states.some((stop) => !isEnded(stop)) || (!each.cancelled && each.states.length < 4);
        const released = each.states.filter((stop) => stop === 'released').length;
        const end = each.cancelled ? 'cancelled' : released >= each.minStations ? 'arrived' : 'failed';
        expect(state).toBe(open ? 'under-way' : end);
      }),
    );
  });

  it('takes what a station tells last, and nothing after an end', () => {
    for (const known of PROGRESS) {
      for (const said of PROGRESS) {
        const valid = said !== 'ordered';
        expect(progressAfter(known, said)).toEqual({ valid, news: valid && said !== known });
      }
    }
    for (const end of [...OUTCOMES, 'unheard'] as const) {
      expect(progressAfter('ordered', end).valid).toBe(false);
      expect(progressAfter(end, 'running')).toEqual({ valid: true, news: false });
    }
  });
});
