import { setImmediate } from 'node:timers/promises';
import { type Figure, median, timedMs } from '../figure.ts';
import { type Appending, withLedger } from '../ledger-appending.ts';
import { bareSyncMs } from '../ledger-log.ts';

const SAMPLES = 5;
const GROUP = 64;
const ENTRIES = 32_768;
const SYNCS = 50;
const MS_PER_S = 1000;

/** Entries come `group` at a time, each group in a transaction of its own; those that wait share a checkpoint. */
async function perS({ append }: Appending, group: number, entries: number): Promise<number> {
  const ms = await timedMs(async () => {
    const waiting: Promise<void>[] = [];
    for (let at = 0; at < entries; at += group) {
      waiting.push(append(group));
      await setImmediate();
    }
    await Promise.all(waiting);
  });
  return (entries * MS_PER_S) / ms;
}

/** Durable rows, tiles and a signed checkpoint for entries of some 320 bytes, 64 to a transaction. */
export const figure: Figure = {
  unit: 'entries/s',
  goal: 20_000,
  better: 'higher',
  measure: (say) =>
    withLedger(async (appending) => {
      const [rates, floors]: [number[], number[]] = [[], []];
      await perS(appending, GROUP, ENTRIES / SAMPLES);
      for (let at = 0; at < SAMPLES; at++) {
        rates.push(await perS(appending, GROUP, ENTRIES));
        floors.push((GROUP * MS_PER_S) / median(Array.from({ length: SYNCS }, bareSyncMs)));
      }
      for (const group of [1, 16]) {
        const rate = await perS(appending, group, group * SYNCS * SYNCS);
        say(`${Math.round(rate)} entries/s with ${group} to a transaction`);
      }
      return {
        value: median(rates),
        samples: rates,
        floor: median(floors),
        floorName: 'one bare fdatasync for each 64 entries',
      };
    }),
};
