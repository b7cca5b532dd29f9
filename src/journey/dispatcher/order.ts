import { encodeEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { hopEntryHead } from '../../model/hop.ts';
import { hopIdOf } from '../../model/id.ts';
import { assertFresh } from '../../model/network.ts';
import type { Order } from '../../model/order.ts';
import { signStatement } from '../../model/statement.ts';
import type { Stop, Train } from '../../ports/dispatcher-store.ts';
import { manifestOf } from './admit.ts';
import type { Desk } from './desk.ts';
import { nextStops } from './route.ts';

/**
 * Orders every hop that comes next: the signed order, its ledger entry and the stop are one transaction, so no station
 * can ever see an order that is not on record. An order starts a run, so none is made while the network file is not
 * known to be the newest (protocol, section 1); the next fresh file brings them.
 *
 * @returns the stations to wake once the transaction is durable
 */
export function orderNext(train: Train, desk: Desk): string[] {
  const { route } = manifestOf(train);
  const stops = desk.store.stops.list({ trainId: train.trainId });
  const next = nextStops({ route, cancelled: train.cancellation !== null, stops });
  const nowMs = desk.clock.nowMs();
  if (next.length === 0 || !isFresh(train, nowMs, desk)) return [];
  for (const { station, attempt, epoch } of next) {
    const stop = signedStop(train, { station, attempt, epoch }, nowMs, desk);
    const body = { station, orderDigest: stop.orderDigest };
    const head = hopEntryHead({ ...stop, manifestDigest: train.manifestDigest });
    const size = desk.store.append([{ type: 'order.issued', ...head, body }], nowMs);
    desk.store.stops.insert({ ...stop, orderedAt: size - 1 });
  }
  return next.map(({ station }) => station);
}

/** What a station reports is taken down all the same: only new orders wait. */
function isFresh({ trainId }: Train, nowMs: number, desk: Desk): boolean {
  try {
    assertFresh(desk.network(), nowMs);
    return true;
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    desk.note('no order is made under this network file', { trainId, code: thrown.code });
    return false;
  }
}

function signedStop(
  train: Train,
  { station, attempt, epoch }: { station: string; attempt: number; epoch: number },
  nowMs: number,
  desk: Desk,
): Omit<Stop, 'orderedAt'> {
  const network = desk.network();
  const order: Order = {
    networkId: network.id,
    networkVersion: network.version,
    issuer: desk.id,
    audience: station,
    step: 'run',
    round: 1,
    attempt,
    epoch,
    inputs: [],
    notBeforeMs: nowMs,
    expiresMs: train.expiresMs,
  };
  const subject = { name: 'manifest', digest: train.manifestDigest };
  const { envelope, digest } = signStatement('order', subject, order, desk.signer);
  return {
    trainId: train.trainId,
    station,
    state: 'ordered',
    code: '',
    attempt,
    epoch,
    hopId: hopIdOf(digest),
    order: encodeEnvelope(envelope),
    orderDigest: digest,
    receiptDigest: null,
    changedAtMs: nowMs,
  };
}
