import type { z } from 'zod';
import { type Envelope, payloadOf } from './dsse.ts';
import { type Member, type Network, type Role, signerOf } from './network.ts';
import { type PredicateName, readStatement, type Verified, verifyStatement } from './statement.ts';

type IssuedBy = { networkId: string; networkVersion: number; issuer: string };

export type Judged = {
  readonly network: Network;
  readonly role: Role;
  /** As `signerOf`: when it is proved to have been on record; null for what is only now to be acted upon. */
  readonly provenAtMs?: number | null;
};

/**
 * A member's statement: reads who claims to have issued it under which version of the network, and believes it only when
 * the statement key that this member had then, in this role, has signed it.
 *
 * @throws PhtError `signature.invalid`, `statement.*`, and as `signerOf`
 */
export function verifySigned<P extends IssuedBy>(
  name: PredicateName,
  schema: z.ZodType<P>,
  envelope: Envelope,
  { network, role, provenAtMs = null }: Judged,
): Verified<P> & { readonly signer: Member } {
  const claimed = readStatement(name, schema, payloadOf(envelope)).predicate;
  const signer = signerOf(network, claimed, role, provenAtMs);
  return { ...verifyStatement(name, schema, envelope, [signer.keys.statement]), signer };
}
