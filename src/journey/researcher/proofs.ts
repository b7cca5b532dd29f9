import { admissionFileOf, type KeptProof, proofFileOf, type StationAccount } from '../../model/account.ts';
import { PhtError } from '../../model/error.ts';
import { type Digest, trainIdOf } from '../../model/id.ts';
import type { ProvenEntry } from '../../model/ledger/entry-proof.ts';
import type { Network } from '../../model/network.ts';
import type { VerifiedOrder } from '../../model/order.ts';
import { provenAdmission, provenOrder, provenReceipt } from '../../model/proven.ts';
import type { VerifiedReceipt } from '../../model/receipt.ts';
import { witnessPolicy } from '../../model/witnessing.ts';

/** What the researcher takes from nobody without its proof: a stranger verifies it later, offline (protocol, section 7). */

/** @throws PhtError `proof.invalid` unless this train's admission stands in that dispatcher's ledger */
export function admissionOf(
  proof: Uint8Array,
  manifestDigest: Digest,
  network: Network,
  dispatcher: string,
): KeptProof {
  const what = `the admission by ${dispatcher}`;
  const proven = named(what, proof, () =>
    provenAdmission(proof, { digest: manifestDigest }, network, dispatcher),
  );
  return summaryOf(proven, network, dispatcher, admissionFileOf(trainIdOf(manifestDigest)));
}

/** @throws PhtError `proof.invalid` unless order and receipt both stand in the ledgers of who signed them */
export function hopProofsOf(
  shown: { orderProof: Uint8Array; receiptProof: Uint8Array },
  order: VerifiedOrder,
  receipt: VerifiedReceipt,
  network: Network,
): NonNullable<StationAccount['proofs']> {
  const { issuer: dispatcher, audience: station } = order.predicate;
  const trainId = trainIdOf(order.subject);
  const ordered = named('the order', shown.orderProof, () => provenOrder(shown.orderProof, order, network));
  const received = named('the receipt', shown.receiptProof, () =>
    provenReceipt(shown.receiptProof, receipt, network),
  );
  return {
    order: summaryOf(ordered, network, dispatcher, proofFileOf(trainId, station, 'order')),
    receipt: summaryOf(received, network, station, proofFileOf(trainId, station, 'receipt')),
  };
}

/** A proof that fails says which of them it was. */
function named(what: string, proof: Uint8Array, verify: () => ProvenEntry): ProvenEntry {
  if (proof.byteLength === 0) throw new PhtError('proof.invalid', `${what} came without a ledger proof`);
  try {
    return verify();
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    throw new PhtError('proof.invalid', `${what}: ${thrown.message}`, { cause: thrown });
  }
}

function summaryOf({ quote, opened }: ProvenEntry, network: Network, owner: string, file: string): KeptProof {
  const cosigners = new Set(opened.cosignatures.map(({ key }) => key.name));
  const witnesses = witnessPolicy(network, owner)?.witnesses ?? [];
  return {
    file,
    origin: quote.origin,
    index: quote.index,
    size: opened.checkpoint.size,
    witnesses: witnesses.filter(({ key }) => cosigners.has(key.name)).map(({ member }) => member),
  };
}
