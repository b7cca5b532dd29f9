import { join } from 'node:path';
import { z } from 'zod';
import { PhtError } from '../../model/error.ts';
import { JourneyView } from '../../model/journey-view.ts';
import { parseWith, TimestampMs } from '../../model/schema.ts';
import type { Heard, HeardJourneys } from '../../ports/researcher-trains.ts';
import { readBounded, writeAtomic } from './files.ts';

/** `journeys.json` in a researcher's home: what the dispatcher claimed last, for when it cannot be asked. */

const BYTES_MAX = 16 * 1024 * 1024;
/** As many as a dispatcher is listened to for. */
const JOURNEYS_MAX = 10_000;

const HeardFile = z.strictObject({
  v: z.literal(1),
  journeys: z.array(z.strictObject({ heardAtMs: TimestampMs, journey: JourneyView })).max(JOURNEYS_MAX),
});

/** @param bytesMax of what is kept; of more than that, what was submitted last */
export function createHeardJourneys(homeDir: string, bytesMax = BYTES_MAX): HeardJourneys {
  const path = join(homeDir, 'journeys.json');
  const write = (journeys: readonly Heard[]): void =>
    writeAtomic(path, `${JSON.stringify({ v: 1, journeys: fitting(journeys, bytesMax) })}\n`);
  const list = (): Heard[] => {
    try {
      const bytes = readBounded(path, BYTES_MAX, 'what the dispatcher said last');
      return parseWith(HeardFile, bytes, { bytesMax: BYTES_MAX, what: path }, 'config.invalid').journeys;
    } catch (thrown) {
      if (thrown instanceof PhtError && thrown.code === 'config.missing') return [];
      throw thrown;
    }
  };
  return {
    list,
    replace: (journeys, nowMs) => write(journeys.map((journey) => ({ heardAtMs: nowMs, journey }))),
    keep: (journey, nowMs) => {
      const others = list().filter((heard) => heard.journey.trainId !== journey.trainId);
      write([{ heardAtMs: nowMs, journey }, ...others]);
    },
  };
}

function fitting(journeys: readonly Heard[], bytesMax: number): Heard[] {
  let bytes = 64;
  const newest = journeys.toSorted((a, b) => b.journey.submittedAtMs - a.journey.submittedAtMs);
  return newest.slice(0, JOURNEYS_MAX).filter((heard) => {
    bytes += Buffer.byteLength(JSON.stringify(heard)) + 1;
    return bytes <= bytesMax;
  });
}
