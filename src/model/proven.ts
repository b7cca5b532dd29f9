import { PhtError } from './error.ts';
import { type Digest, type HopId, hopIdOf } from './id.ts';
import type { CheckpointTrust } from './ledger/checkpoint.ts';
import type { LedgerEntry } from './ledger/entry.ts';
import { openEntryProof, type ProvenEntry } from './ledger/entry-proof.ts';
import { ledgerOrigin, logKey } from './ledger/origin.ts';
import { memberOf, type Network, type Role } from './network.ts';
import type { VerifiedOrder } from './order.ts';
import type { VerifiedReceipt } from './receipt.ts';
import { witnessPolicy } from './witnessing.ts';

/**
 * The entry precedes the message (protocol, section 7): a statement counts only with the `.tlog-proof` that it stands in
 * the ledger of who signed it. All of these throw PhtError `proof.invalid`.
 */

/** What signs heads of one member's ledger, by the pinned network. @throws PhtError `proof.invalid` */
export function trustIn(network: Network, member: string, role: Role): CheckpointTrust {
  const jwk = memberOf(network, member, role).keys.log;
  if (jwk === undefined) throw invalid(`the network file names no log key of ${member}`);
  const origin = ledgerOrigin(network.id, member);
  const witnessKeys = witnessPolicy(network, member)?.witnesses.map(({ key }) => key) ?? [];
  return { origin, logKeys: [logKey(origin, jwk)], witnessKeys };
}

export function provenAdmission(
  bytes: Uint8Array,
  manifest: { readonly digest: Digest },
  network: Network,
  dispatcher: string,
): ProvenEntry {
  const proven = openEntryProof(bytes, trustIn(network, dispatcher, 'dispatcher'));
  assertEntry(proven.entry, 'train.admitted', dispatcher);
  if (proven.entry.manifestDigest !== manifest.digest) throw invalid('it is of another train');
  return proven;
}

export function provenOrder(bytes: Uint8Array, order: VerifiedOrder, network: Network): ProvenEntry {
  const dispatcher = order.predicate.issuer;
  const proven = openEntryProof(bytes, trustIn(network, dispatcher, 'dispatcher'));
  assertEntry(proven.entry, 'order.issued', dispatcher);
  const { hopId, manifestDigest, body } = proven.entry;
  if (hopId !== order.hopId || body['orderDigest'] !== order.digest) throw invalid('it is of another order');
  // Who takes on an order that is on record otherwise would be convicted by it.
  if (manifestDigest !== order.subject || body['station'] !== order.predicate.audience)
    throw invalid('it is on record for another train or another station');
  return proven;
}

/**
 * A release counts only under a head that as many witnesses have cosigned as the network asks for (promise 8).
 *
 * @param receipt whose subject is the digest of the order
 */
export function provenReceipt(bytes: Uint8Array, receipt: VerifiedReceipt, network: Network): ProvenEntry {
  const { issuer: station, outcome } = receipt.predicate;
  const proven = openEntryProof(bytes, trustIn(network, station, 'station'));
  assertEntry(proven.entry, 'receipt.issued', station);
  const { hopId, body } = proven.entry;
  const hop: HopId = hopIdOf(receipt.subject);
  if (hopId !== hop || body['receiptDigest'] !== receipt.digest) throw invalid('it is of another receipt');
  const quorum = witnessPolicy(network, station)?.quorum ?? 0;
  if (outcome === 'released' && proven.opened.cosignatures.length < quorum)
    throw invalid(
      `only ${proven.opened.cosignatures.length} witnesses have cosigned it, and ${quorum} must have`,
    );
  return proven;
}

function assertEntry({ type, actor }: LedgerEntry, expected: LedgerEntry['type'], member: string): void {
  if (type !== expected || actor !== member) throw invalid(`it is of an entry ${type} of ${actor}`);
}

const invalid = (why: string): PhtError =>
  new PhtError('proof.invalid', `a ledger proof does not fit: ${why}`);
