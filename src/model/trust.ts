import { z } from 'zod';
import { verifyAdminWord } from './admin-word.ts';
import type { Envelope } from './dsse.ts';
import type { Network } from './network.ts';
import { Sha256Hex, ShortText, Slug, TimestampMs } from './schema.ts';
import { Issued, type Verified } from './statement.ts';

/** `resume`: what that member signs is taken again. `stop`: somebody has looked, and it is not. */
const TRUST_VERDICTS = ['resume', 'stop'] as const;
export type TrustVerdict = (typeof TRUST_VERDICTS)[number];

/** An admin's word on a member whose ledger has two roots for one size; its subject is the network. */
export const TrustPredicate = z.strictObject({
  ...Issued,
  station: Slug,
  member: Slug,
  /** Names the evidence that was looked at, so that a word on one conflict settles no other. */
  conflictDigest: Sha256Hex,
  verdict: z.enum(TRUST_VERDICTS),
  reason: ShortText,
  issuedAtMs: TimestampMs,
});
export type TrustPredicate = z.infer<typeof TrustPredicate>;

/** @throws PhtError as `verifyAdminWord` */
export function verifyTrust(
  envelope: Envelope,
  at: { network: Network; station: string; nowMs: number },
): Verified<TrustPredicate> {
  return verifyAdminWord('trust', TrustPredicate, envelope, at);
}
