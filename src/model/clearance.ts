import { z } from 'zod';
import type { Envelope } from './dsse.ts';
import { PhtError } from './error.ts';
import type { Digest } from './id.ts';
import { type Member, memberOf, type Network, personOf } from './network.ts';
import { Sha256Hex, Slug, TimestampMs } from './schema.ts';
import { verifySigned } from './signed.ts';
import { SKEW_MS } from './skew.ts';
import { Issued, type PredicateName, type Verified } from './statement.ts';

/** A clearance, or a standing one, with room for as many layers as an image may have. */
export const CLEARANCE_BYTES_MAX: number = 48 * 1024;

export const CLEARANCE_LIFETIME_MS_MAX: number = 7 * 86_400_000;

/** A person's signed decision; its subject is the digest of the case file, of everything that person saw. */
export const ClearancePredicate = z.strictObject({
  ...Issued,
  /** Who is to act on it. */
  station: Slug,
  manifestDigest: Sha256Hex,
  verdict: z.enum(['approve', 'reject']),
  reason: z.string().min(1).max(1000),
  runsMax: z.literal(1),
  issuedAtMs: TimestampMs,
  expiresMs: TimestampMs,
});
export type ClearancePredicate = z.infer<typeof ClearancePredicate>;

/** `person`: the natural person who signed it, as the network knows now. */
export type BySignedAdmin = { readonly signer: Member; readonly person: string };
export type VerifiedClearance = Verified<ClearancePredicate> & BySignedAdmin;

/**
 * @param caseDigest the digest that the station recomputed now; a case that changed is no longer what the person saw
 * @param provenAtMs as `signerOf`; without it the person has to be an admin of the station still
 * @throws PhtError `clearance.invalid`, `clearance.expired`, `signer.unknown`, `signer.revoked`, `signature.invalid`,
 *   `network.mismatch`, `network.behind`, `statement.*`
 */
export function verifyClearance(
  envelope: Envelope,
  network: Network,
  station: string,
  caseDigest: Digest,
  nowMs: number,
  provenAtMs: number | null = null,
): VerifiedClearance {
  const at = { network, station, nowMs, provenAtMs };
  const verified = verifyByAdmin('clearance', ClearancePredicate, envelope, at);
  if (verified.subject !== caseDigest) {
    throw new PhtError(
      'clearance.invalid',
      'the case has changed since it was looked at; look again and decide again',
    );
  }
  const { issuedAtMs, expiresMs } = verified.predicate;
  if (expiresMs - issuedAtMs > CLEARANCE_LIFETIME_MS_MAX)
    throw new PhtError('clearance.invalid', 'a clearance is good for seven days at most');
  assertInForce(verified.predicate, nowMs);
  return verified;
}

type Addressed = {
  networkId: string;
  networkVersion: number;
  issuer: string;
  station: string;
  issuedAtMs: number;
  expiresMs: number;
};

/** Signed by an admin of this station and addressed to it, whatever else it says and however old it is. */
export function verifyByAdmin<P extends Addressed>(
  name: PredicateName,
  schema: z.ZodType<P>,
  envelope: Envelope,
  at: { network: Network; station: string; provenAtMs?: number | null },
): Verified<P> & BySignedAdmin {
  const { network, station, provenAtMs = null } = at;
  const verified = verifySigned(name, schema, envelope, { network, role: 'admin', provenAtMs });
  const { signer, predicate } = verified;
  // The word of a former admin lets nothing go.
  const now = provenAtMs === null ? memberOf(network, signer.id, 'admin') : signer;
  if (signer.station !== station || now.station !== station) {
    throw new PhtError('signer.unknown', `${signer.id} is not an admin of this station`);
  }
  if (predicate.station !== station) {
    throw new PhtError('clearance.invalid', `it is addressed to ${predicate.station}, not to this station`);
  }
  return { ...verified, person: personOf(now) };
}

/** @throws PhtError `clearance.invalid`, `clearance.expired` */
export function assertInForce(
  { issuedAtMs, expiresMs }: Pick<Addressed, 'issuedAtMs' | 'expiresMs'>,
  nowMs: number,
): void {
  if (issuedAtMs > nowMs + SKEW_MS)
    throw new PhtError('clearance.invalid', 'the clearance was issued in the future; a clock is wrong');
  if (nowMs >= expiresMs) throw new PhtError('clearance.expired', 'the clearance has expired');
}
