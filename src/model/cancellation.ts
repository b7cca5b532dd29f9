import { z } from 'zod';
import type { Envelope } from './dsse.ts';
import { PhtError } from './error.ts';
import type { Digest } from './id.ts';
import type { Network } from './network.ts';
import { TimestampMs } from './schema.ts';
import { verifySigned } from './signed.ts';
import { Issued, type Verified } from './statement.ts';

/** The researcher takes a train back; its subject is the manifest digest. */
export const Cancellation = z.strictObject({
  ...Issued,
  reason: z.string().max(500),
  issuedAtMs: TimestampMs,
});
export type Cancellation = z.infer<typeof Cancellation>;

/**
 * @param provenAtMs as `signerOf` takes it
 * @throws PhtError `signer.unknown`, `signer.revoked`, `signature.invalid`, `forbidden` when another than the train's researcher signed
 */
export function verifyCancellation(
  envelope: Envelope,
  network: Network,
  train: { digest: Digest; researcher: string },
  provenAtMs: number | null = null,
): Verified<Cancellation> {
  const judged = { network, role: 'researcher', provenAtMs } as const;
  const verified = verifySigned('cancellation', Cancellation, envelope, judged);
  if (verified.subject !== train.digest || verified.predicate.issuer !== train.researcher) {
    throw new PhtError('forbidden', 'the cancellation is for another train');
  }
  return verified;
}
