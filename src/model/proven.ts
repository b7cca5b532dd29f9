import { PhtError } from './error.ts';
import { type Digest, type HopId, hopIdOf } from './id.ts';
import type { CheckpointTrust } from './ledger/checkpoint.ts';
import type { LedgerEntry } from './ledger/entry.ts';
import { openEntryProof, type ProvenEntry } from './ledger/entry-proof.ts';
import { ledgerOrigin } from './ledger/origin.ts';
import type { Network, Role } from './network.ts';
import type { VerifiedOrder } from './order.ts';
import { countsAt, logKeysOf } from './past-keys.ts';
import type { VerifiedReceipt } from './receipt.ts';
import { countedBy, isOwnHead, keysOfRule, provenAtMs, type QuorumRule, quorumRule } from './witnessing.ts';

/**
 * The entry precedes the message (protocol, section 7): a statement counts only with the `.tlog-proof` that it stands in
 * the ledger of who signed it. Each is judged by the witnesses that its network version asks for, and by what is known by
 * now of everybody's keys. All of these throw PhtError `proof.invalid`.
 */

/** An entry that is proved; `witnesses` are those whose cosignature counts, and `atMs` is when they had seen it. */
export type Proven = ProvenEntry & { readonly witnesses: readonly string[]; readonly atMs: number | null };

/**
 * What signs heads of one member's ledger now: any of its log keys that counts by itself, and the witnesses' keys.
 *
 * @throws PhtError `proof.invalid` where there is no such key
 */
export function trustIn(network: Network, member: string, role: Role): CheckpointTrust {
  return trustOf(network, member, role, quorumRule(network, member), null);
}

/** @param atMs when the head is proved to have been on record; null for what is only now to be acted upon */
function trustOf(
  network: Network,
  member: string,
  role: Role,
  rule: QuorumRule | null,
  atMs: number | null,
): CheckpointTrust {
  const had = network.spans.some((span) => span.id === member && span.role === role);
  const keys = had ? logKeysOf(network, member).filter((past) => countsAt(past, atMs)) : [];
  if (keys.length === 0) throw invalid(`the network file names no log key of ${member} as ${role}`);
  const origin = ledgerOrigin(network.id, member);
  return { origin, logKeys: keys.map(({ key }) => key), witnessKeys: keysOfRule(rule) };
}

/**
 * An entry of a member's ledger, judged by the rule of one version of the network.
 *
 * @param version what the statement names that the entry is about
 */
export function openProven(
  bytes: Uint8Array,
  { network, member, role, version }: { network: Network; member: string; role: Role; version: number },
): Proven {
  if (version > network.version)
    throw invalid(`version ${version} of the network file, which it is judged by, is not here yet`);
  const rule = quorumRule(network, member, version);
  const proven = openEntryProof(bytes, trustOf(network, member, role, rule, Number.NEGATIVE_INFINITY));
  const atMs = provenAtMs(rule, proven.opened);
  if (!isOwnHead(logKeysOf(network, member), proven.opened, atMs))
    throw invalid(`its head is signed with a key of ${member} that counts no more`);
  const counted = rule === null ? [] : countedBy(rule, proven.opened.cosignatures);
  return { ...proven, witnesses: counted.map((witness) => witness.member), atMs };
}

export function provenAdmission(
  bytes: Uint8Array,
  manifest: { readonly digest: Digest },
  network: Network,
  dispatcher: string,
): Proven {
  const { version } = network;
  const proven = openProven(bytes, { network, member: dispatcher, role: 'dispatcher', version });
  assertEntry(proven.entry, 'train.admitted', dispatcher);
  if (proven.entry.manifestDigest !== manifest.digest) throw invalid('it is of another train');
  return proven;
}

export function provenOrder(bytes: Uint8Array, order: VerifiedOrder, network: Network): Proven {
  const { issuer: dispatcher, networkVersion: version } = order.predicate;
  const proven = openProven(bytes, { network, member: dispatcher, role: 'dispatcher', version });
  assertEntry(proven.entry, 'order.issued', dispatcher);
  const { hopId, manifestDigest, body } = proven.entry;
  if (hopId !== order.hopId || body['orderDigest'] !== order.digest) throw invalid('it is of another order');
  // Who takes on an order that is on record otherwise would be convicted by it.
  if (manifestDigest !== order.subject || body['station'] !== order.predicate.audience)
    throw invalid('it is on record for another train or another station');
  return proven;
}

/**
 * A release counts only under a head that as many witnesses have cosigned as the network asked for (promise 8): in the
 * version that the receipt names, so that a rule which was made stricter since undoes nothing.
 *
 * @param receipt whose subject is the digest of the order
 */
export function provenReceipt(bytes: Uint8Array, receipt: VerifiedReceipt, network: Network): Proven {
  const { issuer: station, outcome, networkVersion: version } = receipt.predicate;
  const proven = openProven(bytes, { network, member: station, role: 'station', version });
  assertEntry(proven.entry, 'receipt.issued', station);
  const { hopId, body } = proven.entry;
  const hop: HopId = hopIdOf(receipt.subject);
  if (hopId !== hop || body['receiptDigest'] !== receipt.digest) throw invalid('it is of another receipt');
  const quorum = quorumRule(network, station, version)?.quorum ?? 0;
  if (outcome === 'released' && proven.witnesses.length < quorum)
    throw invalid(`only ${proven.witnesses.length} witnesses have cosigned it, and ${quorum} must have`);
  return proven;
}

function assertEntry({ type, actor }: LedgerEntry, expected: LedgerEntry['type'], member: string): void {
  if (type !== expected || actor !== member) throw invalid(`it is of an entry ${type} of ${actor}`);
}

/**
 * Whether a proof holds for nobody here because no key that is listed has signed its head: the ledger may have one by now
 * that a later network file lists.
 */
export function isOfUnknownKey(thrown: unknown): boolean {
  for (let at = thrown; at instanceof PhtError; at = at.cause) if (at.code === 'signer.unknown') return true;
  return false;
}

const invalid = (why: string): PhtError =>
  new PhtError('proof.invalid', `a ledger proof does not fit: ${why}`);
