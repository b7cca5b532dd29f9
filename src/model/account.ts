import { z } from 'zod';
import { PROGRESS, WAITS } from './hop.ts';
import { type TrainId, TrainIdText } from './id.ts';
import { OUTCOMES } from './receipt.ts';
import { PhtResult } from './result/schema.ts';
import { Sha256Hex, ShortText, Slug, TimestampMs } from './schema.ts';

/** What the researcher may believe of each station, and on whose word (protocol, section 2). */

export const STOP_STATES = ['ordered', ...PROGRESS, ...WAITS, ...OUTCOMES, 'unheard'] as const;

/** Who has to act before a stop goes on, as the dispatcher claims it; nobody once it has ended. */
export const WAITED_FOR = [
  '',
  'station',
  'admin',
  'second-admin',
  'witnesses',
  'authority',
  'engine',
  'dispatcher',
] as const;
export type WaitedFor = (typeof WAITED_FOR)[number];

export const JOURNEY_STATES = ['loading', 'under-way', 'arrived', 'cancelled', 'failed'] as const;
export type JourneyState = (typeof JOURNEY_STATES)[number];

export function hasEnded(state: JourneyState): boolean {
  return state === 'arrived' || state === 'cancelled' || state === 'failed';
}

/**
 * One `.tlog-proof` as it was verified here: entry `index` of the ledger `origin`, under a checkpoint of `size` entries
 * that `witnesses` (member ids) cosigned. `file` is where it is kept, relative to the home.
 */
export const KeptProof = z.strictObject({
  file: z.string().max(200),
  origin: z.string().max(200),
  index: z.int().min(0),
  size: z.int().min(1),
  witnesses: z.array(Slug).max(64),
});
export type KeptProof = z.infer<typeof KeptProof>;

export const HOP_PROOFS = ['order', 'receipt'] as const;
export type HopProof = (typeof HOP_PROOFS)[number];

/** Where a researcher's home keeps proofs, relative to it. `station` is a stop of the train, so a plain name. */
export function proofFileOf(trainId: TrainId, station: string, proof: HopProof): string {
  return `trains/${trainId}/results/${station}.${proof}.tlog-proof`;
}

export function admissionFileOf(trainId: TrainId): string {
  return `trains/${trainId}/admission.tlog-proof`;
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
  // An arrival kept before proofs came along has none, and the key to fetch it anew is gone.
  proofs: z.strictObject({ order: KeptProof, receipt: KeptProof }).nullable().default(null),
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
