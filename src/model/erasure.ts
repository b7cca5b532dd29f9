import { z } from 'zod';
import { verifyAdminWord } from './admin-word.ts';
import type { Envelope } from './dsse.ts';
import type { Network } from './network.ts';
import { ShortText, Slug, TimestampMs } from './schema.ts';
import { Issued, type Verified } from './statement.ts';

/** An admin's word that what links a person to this station's ledger is to go; its subject is the network. */
export const ErasurePredicate = z.strictObject({
  ...Issued,
  station: Slug,
  /** Need not be a member any more. */
  member: Slug,
  reason: ShortText,
  issuedAtMs: TimestampMs,
});
export type ErasurePredicate = z.infer<typeof ErasurePredicate>;

/** @throws PhtError as `verifyAdminWord` */
export function verifyErasure(
  envelope: Envelope,
  at: { network: Network; station: string; nowMs: number },
): Verified<ErasurePredicate> {
  return verifyAdminWord('erasure', ErasurePredicate, envelope, at);
}
