import { type Figure, median, timedMs } from '../figure.ts';
import { type Looking, withImages } from '../image-review.ts';

const SAMPLES = 5;
const COLD_SAMPLES = 3;

/**
 * What `show` needs for an image of 500 MB whose top layer changed: the station knows the one that it is compared with,
 * and fetches the new layer from a depot on this machine.
 */
export const figure: Figure = {
  unit: 's',
  goal: 5,
  measure: (say) =>
    withImages(async (looking) => {
      const cold = await samplesOf(looking, 'all', COLD_SAMPLES);
      say(`${median(cold).toFixed(2)} s when no layer of either image was ever looked into`);
      const warm = await samplesOf(looking, 'top', SAMPLES);
      const floors: number[] = [];
      for (let at = 0; at < SAMPLES; at++) floors.push((await timedMs(looking.floor)) / 1000);
      return {
        value: median(warm),
        samples: warm,
        floor: median(floors),
        floorName: 'reading and SHA-256 of the changed layer',
      };
    }),
};

async function samplesOf({ look, forget }: Looking, what: 'top' | 'all', count: number): Promise<number[]> {
  const samples: number[] = [];
  for (let at = 0; at < count; at++) {
    await forget(what);
    let changed = 0;
    samples.push(
      (await timedMs(async () => {
        changed = (await look()).counts.changed;
      })) / 1000,
    );
    // What is wrong is measured for nothing.
    if (changed !== 100) throw new Error(`${changed} files were told to have changed, and not 100`);
  }
  return samples;
}
