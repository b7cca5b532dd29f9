import { z } from 'zod';
import { JOURNEY_STATES, STOP_STATES, WAITED_FOR } from './account.ts';
import { HopIdText, TrainIdText } from './id.ts';
import { Slug, TimestampMs } from './schema.ts';

export const StopView = z.strictObject({
  station: Slug,
  state: z.enum(STOP_STATES),
  code: z.string().max(100),
  changedAtMs: TimestampMs,
  attempt: z.int().min(0),
  hopId: z.union([z.literal(''), HopIdText]),
  /** Who has to act before it goes on. */
  waitsFor: z.enum(WAITED_FOR),
  /** 0 when nobody is waited for. */
  waitsSinceMs: TimestampMs,
  stationOnline: z.boolean(),
  /** 0 when the station was never there. */
  stationSeenMs: TimestampMs,
});
export type StopView = z.infer<typeof StopView>;

/** A journey as the dispatcher claims it. */
export const JourneyView = z.strictObject({
  trainId: TrainIdText,
  title: z.string().max(200),
  state: z.enum(JOURNEY_STATES),
  submittedAtMs: TimestampMs,
  stops: z.array(StopView).max(100),
});
export type JourneyView = z.infer<typeof JourneyView>;
