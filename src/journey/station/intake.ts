import { verifyCancellation } from '../../model/cancellation.ts';
import { type Envelope, parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { asPhtError, PhtError } from '../../model/error.ts';
import { isSealed } from '../../model/hop.ts';
import { digestOf } from '../../model/id.ts';
import type { EntryQuote } from '../../model/ledger/entry.ts';
import { type VerifiedOrder, verifyOrder } from '../../model/order.ts';
import { isOfUnknownKey } from '../../model/proven.ts';
import { readStatement } from '../../model/statement.ts';
import { Manifest } from '../../model/train.ts';
import type { HopRecord, HopStore } from '../../ports/station-store.ts';
import type { WitnessStore } from '../../ports/witness.ts';
import { quoteOf } from './order-proof.ts';
import type { Rejects } from './rejects.ts';
import type { Station } from './stages.ts';

const MANIFEST_BYTES_MAX = 1024 * 1024;

/**
 * Takes orders on. What is no authentic order of this network for this station, or stands in no ledger, is counted and
 * gets no receipt; an authentic one is on disk, and in the ledger, before anything else happens, and ends in a receipt
 * whatever comes. One that names a later version of the network, or stands in a ledger whose key may be listed in one, is
 * neither, until that version is here.
 */
export function acceptOrder(
  pulled: { order: Uint8Array; manifest: Uint8Array; proof: Uint8Array },
  station: Station,
  ports: {
    hops: HopStore;
    rejects: Rejects;
    witness: Pick<WitnessStore, 'noteHead' | 'unresolved'>;
    /** The version of the network that its dispatcher says it has. */
    theirVersion?: number;
    /** It names, or may need, a later version of the network than the one that is here. */
    behind?: () => void;
  },
): { hopId: string; isNew: boolean } | null {
  const nowMs = station.clock.nowMs();
  let order: VerifiedOrder;
  let quote: EntryQuote;
  try {
    order = verifyOrder(parseEnvelope(pulled.order, 'order'), station.network(), station.id);
    quote = quoteOf(pulled.proof, order, station.network(), ports.witness, nowMs);
    assertReceiptKept(ports.hops.find(order.hopId));
  } catch (thrown) {
    const { code } = asPhtError(thrown);
    const isLater = (ports.theirVersion ?? 0) > station.network().version;
    if (code === 'network.behind' || (isLater && code === 'proof.invalid' && isOfUnknownKey(thrown))) {
      // Nothing is known against it: the dispatcher keeps it, and offers it again.
      ports.behind?.();
      return null;
    }
    station.note('an order was not taken on', { code, orderDigest: digestOf(pulled.order) });
    ports.rejects.count(code);
    return null;
  }
  // Too much to be a manifest ends as one that is empty: in a receipt.
  const manifest = pulled.manifest.byteLength > MANIFEST_BYTES_MAX ? new Uint8Array() : pulled.manifest;
  const isNew = ports.hops.find(order.hopId) === null;
  const { hopId } = ports.hops.accept(order, manifest, quote, nowMs);
  return { hopId, isNew };
}

/** Of a hop that ended in the time that a restored backup lacks, its ledger entries alone are left. */
function assertReceiptKept(known: HopRecord | null): void {
  if (known?.sealed?.receipt.byteLength !== 0) return;
  throw new PhtError('replayed', 'this order ended here before, and its receipt is lost');
}

/** @returns the open hops that the researcher's own signed word cancels */
export function cancelledHops(cancellation: Uint8Array, station: Station, hops: HopStore): string[] {
  let envelope: Envelope;
  try {
    envelope = parseEnvelope(cancellation, 'cancellation');
  } catch (thrown) {
    station.note('a cancellation is not legible', { code: asPhtError(thrown).code });
    return [];
  }
  const open = hops.open().filter(({ state }) => !isSealed(state));
  return open.flatMap(({ hopId }) => {
    const hop = hops.find(hopId);
    return hop !== null && cancels(envelope, hop, station) ? [hopId] : [];
  });
}

function cancels(envelope: Envelope, hop: HopRecord, station: Station): boolean {
  try {
    const manifest = payloadOf(parseEnvelope(hop.manifest, 'manifest'));
    const { predicate } = readStatement('manifest', Manifest, manifest);
    const train = { digest: hop.manifestDigest, researcher: predicate.issuer };
    verifyCancellation(envelope, station.network(), train);
    return true;
  } catch (thrown) {
    station.note('a cancellation does not fit this hop', {
      hopId: hop.hopId,
      code: asPhtError(thrown).code,
    });
    return false;
  }
}
