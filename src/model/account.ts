import { z } from 'zod';
import { TrainIdText } from './id.ts';
import { OUTCOMES } from './receipt.ts';
import { PhtResult } from './result/schema.ts';
import { Sha256Hex, ShortText, Slug, TimestampMs } from './schema.ts';

/** What the researcher may believe of each station, and on whose word (protocol, section 2). */

export const STOP_STATES = [
  'ordered',
  'received',
  'awaiting-clearance',
  'cleared',
  'running',
  ...OUTCOMES,
  'unheard',
] as const;

export const JOURNEY_STATES = ['loading', 'under-way', 'arrived', 'cancelled', 'failed'] as const;
export type JourneyState = (typeof JOURNEY_STATES)[number];

export function hasEnded(state: JourneyState): boolean {
  return state === 'arrived' || state === 'cancelled' || state === 'failed';
}

/**
 * `attested`: the station's own signature, verified here. `claimed`: the dispatcher says so and nobody else.
 * `unverified`: something was shown for this station that does not hold; nothing of it is used.
 */
export const StationAccount = z.strictObject({
  station: Slug,
  word: z.enum(['attested', 'claimed', 'unverified']),
  state: z.enum([...STOP_STATES, 'unverified']),
  code: z.string().max(100),
  text: z.string().max(4000),
  reasons: z.array(z.string().max(500)).max(50),
  atMs: TimestampMs.nullable(),
  receiptDigest: Sha256Hex.nullable(),
  snapshotDigest: Sha256Hex.nullable(),
  result: PhtResult.nullable(),
});
export type StationAccount = z.infer<typeof StationAccount>;

/** `complete`: the journey has ended, and every stop is accounted for by a signature that verifies. */
export const Arrival = z.strictObject({
  schema: z.literal('pht-arrival/v1'),
  trainId: TrainIdText,
  title: ShortText,
  state: z.enum(JOURNEY_STATES),
  minStations: z.int().min(1).max(100),
  complete: z.boolean(),
  stations: z.array(StationAccount).max(200),
});
export type Arrival = z.infer<typeof Arrival>;

/** Stations whose released result verifies; what the dispatcher counts plays no part. */
export function releasedIn(arrival: Arrival): (StationAccount & { result: PhtResult })[] {
  return arrival.stations.flatMap((account) => {
    const { result } = account;
    return account.word === 'attested' && result !== null ? [{ ...account, result }] : [];
  });
}
