import type { z } from 'zod';
import type { Envelope } from './dsse.ts';
import { PhtError } from './error.ts';
import { memberOf, type Network } from './network.ts';
import { verifySigned } from './signed.ts';
import { SKEW_MS } from './skew.ts';
import type { PredicateName, Verified } from './statement.ts';

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
  const verified = verifySigned(name, schema, envelope, { network, role: 'admin' });
  const { predicate, signer } = verified;
  // Whoever governs another station by now, or has another role, may name an old version all the same.
  const now = memberOf(network, signer.id, 'admin');
  if (signer.station !== station || now.station !== station) {
    throw new PhtError('signer.unknown', `${signer.id} is not an admin of this station`);
  }
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
