import { verifyCancellation } from '../../model/cancellation.ts';
import { type Envelope, encodeEnvelope, parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import type { TrainId } from '../../model/id.ts';
import { assertFresh } from '../../model/network.ts';
import { verifyManifest } from '../../model/train.ts';
import type { Stop, Train } from '../../ports/dispatcher-store.ts';
import { assertQuota, inspectManifest, missingOf, trainOf } from './admit.ts';
import { arrive } from './arrive.ts';
import { committed } from './commit.ts';
import type { Desk } from './desk.ts';
import { dropRevoked } from './follow-network.ts';
import { orderNext } from './order.ts';
import type { SealedReceipt } from './receipt-proof.ts';
import { recordProgress, recordReceipt, recordUnheard } from './record.ts';
import { isEnded } from './route.ts';
import { trainById } from './view.ts';
import { stationKey, trainKey } from './wake.ts';

/**
 * A train's life at the dispatcher:
 *
 *   admit → (its blobs arrive) → depart: order every next stop → record what each station reports → arrive
 *
 * and at any moment the researcher's cancellation, or silence beyond the expiry. Every function here runs inside one
 * transaction with its ledger entries; whoever is woken looks after it. A dispatcher decides nothing about data: what
 * it admits, every station checks again.
 */

/** @returns the train and the blobs that its researcher has to upload */
export function admit(envelope: Envelope, caller: string, desk: Desk): { train: Train; missing: string[] } {
  const verified = inspectManifest(envelope, caller, desk);
  const known = desk.store.trains.find(verified.trainId);
  if (known !== null && known.state !== 'loading') throw replayed(known.trainId);
  const missing = missingOf(verified.predicate, caller, desk);
  if (known !== null) return { train: known, missing };
  assertQuota(verified.predicate, desk);
  const nowMs = desk.clock.nowMs();
  const { trainId, digest: manifestDigest } = verified;
  const body = {
    researcherCommitment: committed(caller, desk.store),
    expiresMs: verified.predicate.expiresMs,
    stops: verified.predicate.route.stops.length,
  };
  const head = headOf({ trainId, manifestDigest });
  const size = desk.store.append([{ type: 'train.admitted', ...head, body }], nowMs);
  const train = trainOf(verified, size - 1, nowMs);
  desk.store.trains.insert(train);
  desk.publish();
  return { train, missing };
}

/** Starts the journey, whose blobs are all there; once under way, departing again changes nothing. */
export function depart(train: Train, desk: Desk): void {
  if (train.state === 'cancelled')
    throw new PhtError('cancelled', 'the train was cancelled before it departed');
  if (train.state !== 'loading') return;
  assertFresh(desk.network(), desk.clock.nowMs());
  verifyManifest(parseEnvelope(train.manifest, 'manifest'), desk.network(), desk.clock.nowMs());
  desk.store.trains.move(train.trainId, 'loading', 'under-way');
  ringStations(orderNext({ ...train, state: 'under-way' }, desk), desk);
  dropRevoked({ ...train, state: 'under-way' }, desk);
  changed(train.trainId, desk);
}

/** What a station says of one hop: progress, or the receipt that ends it. */
export function record(stop: Stop, body: { progress: string } | SealedReceipt, desk: Desk): void {
  const train = trainById(stop.trainId, desk);
  const news =
    'progress' in body ? recordProgress(stop, body.progress, desk) : recordReceipt(stop, train, body, desk);
  if (!news) return;
  ringStations(orderNext(train, desk), desk);
  arrive(train.trainId, desk);
  changed(train.trainId, desk);
}

/** The researcher takes the train back. Stops that were ordered stay open until their stations' receipts. */
export function cancel(train: Train, cancellation: Envelope, desk: Desk): void {
  const { trainId, manifestDigest, researcher } = train;
  const verified = verifyCancellation(cancellation, desk.network(), { digest: manifestDigest, researcher });
  if (train.cancellation !== null) return;
  if (train.state !== 'loading' && train.state !== 'under-way') {
    throw new PhtError('conflict', 'the journey has ended already', {
      hint: `see: pht train result ${trainId}`,
    });
  }
  desk.store.trains.cancel(trainId, encodeEnvelope(verified.envelope));
  const body = {
    researcherCommitment: committed(researcher, desk.store),
    cancellationDigest: verified.digest,
  };
  desk.store.append([{ type: 'train.cancelled', ...headOf(train), body }], desk.clock.nowMs());
  const open = desk.store.stops.list({ trainId }).filter(({ state }) => !isEnded(state));
  arrive(trainId, desk);
  ringStations(
    open.map(({ station }) => station),
    desk,
  );
  changed(trainId, desk);
}

/** Nothing was heard of these hops although the train has expired: our own claim, not a receipt. */
export function giveUp(train: Train, desk: Desk): void {
  for (const stop of desk.store.stops.list({ trainId: train.trainId })) recordUnheard(stop, train, desk);
  if (train.state !== 'loading') arrive(train.trainId, desk);
  else {
    desk.store.trains.move(train.trainId, 'loading', 'failed');
    const body = { state: 'failed', code: 'manifest.expired' };
    desk.store.append([{ type: 'train.arrived', ...headOf(train), body }], desk.clock.nowMs());
  }
  changed(train.trainId, desk);
}

function headOf({ trainId, manifestDigest }: Pick<Train, 'trainId' | 'manifestDigest'>) {
  return { trainId, manifestDigest, hopId: null, attempt: null, epoch: null, prev: null } as const;
}

function ringStations(stations: readonly string[], desk: Desk): void {
  for (const station of stations) desk.wake.ring(stationKey(station));
}

function changed(trainId: TrainId, desk: Desk): void {
  desk.wake.ring(trainKey(trainId));
  desk.publish();
}

function replayed(trainId: TrainId): PhtError {
  return new PhtError('replayed', `this manifest has departed already, as ${trainId}`, {
    hint: `fetch what it brought back with: pht train result ${trainId}; to run it again, pack and sign it again`,
  });
}
