import { z } from 'zod';
import { type Envelope, payloadOf } from './dsse.ts';
import { PhtError } from './error.ts';
import type { Digest } from './id.ts';
import { assertSameNetwork, type Member, memberOf, type Network } from './network.ts';
import { Sha256Hex, TimestampMs } from './schema.ts';
import { Issued, readStatement, type Verified, verifyStatement } from './statement.ts';

/** A person's signed decision; its subject is the digest of the case file, of everything that person saw. */
export const ClearancePredicate = z.strictObject({
  ...Issued,
  manifestDigest: Sha256Hex,
  verdict: z.enum(['approve', 'reject']),
  reason: z.string().min(1).max(1000),
  runsMax: z.literal(1),
  issuedAtMs: TimestampMs,
  expiresMs: TimestampMs,
});
export type ClearancePredicate = z.infer<typeof ClearancePredicate>;
export type VerifiedClearance = Verified<ClearancePredicate>;

/**
 * @param caseDigest the digest that the station recomputed now; a case that changed is no longer what the person saw
 * @throws PhtError `clearance.invalid`, `clearance.expired`, `signer.unknown`, `signature.invalid`
 */
export function verifyClearance(
  envelope: Envelope,
  network: Network,
  station: string,
  caseDigest: Digest,
  nowMs: number,
): VerifiedClearance {
  const claimed = readStatement('clearance', ClearancePredicate, payloadOf(envelope));
  const admin: Member = memberOf(network, claimed.predicate.issuer, 'admin');
  if (admin.station !== station) {
    throw new PhtError('signer.unknown', `${admin.id} is not an admin of this station`);
  }
  const verified = verifyStatement('clearance', ClearancePredicate, envelope, [admin.keys.statement]);
  assertSameNetwork(network, verified.predicate);
  if (verified.subject !== caseDigest) {
    throw new PhtError(
      'clearance.invalid',
      'the case has changed since it was looked at; look again and decide again',
    );
  }
  if (nowMs >= verified.predicate.expiresMs)
    throw new PhtError('clearance.expired', 'the clearance has expired');
  return verified;
}
