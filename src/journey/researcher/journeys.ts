import { randomUUID } from 'node:crypto';
import type { Journey, JourneyService } from '../../gen/pht/v1/journeys_pb.ts';
import { encodeEnvelope, parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { digestOf, type TrainId } from '../../model/id.ts';
import { JourneyView } from '../../model/journey-view.ts';
import { check } from '../../model/schema.ts';
import { signStatement } from '../../model/statement.ts';
import type { PackedTrains } from '../../ports/researcher-trains.ts';
import type { Signer } from '../../ports/signer.ts';
import type { Client } from '../../ports/wire.ts';
import { CALL_ATTEMPTS_MAX, type Researcher, type Retry } from './researcher.ts';

export type JourneyClient = Client<typeof JourneyService>;

/** @throws PhtError `input.malformed` when the dispatcher said what nobody can understand */
export function journeyOf(message: Journey | undefined): JourneyView {
  const stops = message?.stops.map((stop) => ({
    station: stop.station,
    state: stop.state,
    code: stop.code,
    changedAtMs: Number(stop.changedAtMs),
    attempt: stop.attempt,
    hopId: stop.hopId,
    waitsFor: stop.waitsFor,
    waitsSinceMs: Number(stop.waitsSinceMs),
    stationOnline: stop.stationOnline,
    stationSeenMs: Number(stop.stationSeenMs),
  }));
  const view = message && {
    trainId: message.trainId,
    title: message.title,
    state: message.state,
    submittedAtMs: Number(message.submittedAtMs),
    stops,
  };
  return check(JourneyView, view, "the dispatcher's word on the journey");
}

const PAGE_SIZE = 100;
const PAGES_MAX = 100;

/** All journeys of this researcher, as the dispatcher has them. */
export async function listJourneys(
  client: JourneyClient,
  retry: Retry,
  signal: AbortSignal,
): Promise<JourneyView[]> {
  const journeys: JourneyView[] = [];
  let pageToken = '';
  for (let page = 0; page < PAGES_MAX; page++) {
    const request = { pageSize: PAGE_SIZE, pageToken };
    const answer = await retry(() => client.list(request, { signal }), {
      signal,
      attemptsMax: CALL_ATTEMPTS_MAX,
    });
    journeys.push(...answer.journeys.map(journeyOf));
    pageToken = answer.nextPageToken;
    if (pageToken === '') return journeys;
  }
  throw new PhtError('input.too-large', `the dispatcher lists more than ${PAGE_SIZE * PAGES_MAX} journeys`);
}

/** Takes a train back: signed, so that every station can see that it was the researcher and nobody else. */
export async function cancel(
  trainId: TrainId,
  reason: string,
  researcher: Researcher,
  ports: { client: JourneyClient; trains: PackedTrains; signer: Signer; retry: Retry },
  signal: AbortSignal,
): Promise<JourneyView> {
  const manifest = parseEnvelope(ports.trains.find(trainId).manifest, 'the manifest');
  const network = researcher.network();
  const predicate = {
    networkId: network.id,
    networkVersion: network.version,
    issuer: researcher.id,
    reason,
    issuedAtMs: researcher.clock.nowMs(),
  };
  const subject = { name: 'manifest', digest: digestOf(payloadOf(manifest)) };
  const { envelope } = signStatement('cancellation', subject, predicate, ports.signer);
  const request = { idempotencyKey: randomUUID(), trainId, cancellation: encodeEnvelope(envelope) };
  const answer = await ports.retry(() => ports.client.cancel(request, { signal }), {
    signal,
    attemptsMax: CALL_ATTEMPTS_MAX,
  });
  return journeyOf(answer.journey);
}
