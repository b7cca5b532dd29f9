import { type Figure, median } from '../figure.ts';
import { logFolder } from '../ledger-log.ts';
import { idleRssMb, readApart } from '../ledger-readings.ts';

const SAMPLES = 3;

/** The most memory that verifying a million entries ever held, in millions of bytes. */
export const figure: Figure = {
  unit: 'MB',
  goal: 200,
  async measure(say) {
    const folder = logFolder(false, say);
    const samples = Array.from(
      { length: SAMPLES },
      () => readApart({ folder, kept: null, anchor: null }).rssMb,
    );
    return {
      value: Math.max(...samples),
      samples,
      floor: median(Array.from({ length: SAMPLES }, idleRssMb)),
      floorName: 'a Node.js that does nothing',
    };
  },
};
