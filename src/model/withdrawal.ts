import { z } from 'zod';
import { verifyAdminWord } from './admin-word.ts';
import type { Envelope } from './dsse.ts';
import type { Network } from './network.ts';
import { Sha256Hex, ShortText, Slug, TimestampMs } from './schema.ts';
import { Issued, type Verified } from './statement.ts';

/** An admin's word that a clearance, his own or a colleague's, allows nothing any more; its subject is the network. */
export const WithdrawalPredicate = z.strictObject({
  ...Issued,
  station: Slug,
  /** Of the clearance's or standing clearance's statement. */
  clearanceDigest: Sha256Hex,
  reason: ShortText,
  issuedAtMs: TimestampMs,
});
export type WithdrawalPredicate = z.infer<typeof WithdrawalPredicate>;

/** @throws PhtError as `verifyAdminWord` */
export function verifyWithdrawal(
  envelope: Envelope,
  at: { network: Network; station: string; nowMs: number },
): Verified<WithdrawalPredicate> {
  return verifyAdminWord('withdrawal', WithdrawalPredicate, envelope, at);
}
