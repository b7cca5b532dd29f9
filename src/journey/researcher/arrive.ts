import { type Arrival, hasEnded, type StationAccount } from '../../model/account.ts';
import { parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { digestOf, type TrainId } from '../../model/id.ts';
import type { JourneyView } from '../../model/journey-view.ts';
import { type Manifest, type VerifiedManifest, verifyWhenIssued } from '../../model/train.ts';
import type { Arrivals, PackedTrains, TrainKey } from '../../ports/researcher-trains.ts';
import type { Opener } from '../../ports/signer.ts';
import { type JourneyClient, journeyOf } from './journeys.ts';
import { CALL_ATTEMPTS_MAX, type Researcher, type Retry } from './researcher.ts';
import { type Shown, unverified, verifyStation } from './verify-station.ts';

export type ArrivePorts = {
  client: () => Promise<JourneyClient>;
  trains: PackedTrains;
  arrivals: Arrivals;
  retry: Retry;
  openerOf(key: TrainKey): Opener;
};

/**
 * What came back, station by station, every signature and digest verified here: what a station attests is told apart
 * from what the dispatcher claims. Proofs are kept as they come; once all of it has arrived it is kept too, and the key
 * that opened it is deleted.
 *
 * @throws PhtError `not-found`, `unreachable`, `manifest.invalid`
 */
export async function arrive(
  trainId: TrainId,
  researcher: Researcher,
  ports: ArrivePorts,
  signal: AbortSignal,
): Promise<{ arrival: Arrival; manifest: Manifest }> {
  const packed = ports.trains.find(trainId);
  const manifest = ownManifest(packed.manifest, researcher);
  const kept = ports.arrivals.find(trainId);
  if (kept !== null) {
    // A crash may have come between keeping the arrival and deleting the key.
    if (packed.key !== null) ports.arrivals.keep(kept);
    return { arrival: kept, manifest: manifest.predicate };
  }
  if (packed.key === null) {
    throw new PhtError(
      'config.missing',
      `the private key of ${trainId} is gone; its results cannot be opened`,
    );
  }
  const client = await ports.client();
  const { journey, shown } = await fetchAll(client, manifest, ports.retry, signal);
  const stations = await accountsOf(shown, journey, manifest, researcher, ports.openerOf(packed.key));
  const { title, route } = manifest.predicate;
  const complete = hasEnded(journey.state) && stations.every(isLastWord);
  const { minStations } = route;
  const arrival: Arrival = {
    schema: 'pht-arrival/v1',
    trainId,
    title,
    state: journey.state,
    minStations,
    complete,
    stations,
  };
  keepProofs(arrival, shown, ports.arrivals);
  if (complete) ports.arrivals.keep(arrival);
  return { arrival, manifest: manifest.predicate };
}

/** Kept before the journey has ended, too: a dispatcher cannot take back later what it has shown once. */
function keepProofs({ trainId, stations }: Arrival, shown: readonly Shown[], arrivals: Arrivals): void {
  for (const { station, proofs } of stations) {
    // Two receipts for one stop verify neither.
    const one = shown.find((candidate) => candidate.station === station);
    if (proofs === null || one === undefined) continue;
    arrivals.keepProofs(trainId, station, { order: one.orderProof, receipt: one.receiptProof });
  }
}

/** Expired, or with a stop that has left the network, it still has results to come home; it only cannot depart any more. */
function ownManifest(bytes: Uint8Array, researcher: Researcher): VerifiedManifest {
  return verifyWhenIssued(parseEnvelope(bytes, 'the manifest'), researcher.network());
}

/**
 * Signed, and the end of that stop. A station that refuses one order since it took another says itself that there is,
 * or will be, another receipt: a dispatcher that shows the refusal alone withholds it, and the key must outlast that.
 */
function isLastWord({ word, code }: StationAccount): boolean {
  return word === 'attested' && code !== 'replayed' && code !== 'stale.epoch';
}

const PAGES_MAX = 200;

/** The journey as the last page tells it, so that it is never older than what was shown. */
async function fetchAll(
  client: JourneyClient,
  manifest: VerifiedManifest,
  retry: Retry,
  signal: AbortSignal,
): Promise<{ journey: JourneyView; shown: Shown[] }> {
  const { trainId } = manifest;
  const shown: Shown[] = [];
  let pageToken = '';
  for (let page = 0; page < PAGES_MAX; page++) {
    const request = { trainId, pageToken };
    const answer = await retry(() => client.result(request, { signal }), {
      signal,
      attemptsMax: CALL_ATTEMPTS_MAX,
    });
    const theirs = digestOf(payloadOf(parseEnvelope(answer.manifest, "the dispatcher's manifest")));
    const journey = journeyOf(answer.journey);
    if (theirs !== manifest.digest || journey.trainId !== trainId) {
      throw new PhtError(
        'manifest.invalid',
        'the dispatcher answered for another train than the one asked for',
      );
    }
    shown.push(...answer.results);
    pageToken = answer.nextPageToken;
    if (pageToken === '') return { journey, shown };
  }
  throw new PhtError('input.too-large', `the dispatcher shows more than ${PAGES_MAX} pages of results`);
}

async function accountsOf(
  results: readonly Shown[],
  journey: JourneyView,
  manifest: VerifiedManifest,
  researcher: Researcher,
  opener: Opener,
): Promise<StationAccount[]> {
  const network = researcher.network();
  const shown = new Map<string, StationAccount>();
  for (const one of results) {
    // Ordered and not heard of yet.
    if (one.receipt.byteLength === 0 && one.jwe.byteLength === 0) continue;
    const account = shown.has(one.station)
      ? unverified(one.station, new PhtError('receipt.invalid', 'two receipts were shown for this one stop'))
      : await verifyStation(one, manifest, network, opener);
    shown.set(one.station, account);
  }
  const { stops } = manifest.predicate.route;
  const listed = stops.map((stop) => shown.get(stop) ?? claimed(stop, journey));
  const strangers = [...shown].filter(([station]) => !stops.includes(station)).map(([, account]) => account);
  return [...listed, ...strangers];
}

/** The dispatcher's word alone: no receipt was shown. */
function claimed(station: string, journey: JourneyView): StationAccount {
  const stop = journey.stops.find((candidate) => candidate.station === station);
  const base = { station, receiptDigest: null, snapshotDigest: null, proofs: null, result: null };
  if (stop === undefined) {
    const text = 'the dispatcher says nothing of this stop';
    return { ...base, word: 'claimed', state: 'unheard', code: '', text, reasons: [], atMs: null };
  }
  const { state, code, changedAtMs } = stop;
  if (state === 'released') {
    const error = new PhtError(
      'receipt.invalid',
      'the dispatcher says that it released, and shows no receipt of it',
    );
    return { ...unverified(station, error), atMs: changedAtMs };
  }
  return { ...base, word: 'claimed', state, code, text: '', reasons: [], atMs: changedAtMs };
}
