import { createHash } from 'node:crypto';
import type { StationAccount } from '../../model/account.ts';
import { keyIdOf, parseEnvelope } from '../../model/dsse.ts';
import { asPhtError, PhtError } from '../../model/error.ts';
import { digestOf } from '../../model/id.ts';
import type { Network } from '../../model/network.ts';
import { type VerifiedOrder, verifyOrder } from '../../model/order.ts';
import {
  type ExplanationPredicate,
  type Receipt,
  type ResultPredicate,
  type VerifiedReceipt,
  verifyExplanation,
  verifyReceipt,
  verifyResult,
} from '../../model/receipt.ts';
import type { VerifiedManifest } from '../../model/train.ts';
import type { Opener } from '../../ports/signer.ts';
import { hopProofsOf, onRecordMs } from './proofs.ts';

/** What the dispatcher shows for one station: bytes, none of them believed. */
export type Shown = {
  station: string;
  order: Uint8Array;
  receipt: Uint8Array;
  jwe: Uint8Array;
  orderProof: Uint8Array;
  receiptProof: Uint8Array;
};

/**
 * order → receipt → their proofs → envelope → what is inside, each tied to the one before by digests. Nothing of a
 * station that fails anywhere is used. Each signature is judged by the network version that it names; a member that was
 * revoked since is believed as far as witnesses had seen the receipt before.
 *
 * @returns `attested`, or `unverified` with the reason; never throws for what was shown
 */
export async function verifyStation(
  shown: Shown,
  manifest: VerifiedManifest,
  network: Network,
  opener: Opener,
): Promise<StationAccount> {
  const { station } = shown;
  try {
    if (!manifest.predicate.route.stops.includes(station)) {
      throw new PhtError('receipt.invalid', 'it is no stop of this train');
    }
    const seenMs = onRecordMs(shown, network, station);
    const order = verifyOrder(parseEnvelope(shown.order, 'the order'), network, station, seenMs);
    if (order.subject !== manifest.digest)
      throw new PhtError('order.invalid', 'the order is for another manifest');
    const receipt = verifyReceipt(parseEnvelope(shown.receipt, 'the receipt'), network, station, seenMs);
    assertVisit('receipt', receipt, order, manifest);
    assertNoOlderRule(receipt, order);
    const proofs = hopProofsOf(shown, order, receipt, network);
    const sealed = sealedOf(receipt, shown.jwe);
    const looking = { network, seenMs, opener };
    const base = {
      station,
      word: 'attested',
      state: receipt.predicate.outcome,
      code: receipt.predicate.code,
      atMs: receipt.predicate.issuedAtMs,
      receiptDigest: receipt.digest,
      proofs,
    } as const;
    if (receipt.predicate.outcome === 'released') {
      const result = await openResult(sealed, order, manifest, looking);
      const { snapshotDigest } = result.dataset;
      return { ...base, text: '', reasons: [], snapshotDigest, result: result.result };
    }
    const { text, reasons } = await openExplanation(sealed, receipt, order, manifest, looking);
    return { ...base, text, reasons, snapshotDigest: null, result: null };
  } catch (thrown) {
    return unverified(station, asPhtError(thrown));
  }
}

export function unverified(station: string, error: PhtError): StationAccount {
  return {
    station,
    word: 'unverified',
    state: 'unverified',
    code: error.code,
    text: error.message.slice(0, 4000),
    reasons: [],
    atMs: null,
    receiptDigest: null,
    snapshotDigest: null,
    proofs: null,
    result: null,
  };
}

type Visit = Pick<Receipt, 'manifestDigest' | 'step' | 'round' | 'attempt'>;

function assertVisit(
  what: string,
  said: { subject: string; predicate: Visit },
  order: VerifiedOrder,
  manifest: VerifiedManifest,
): void {
  const { manifestDigest, step, round, attempt } = said.predicate;
  const ordered = order.predicate;
  if (said.subject !== order.digest)
    throw new PhtError('receipt.invalid', `the ${what} is for another order`);
  if (manifestDigest !== manifest.digest)
    throw new PhtError('receipt.invalid', `the ${what} is for another manifest`);
  if (step !== ordered.step || round !== ordered.round || attempt !== ordered.attempt) {
    throw new PhtError('receipt.invalid', `the ${what} is for another visit than the order`);
  }
}

/**
 * The witnesses of a release are those of the version that its receipt names. A station knows at least the version that
 * the order named, so naming an older one could only be meant to need fewer of them.
 */
function assertNoOlderRule({ predicate }: VerifiedReceipt, order: VerifiedOrder): void {
  if (predicate.outcome !== 'released') return;
  if (predicate.networkVersion >= order.predicate.networkVersion) return;
  throw new PhtError(
    'receipt.invalid',
    `the receipt names version ${predicate.networkVersion} of the network file, and its order version ${order.predicate.networkVersion}`,
  );
}

/** `seenMs`: when the receipt, and so what it names, is proved to have been on record. */
type Looking = { network: Network; seenMs: number | null; opener: Opener };

/** @returns the envelope that the receipt names, or null when it names none */
function sealedOf({ predicate }: VerifiedReceipt, jwe: Uint8Array): Uint8Array | null {
  const { jweDigest, outcome, code } = predicate;
  if ((outcome === 'released') !== (code === 'released')) {
    throw new PhtError('receipt.invalid', 'outcome and code of the receipt contradict each other');
  }
  if (jweDigest === null) {
    if (jwe.byteLength === 0 && outcome !== 'released') return null;
    throw new PhtError(
      'receipt.invalid',
      'the receipt names no envelope where there must be one, or one too many came',
    );
  }
  if (jwe.byteLength === 0)
    throw new PhtError('envelope.invalid', 'the envelope that the receipt names was not shown');
  if (digestOf(jwe) !== jweDigest)
    throw new PhtError('envelope.invalid', 'the envelope is not the one that the receipt names');
  return jwe;
}

async function openResult(
  sealed: Uint8Array | null,
  order: VerifiedOrder,
  manifest: VerifiedManifest,
  { network, seenMs, opener }: Looking,
): Promise<ResultPredicate> {
  if (sealed === null) throw new PhtError('envelope.invalid', 'there is no sealed result');
  const envelope = parseEnvelope(await opener.open(sealed), 'the sealed result');
  const result = verifyResult(envelope, network, order.predicate.audience, seenMs);
  assertVisit('result', result, order, manifest);
  const { predicate } = result;
  if (predicate.dataset.id !== manifest.predicate.dataset) {
    throw new PhtError('receipt.invalid', 'the result is about another dataset');
  }
  if (!predicate.recipients.includes(keyIdOf(opener.publicJwk))) {
    throw new PhtError('receipt.invalid', "the result was not meant for this train's key");
  }
  const kinds: ReadonlySet<string> = new Set([...manifest.predicate.outputs.kinds, 'NotAvailable']);
  if (!predicate.result.outputs.every(({ kind }) => kinds.has(kind))) {
    throw new PhtError(
      'receipt.invalid',
      'the result has an output of a kind that the manifest does not name',
    );
  }
  return predicate;
}

/** A station that tells nothing but its code gives no explanation, or an empty one. */
async function openExplanation(
  sealed: Uint8Array | null,
  receipt: VerifiedReceipt,
  order: VerifiedOrder,
  manifest: VerifiedManifest,
  { network, seenMs, opener }: Looking,
): Promise<Pick<ExplanationPredicate, 'text' | 'reasons'>> {
  if (sealed === null) return { text: '', reasons: [] };
  const envelope = parseEnvelope(await opener.open(sealed), 'the explanation');
  const explanation = verifyExplanation(envelope, network, order.predicate.audience, seenMs);
  assertVisit('explanation', explanation, order, manifest);
  const { outcome, code, text, reasons, salt } = explanation.predicate;
  if (outcome !== receipt.predicate.outcome || code !== receipt.predicate.code) {
    throw new PhtError('receipt.invalid', 'the explanation contradicts the receipt');
  }
  const opened = createHash('sha256')
    .update(Buffer.from(salt, 'hex'))
    .update(JSON.stringify([code, text, reasons]))
    .digest('hex');
  if (opened !== receipt.predicate.commitment) {
    throw new PhtError('receipt.invalid', 'the explanation is not the one that the station committed to');
  }
  return { text, reasons };
}
