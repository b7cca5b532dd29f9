import { type Figure, median, timedMs } from '../figure.ts';
import { withLedger } from '../ledger-appending.ts';
import { bareSyncMs } from '../ledger-log.ts';

const SAMPLES = 101;

/** From one entry to the signed, published checkpoint over it, with nothing else to share the waiting with. */
export const figure: Figure = {
  unit: 'ms',
  goal: 20,
  measure: () =>
    withLedger(async ({ append }) => {
      const [times, floors]: [number[], number[]] = [[], []];
      await append(1);
      for (let at = 0; at < SAMPLES; at++) {
        times.push(await timedMs(() => append(1)));
        floors.push(bareSyncMs());
      }
      return { value: median(times), samples: times, floor: median(floors), floorName: 'one bare fdatasync' };
    }),
};
