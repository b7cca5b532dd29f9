import type { MessageInitShape } from '@bufbuild/protobuf';
import type { PullResponseSchema } from '../../gen/pht/v1/tracks_pb.ts';
import { PhtError } from '../../model/error.ts';
import type { Stop } from '../../ports/dispatcher-store.ts';
import type { Desk } from './desk.ts';
import { isEnded } from './route.ts';
import { trainById } from './view.ts';
import { stationKey } from './wake.ts';

const ORDERS_MAX = 32;
const CANCELLATIONS_MAX = 16;
/** Below the 4 MiB of one message; one order with its manifest has at most about 1.4 MiB. */
const PULL_BYTES_MAX = 2 * 1024 * 1024;
/** An order that was handed out and not yet reported on is offered again after this long. */
const OFFER_AGAIN_MS = 30_000;

export interface Pulls {
  next(station: string, ordersMax: number): Promise<MessageInitShape<typeof PullResponseSchema>>;
  /** The station starts anew: everything is offered again. */
  forget(station: string): void;
}

/**
 * What waits for a station. Nothing is lost by handing it out: an order stays until the station reports on it. What was
 * handed out lately is only left out so that a station with many orders gets to the further ones.
 */
export function createPulls(desk: Desk): Pulls {
  const offered = new Map<string, Map<string, number>>();

  const next: Pulls['next'] = async (station, ordersMax) => {
    const nowMs = desk.clock.nowMs();
    const open = desk.store.stops.list({ openAt: station }).filter(({ state }) => !isEnded(state));
    // Changed in place: a station that starts anew meanwhile forgets this one as well.
    const lately = offered.get(station) ?? new Map<string, number>();
    offered.set(station, lately);
    for (const [hopId, atMs] of lately) if (nowMs - atMs >= OFFER_AGAIN_MS) lately.delete(hopId);
    const waiting = open.filter(({ state, hopId }) => state === 'ordered' && !lately.has(hopId));
    const max = Math.min(Math.max(ordersMax, 1), ORDERS_MAX);
    const orders: { order: Uint8Array; manifest: Uint8Array; proof: Uint8Array }[] = [];
    let bytes = 0;
    for (const stop of waiting.slice(0, max)) {
      const { manifest } = trainById(stop.trainId, desk);
      const proof = await proofOf(stop, desk);
      // The next heartbeat has the station ask again; what takes a train back does not wait for it.
      if (proof === null) return { orders: [], cancellations: cancellationsOf(open, desk) };
      bytes += stop.order.length + manifest.length + proof.length;
      if (bytes > PULL_BYTES_MAX && orders.length > 0) break;
      orders.push({ order: stop.order, manifest, proof });
      lately.set(stop.hopId, nowMs);
    }
    // What did not fit is worth a wake-up of its own.
    if (orders.length < max && orders.length < waiting.length) desk.wake.ring(stationKey(station));
    return { orders, cancellations: cancellationsOf(open, desk) };
  };

  return { next, forget: (station) => void offered.delete(station) };
}

/** No order without its entry: null while the ledger may not be signed. */
async function proofOf({ orderedAt, hopId }: Stop, desk: Desk): Promise<Uint8Array | null> {
  try {
    return await desk.prove(orderedAt);
  } catch (thrown) {
    if (!(thrown instanceof PhtError) || thrown.code !== 'ledger.unchecked') throw thrown;
    desk.note('an order waits until the ledger may be signed', { hopId, reasons: thrown.reasons });
    return null;
  }
}

/** Repeated until the station's receipt: a cancellation has no acknowledgement of its own. */
function cancellationsOf(open: readonly Stop[], desk: Desk): Uint8Array[] {
  const trains = open.map((stop) => trainById(stop.trainId, desk));
  return trains
    .flatMap(({ cancellation }) => (cancellation === null ? [] : [cancellation]))
    .slice(0, CANCELLATIONS_MAX);
}
