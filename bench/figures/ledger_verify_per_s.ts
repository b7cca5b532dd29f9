import { type Figure, median } from '../figure.ts';
import { bareHashesPerS, logFolder } from '../ledger-log.ts';
import { readApart } from '../ledger-readings.ts';

const SAMPLES = 5;
const MS_PER_S = 1000;

/** A million entries of some 320 bytes from their files: each one read strictly, every tile, the root, the signature. */
export const figure: Figure = {
  unit: 'entries/s',
  goal: 300_000,
  better: 'higher',
  async measure(say) {
    const folder = logFolder(false, say);
    const [rates, floors]: [number[], number[]] = [[], []];
    for (let at = 0; at < SAMPLES; at++) {
      floors.push(bareHashesPerS());
      const { entries, ms } = readApart({ folder, kept: null, anchor: null });
      rates.push((entries * MS_PER_S) / ms);
    }
    return {
      value: median(rates),
      samples: rates,
      floor: median(floors),
      floorName: 'bare SHA-256 of one leaf and one node each, one thread',
    };
  },
};
