import { createHash } from 'node:crypto';
import { z } from 'zod';

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** `trn_` and 24 hexadecimal digits of the manifest digest: derived, so that nobody can squat an id. */
export type TrainId = Branded<'TrainId'>;
/** `hop_` and 24 hexadecimal digits of the order digest. */
export type HopId = Branded<'HopId'>;
/** SHA-256 of the decoded bytes, 64 lower-case hexadecimal digits. */
export type Digest = Branded<'Digest'>;

export const TrainIdText: z.ZodType<TrainId> = z
  .string()
  .regex(/^trn_[0-9a-f]{24}$/, 'must be trn_ and 24 hexadecimal digits') as unknown as z.ZodType<TrainId>;
export const HopIdText: z.ZodType<HopId> = z
  .string()
  .regex(/^hop_[0-9a-f]{24}$/, 'must be hop_ and 24 hexadecimal digits') as unknown as z.ZodType<HopId>;
export const DigestText: z.ZodType<Digest> = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits') as unknown as z.ZodType<Digest>;

export function digestOf(bytes: Uint8Array | string): Digest {
  return createHash('sha256').update(bytes).digest('hex') as Digest;
}

export function trainIdOf(manifestDigest: Digest): TrainId {
  return `trn_${manifestDigest.slice(0, 24)}` as TrainId;
}

export function hopIdOf(orderDigest: Digest): HopId {
  return `hop_${orderDigest.slice(0, 24)}` as HopId;
}
