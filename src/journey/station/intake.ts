import { verifyCancellation } from '../../model/cancellation.ts';
import { parseEnvelope } from '../../model/dsse.ts';
import { asPhtError } from '../../model/error.ts';
import { isSealed } from '../../model/hop.ts';
import { digestOf } from '../../model/id.ts';
import { verifyOrder } from '../../model/order.ts';
import { readStatement } from '../../model/statement.ts';
import { Manifest } from '../../model/train.ts';
import type { HopStore, StationLog } from '../../ports/station-store.ts';
import type { Station } from './stages.ts';

const MANIFEST_BYTES_MAX = 1024 * 1024;

/**
 * Takes orders on. What is no authentic order of this network for this station is counted and gets no receipt; an
 * authentic one is on disk, and in the ledger, before anything else happens, and ends in a receipt whatever comes.
 */
export function acceptOrder(
  pulled: { order: Uint8Array; manifest: Uint8Array },
  station: Station,
  ports: { hops: HopStore; log: StationLog },
): string | null {
  const nowMs = station.clock.nowMs();
  try {
    const order = verifyOrder(parseEnvelope(pulled.order, 'order'), station.network(), station.id);
    const manifest = pulled.manifest.byteLength > MANIFEST_BYTES_MAX ? new Uint8Array() : pulled.manifest;
    return ports.hops.accept(order, manifest, order.subject, nowMs).hopId;
  } catch (thrown) {
    const { code } = asPhtError(thrown);
    station.note('an order was not taken on', { code, orderDigest: digestOf(pulled.order) });
    const head = { trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null };
    ports.log.append([{ type: 'rejects.counted', ...head, body: { what: 'order', code, count: 1 } }], nowMs);
    return null;
  }
}

/** @returns the open hops that the researcher's own signed word cancels */
export function cancelledHops(cancellation: Uint8Array, station: Station, hops: HopStore): string[] {
  const envelope = parseEnvelope(cancellation, 'cancellation');
  const open = hops.list('open').filter(({ state }) => !isSealed(state));
  const cancelled: string[] = [];
  for (const hop of open) {
    const manifest = parseEnvelope(hop.manifest, 'manifest');
    try {
      const { predicate } = readStatement('manifest', Manifest, Buffer.from(manifest.payload, 'base64'));
      verifyCancellation(envelope, station.network(), {
        digest: hop.manifestDigest,
        researcher: predicate.issuer,
      });
      cancelled.push(hop.hopId);
    } catch (thrown) {
      station.note('a cancellation does not fit this hop', {
        hopId: hop.hopId,
        code: asPhtError(thrown).code,
      });
    }
  }
  return cancelled;
}
