import type { DisclosureRequest } from '../../model/disclosure.ts';
import { encodeEnvelope } from '../../model/dsse.ts';
import type { ErasurePredicate } from '../../model/erasure.ts';
import type { Network } from '../../model/network.ts';
import { type PredicateName, signStatement } from '../../model/statement.ts';
import type { TrustPredicate } from '../../model/trust.ts';
import type { WithdrawalPredicate } from '../../model/withdrawal.ts';
import type { Signer } from '../../ports/signer.ts';

type Admin = { id: string; network: Network; signer: Signer; nowMs: number };
type Said<W> = Omit<W, 'networkId' | 'networkVersion' | 'issuer' | 'issuedAtMs'>;

/** The person's word that one train be opened to one auditor, signed with the admin's own key. */
export function signDisclosureRequest(asked: Said<DisclosureRequest>, admin: Admin): Uint8Array {
  return signWord('disclosureRequest', asked, admin);
}

/** The person's word that a station forget a member, signed with the admin's own key. */
export function signErasure(asked: Said<ErasurePredicate>, admin: Admin): Uint8Array {
  return signWord('erasure', asked, admin);
}

/** The person's word on a member that shows two pasts, signed with the admin's own key. */
export function signTrust(said: Said<TrustPredicate>, admin: Admin): Uint8Array {
  return signWord('trust', said, admin);
}

/** The person's word that a clearance allows nothing any more, signed with the admin's own key. */
export function signWithdrawal(said: Said<WithdrawalPredicate>, admin: Admin): Uint8Array {
  return signWord('withdrawal', said, admin);
}

function signWord(name: PredicateName, asked: object, { id, network, signer, nowMs }: Admin): Uint8Array {
  const issued = { networkId: network.id, networkVersion: network.version, issuer: id, issuedAtMs: nowMs };
  const subject = { name: 'network', digest: network.id };
  return encodeEnvelope(signStatement(name, subject, { ...issued, ...asked }, signer).envelope);
}
