import { z } from 'zod';
import type { Envelope } from './dsse.ts';
import { PhtError } from './error.ts';
import { type HopId, hopIdOf } from './id.ts';
import type { Network } from './network.ts';
import { Sha256Hex, Slug, TimestampMs } from './schema.ts';
import { verifySigned } from './signed.ts';
import { SKEW_MS } from './skew.ts';
import { Issued, type Verified } from './statement.ts';

/** The dispatcher's signed instruction for one hop; its subject is the manifest digest. */
export const Order = z.strictObject({
  ...Issued,
  audience: Slug,
  step: z.literal('run'),
  round: z.literal(1),
  attempt: z.int().min(1).max(1000),
  epoch: z.int().min(1).max(1_000_000),
  inputs: z.array(z.strictObject({ from: Slug, receiptDigest: Sha256Hex, jweDigest: Sha256Hex })).length(0),
  notBeforeMs: TimestampMs,
  expiresMs: TimestampMs,
});
export type Order = z.infer<typeof Order>;

export type VerifiedOrder = Verified<Order> & { readonly hopId: HopId };

/**
 * Authenticity: what does not pass is no order and gets no receipt. Whether it is timely is the hop's first question.
 *
 * @param station the id of the station that the order must address
 * @throws PhtError `order.audience`, `signer.unknown`, `signature.invalid`, `network.mismatch`, `statement.*`
 */
export function verifyOrder(
  envelope: Envelope,
  network: Network,
  station: string,
  provenAtMs: number | null = null,
): VerifiedOrder {
  const verified = verifySigned('order', Order, envelope, { network, role: 'dispatcher', provenAtMs });
  const { predicate: order } = verified;
  if (order.audience !== station) {
    throw new PhtError('order.audience', `the order is for ${order.audience}, not for this station`);
  }
  return { ...verified, hopId: hopIdOf(verified.digest) };
}

/** @throws PhtError `order.invalid` before its time, `order.expired` after it */
export function assertTimely(order: Order, nowMs: number): void {
  if (order.notBeforeMs > nowMs + SKEW_MS) throw new PhtError('order.invalid', 'the order is not valid yet');
  if (nowMs >= order.expiresMs) throw new PhtError('order.expired', 'the order has expired');
}
