import { parseEnvelope } from '../../model/dsse.ts';
import { asPhtError, PhtError } from '../../model/error.ts';
import { hopEntryHead } from '../../model/hop.ts';
import { assertFresh, type Network } from '../../model/network.ts';
import { assertTimely, verifyOrder } from '../../model/order.ts';
import { type Limits, type Manifest, recipientKeys, verifyManifest } from '../../model/train.ts';
import type { Datasets } from '../../ports/datasets.ts';
import type { HopRecord, HopStore } from '../../ports/station-store.ts';
import type { WitnessStore } from '../../ports/witness.ts';
import { assertClock } from './clock.ts';
import { assertTrusted } from './order-proof.ts';
import { type Inspected, type Station, stage } from './stages.ts';

export type InspectPorts = {
  hops: HopStore;
  datasets: Datasets;
  witness: Pick<WitnessStore, 'unresolved'>;
  /** Something names a later version of the network than the one that is here. */
  behind?: () => void;
};

/**
 * Trusts nobody: the order, the manifest and who signed them are verified against the pinned network from the bytes on
 * disk, each time anew.
 */
export function createInspect(station: Station, ports: InspectPorts): (hop: HopRecord) => Promise<Inspected> {
  return async (hop) => {
    try {
      return await inspected(hop, station, ports);
    } catch (thrown) {
      if (asPhtError(thrown).code === 'network.behind') ports.behind?.();
      throw thrown;
    }
  };
}

async function inspected(hop: HopRecord, station: Station, ports: InspectPorts): Promise<Inspected> {
  const nowMs = station.clock.nowMs();
  const network = station.network();
  assertClock(station, nowMs);
  const order = verifyOrder(parseEnvelope(hop.order, 'order'), network, station.id);
  assertTrusted(order.predicate.issuer, ports.witness);
  // What was cleared in time is held to its own deadline instead, for as long as that clearance holds.
  if (hop.state !== 'cleared' && hop.held === null) assertTimely(order.predicate, nowMs);
  // Only now: an order that expired meanwhile ends its hop, however old the network file is.
  assertFresh(network, nowMs);
  assertNoRival(hop, ports.hops);
  const manifest = verifyManifest(parseEnvelope(hop.manifest, 'manifest'), network, nowMs);
  if (manifest.digest !== order.subject) {
    throw new PhtError(
      'order.invalid',
      'the order speaks of another manifest than the one that came with it',
    );
  }
  assertFits(manifest.predicate, station);
  recipientKeys(manifest.predicate, network);
  const dataset = await ports.datasets.open(manifest.predicate.dataset);
  if (hop.state !== 'received') return stage<Inspected>({ hop, order, manifest, dataset });
  const { title, issuer, image } = manifest.predicate;
  const moved = ports.hops.move(hop, 'inspected', {
    nowMs,
    notes: {
      ...{ title, researcher: issuer, dataset: manifest.predicate.dataset },
      image: image.configDigest,
    },
    // A list that came meanwhile is on record already: what is verified under it comes after it.
    guard: () => assertSameList(network, station),
    entries: [{ type: 'manifest.verified', ...hopEntryHead(hop), body: { networkVersion: network.version } }],
  });
  return stage<Inspected>({ hop: moved, order, manifest, dataset });
}

function assertSameList({ digest }: Network, station: Station): void {
  if (station.network().digest === digest) return;
  throw new PhtError('conflict', 'there is a newer network file; the train is looked at again');
}

/** Release is unique on (manifest, step, round), whatever attempt or epoch the dispatcher mints (protocol, section 2). */
function assertNoRival(hop: HopRecord, hops: HopStore): void {
  const rival = hops.rival(hop);
  if (rival === null) return;
  if (rival.sealed === null)
    throw new PhtError('replayed', 'this visit of the train is under way here already');
  if (rival.sealed.outcome === 'released') {
    throw new PhtError('replayed', 'this visit of the train was released here before');
  }
  throw new PhtError(
    'stale.epoch',
    `a newer order for this visit ended here before, with ${rival.sealed.code}`,
  );
}

/** @throws PhtError `order.invalid`, `manifest.too-long`, `quota.exceeded` */
export function assertFits(
  manifest: Pick<Manifest, 'route' | 'limits' | 'issuedAtMs' | 'expiresMs'>,
  station: Station,
): void {
  if (!manifest.route.stops.includes(station.id)) {
    throw new PhtError('order.invalid', 'this station is no stop of the train');
  }
  if (manifest.expiresMs - manifest.issuedAtMs > station.lifetimeMsMax) {
    const days = Math.floor(station.lifetimeMsMax / 86_400_000);
    throw new PhtError(
      'manifest.too-long',
      `the manifest is valid for longer than this station's ${days} days`,
    );
  }
  for (const name of Object.keys(station.maxima) as (keyof Limits)[]) {
    if (manifest.limits[name] > station.maxima[name]) {
      throw new PhtError(
        'quota.exceeded',
        `the train asks for ${name} above this station's ${station.maxima[name]}`,
      );
    }
  }
}
