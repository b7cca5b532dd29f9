import type { Envelope } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import type { Digest } from '../model/id.ts';
import { type Member, NetworkPredicate, type Witnessing } from '../model/network.ts';
import { check } from '../model/schema.ts';
import { signStatement } from '../model/statement.ts';
import type { Signer } from '../ports/signer.ts';

/** Signing the list of members, shared by founding and admitting. */

export const DAY_MS: number = 24 * 3_600_000;
const DAYS_MAX = 3650;

/** @throws PhtError `usage.invalid` */
export function parseDays(text: string): number {
  const days = /^[0-9]{1,4}$/.test(text) ? Number(text) : 0;
  if (days >= 1 && days <= DAYS_MAX) return days;
  throw new PhtError('usage.invalid', `--expires-days takes a whole number from 1 to ${DAYS_MAX}`);
}

/** One version of the list of members, signed by the root. */
export function signMembers(
  list: {
    networkId: Digest;
    version: number;
    issuer: string;
    members: readonly Member[];
    witnessing: Witnessing;
    issuedAtMs: number;
    expiresMs: number;
  },
  root: Signer,
): Envelope {
  const { networkId, version, issuer, members, witnessing, issuedAtMs, expiresMs } = list;
  const predicate = check(
    NetworkPredicate,
    { networkId, networkVersion: version, issuer, issuedAtMs, expiresMs, witnessing, members: [...members] },
    'the new network file',
    'network.invalid',
  );
  return signStatement('network', { name: 'root', digest: networkId }, predicate, root).envelope;
}
