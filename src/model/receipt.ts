import { z } from 'zod';
import type { Envelope } from './dsse.ts';
import { ERROR_CODES, PhtError } from './error.ts';
import type { Network } from './network.ts';
import { PhtResult } from './result/schema.ts';
import { Sha256Hex, Slug, TimestampMs } from './schema.ts';
import { verifySigned } from './signed.ts';
import { Issued, type Verified } from './statement.ts';

/** Every hop that a station took ends in exactly one of these (promise 4). */
export const OUTCOMES = ['released', 'refused', 'failed', 'withheld', 'expired', 'cancelled'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/**
 * Which hop is spoken of: release is unique on (manifest, station, step, round), without the attempt or the epoch,
 * since the dispatcher mints those.
 */
const Visit = {
  manifestDigest: Sha256Hex,
  step: z.literal('run'),
  round: z.literal(1),
  attempt: z.int().min(1).max(1000),
};

/**
 * The station's signed word on one hop; its subject is the order digest. `jweDigest` is the digest of what was sealed
 * for the recipients: the result when released, otherwise the explanation, if the station gives one. `commitment` is
 * SHA-256(salt ‖ explanation), never an unsalted digest of anything that could be guessed.
 */
export const Receipt = z.strictObject({
  ...Issued,
  ...Visit,
  outcome: z.enum(OUTCOMES),
  code: z.enum(['released', ...ERROR_CODES]),
  jweDigest: Sha256Hex.nullable(),
  commitment: Sha256Hex.nullable(),
  /** The receipt that an order was a replay of. */
  quotes: Sha256Hex.nullable(),
  issuedAtMs: TimestampMs,
});
export type Receipt = z.infer<typeof Receipt>;
export type VerifiedReceipt = Verified<Receipt>;

/** What travels inside the JWE when a result is released; signed by the station, its subject is the order digest. */
export const ResultPredicate = z.strictObject({
  ...Issued,
  ...Visit,
  dataset: z.strictObject({ id: Slug, snapshotDigest: Sha256Hex }),
  policyDigest: Sha256Hex,
  disclosureDigest: Sha256Hex,
  recipients: z.array(Sha256Hex).min(1).max(8),
  result: PhtResult,
  issuedAtMs: TimestampMs,
});
export type ResultPredicate = z.infer<typeof ResultPredicate>;

/** What travels inside the JWE otherwise: as much of the why as the station's configuration tells. */
export const ExplanationPredicate = z.strictObject({
  ...Issued,
  ...Visit,
  outcome: z.enum(OUTCOMES).exclude(['released']),
  code: z.enum(ERROR_CODES),
  text: z.string().max(2000),
  reasons: z.array(z.string().max(500)).max(50),
  salt: z.string().regex(/^[0-9a-f]{32}$/),
  issuedAtMs: TimestampMs,
});
export type ExplanationPredicate = z.infer<typeof ExplanationPredicate>;

/**
 * @param provenAtMs as `signerOf` takes it: for a receipt of a station that was revoked since
 * @throws PhtError `receipt.invalid`, `signature.invalid`, `statement.*`, and as `signerOf`
 */
export function verifyReceipt(
  envelope: Envelope,
  network: Network,
  station: string,
  provenAtMs: number | null = null,
): VerifiedReceipt {
  return byStation('receipt', Receipt, envelope, network, station, provenAtMs);
}

export function verifyResult(
  envelope: Envelope,
  network: Network,
  station: string,
  provenAtMs: number | null = null,
): Verified<ResultPredicate> {
  return byStation('result', ResultPredicate, envelope, network, station, provenAtMs);
}

export function verifyExplanation(
  envelope: Envelope,
  network: Network,
  station: string,
  provenAtMs: number | null = null,
): Verified<ExplanationPredicate> {
  return byStation('explanation', ExplanationPredicate, envelope, network, station, provenAtMs);
}

function byStation<P extends { issuer: string; networkId: string; networkVersion: number }>(
  name: 'receipt' | 'result' | 'explanation',
  schema: z.ZodType<P>,
  envelope: Envelope,
  network: Network,
  station: string,
  provenAtMs: number | null,
): Verified<P> {
  const verified = verifySigned(name, schema, envelope, { network, role: 'station', provenAtMs });
  if (verified.predicate.issuer !== station) {
    throw new PhtError(
      'receipt.invalid',
      `the ${name} speaks for another station than the one that signed it`,
    );
  }
  return verified;
}
