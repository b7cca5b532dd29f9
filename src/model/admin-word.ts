import type { z } from 'zod';
import { type Envelope, payloadOf } from './dsse.ts';
import { PhtError } from './error.ts';
import { assertSameNetwork, memberOf, type Network } from './network.ts';
import { type PredicateName, readStatement, type Verified, verifyStatement } from './statement.ts';
import { SKEW_MS } from './train.ts';

type Word = {
  networkId: string;
  networkVersion: number;
  issuer: string;
  station: string;
  issuedAtMs: number;
};

/**
 * What an admin asks of a station at once: signed with the admin's own key, for this station, and fresh, so that an old
 * word cannot be used again.
 *
 * @throws PhtError `signer.unknown`, `forbidden` for another station's, `conflict` when it is not fresh, `signature.*`,
 *   `statement.*`, `network.mismatch`
 */
export function verifyAdminWord<W extends Word>(
  name: PredicateName,
  schema: z.ZodType<W>,
  envelope: Envelope,
  { network, station, nowMs }: { network: Network; station: string; nowMs: number },
): Verified<W> {
  const claimed = readStatement(name, schema, payloadOf(envelope)).predicate;
  const admin = memberOf(network, claimed.issuer, 'admin');
  if (admin.station !== station) {
    throw new PhtError('signer.unknown', `${admin.id} is not an admin of this station`);
  }
  const verified = verifyStatement(name, schema, envelope, [admin.keys.statement]);
  const { predicate } = verified;
  assertSameNetwork(network, predicate);
  if (predicate.station !== station) {
    throw new PhtError('forbidden', `this is addressed to ${predicate.station}, not to this station`);
  }
  if (Math.abs(nowMs - predicate.issuedAtMs) > SKEW_MS) {
    throw new PhtError('conflict', 'this was signed too long ago, or a clock is wrong', {
      hint: 'sign it anew: run the command again',
    });
  }
  return verified;
}
