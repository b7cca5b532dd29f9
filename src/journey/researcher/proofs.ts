import { admissionFileOf, type KeptProof, proofFileOf, type StationAccount } from '../../model/account.ts';
import { parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { type Digest, trainIdOf } from '../../model/id.ts';
import type { Network } from '../../model/network.ts';
import type { VerifiedOrder } from '../../model/order.ts';
import { openProven, type Proven, provenAdmission, provenOrder, provenReceipt } from '../../model/proven.ts';
import { Receipt, type VerifiedReceipt } from '../../model/receipt.ts';
import { readStatement } from '../../model/statement.ts';

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
  return summaryOf(proven, admissionFileOf(trainIdOf(manifestDigest)));
}

/** @throws PhtError `proof.invalid` unless order and receipt both stand in the ledgers of who signed them */
export function hopProofsOf(
  shown: { orderProof: Uint8Array; receiptProof: Uint8Array },
  order: VerifiedOrder,
  receipt: VerifiedReceipt,
  network: Network,
): NonNullable<StationAccount['proofs']> {
  const { audience: station } = order.predicate;
  const trainId = trainIdOf(order.subject);
  const ordered = named('the order', shown.orderProof, () => provenOrder(shown.orderProof, order, network));
  const received = named('the receipt', shown.receiptProof, () =>
    provenReceipt(shown.receiptProof, receipt, network),
  );
  return {
    order: summaryOf(ordered, proofFileOf(trainId, station, 'order')),
    receipt: summaryOf(received, proofFileOf(trainId, station, 'receipt')),
  };
}

/**
 * When the witnesses of a station had seen its receipt, and with it the order and the sealed bytes that it names: what a
 * signature of a member that was revoked since is judged by. It is worth something only once `hopProofsOf` has tied proof
 * and receipt together.
 *
 * @returns milliseconds since the Unix epoch; null where nothing is proved
 */
export function onRecordMs(
  shown: { receipt: Uint8Array; receiptProof: Uint8Array },
  network: Network,
  station: string,
): number | null {
  try {
    const payload = payloadOf(parseEnvelope(shown.receipt, 'the receipt'));
    const { networkVersion: version } = readStatement('receipt', Receipt, payload).predicate;
    return openProven(shown.receiptProof, { network, member: station, role: 'station', version }).atMs;
  } catch (thrown) {
    // What is wrong with either is said where they are verified.
    if (thrown instanceof PhtError) return null;
    throw thrown;
  }
}

/** A proof that fails says which of them it was. */
function named(what: string, proof: Uint8Array, verify: () => Proven): Proven {
  if (proof.byteLength === 0) throw new PhtError('proof.invalid', `${what} came without a ledger proof`);
  try {
    return verify();
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    throw new PhtError('proof.invalid', `${what}: ${thrown.message}`, { cause: thrown });
  }
}

function summaryOf({ quote, opened, witnesses }: Proven, file: string): KeptProof {
  const { origin, index } = quote;
  return { file, origin, index, size: opened.checkpoint.size, witnesses: [...witnesses] };
}
