import { create } from '@bufbuild/protobuf';
import {
  type ReportRequest,
  ReportRequestSchema,
  ReportResponseSchema,
  type TrackService,
} from '../../gen/pht/v1/tracks_pb.ts';
import { DatasetDescription } from '../../model/dataset.ts';
import { asPhtError, PhtError } from '../../model/error.ts';
import { memberOf } from '../../model/network.ts';
import { parseWith } from '../../model/schema.ts';
import type { Stop } from '../../ports/dispatcher-store.ts';
import type { Service } from '../../ports/wire.ts';
import { callerOf, type Desk } from './desk.ts';
import { record } from './dispatch.ts';
import type { Inquiries } from './inquiries.ts';
import type { Presence } from './presence.ts';
import { createPulls } from './pull.ts';
import { noteReceiptHead, type SealedReceipt } from './receipt-proof.ts';
import { once } from './replies.ts';
import { isEnded, progressAfter } from './route.ts';
import { stationKey, trainKey } from './wake.ts';

const DESCRIPTIONS_MAX = 100;
const DESCRIPTION_BYTES_MAX = 256 * 1024;
const DESCRIPTIONS_BYTES_MAX = 512 * 1024;
const HOPS_MAX = 10_000;
const HEARTBEAT_MS = 10_000;
const LEASE_MS_MIN = 5_000;
const LEASE_MS_MAX = 5 * 60_000;

/** What a station asks and tells on the track that it opened. */
export function trackService(
  desk: Desk,
  presence: Presence,
  inquiries: Inquiries,
): Service<typeof TrackService> {
  const pulls = createPulls(desk);
  return {
    announce: async ({ datasetDescriptions, hops }, context) => {
      const station = callerOf(context, 'station').id;
      assertDescriptions(datasetDescriptions);
      if (hops.length > HOPS_MAX)
        throw new PhtError('input.too-large', 'a station announces too many hops at once');
      presence.announced(station, datasetDescriptions);
      pulls.forget(station);
      const unknownHopIds = reconcile(station, hops, desk);
      return { unknownHopIds, ...networkHere(desk) };
    },
    wake: async function* (_request, context) {
      const station = callerOf(context, 'station').id;
      const listening = desk.wake.listen(stationKey(station));
      const gone = presence.connected(station);
      try {
        while (!context.signal.aborted) {
          const sequence = listening.sequence();
          yield { sequence: BigInt(sequence) };
          presence.seen(station);
          await listening.beyond(sequence, HEARTBEAT_MS, context.signal);
        }
      } finally {
        listening.close();
        gone();
      }
    },
    pull: async ({ ordersMax }, context) => {
      const station = callerOf(context, 'station').id;
      presence.seen(station);
      const inquired = inquiries.waitingFor(station);
      return { ...(await pulls.next(station, ordersMax)), inquiries: inquired, ...networkHere(desk) };
    },
    lease: async ({ hopId, epoch, ttlMs }, context) => {
      const station = callerOf(context, 'station').id;
      const stop = stopOf(hopId, epoch, station, desk);
      if (isEnded(stop.state)) throw new PhtError('stale.epoch', 'this hop has ended');
      presence.seen(station);
      return { ttlMs: Math.min(Math.max(ttlMs, LEASE_MS_MIN), LEASE_MS_MAX) };
    },
    reply: async (request, context) => {
      const station = callerOf(context, 'station').id;
      presence.seen(station);
      inquiries.reply(station, request);
      return {};
    },
    report: async (request, context) => {
      const station = callerOf(context, 'station').id;
      const key = request.idempotencyKey;
      const [input, output] = [ReportRequestSchema, ReportResponseSchema];
      presence.seen(station);
      try {
        // Revoked between the door and here: nothing of it is looked at.
        memberOf(desk.network(), station, 'station');
        const stop = stopOf(request.hopId, request.epoch, station, desk);
        const body = bodyOf(request, stop, desk);
        const asked = {
          member: station,
          method: 'Report',
          key,
          input,
          request: withoutProof(request),
          output,
        };
        return once(desk, asked, () => {
          record(stop, body, desk);
          return {};
        });
      } catch (thrown) {
        desk.rejects.count(asPhtError(thrown).code);
        throw thrown;
      }
    },
  };
}

/** So that a station knows when to fetch. */
function networkHere(desk: Desk): { networkVersion: number; freshnessIssuedAtMs: bigint } {
  const { version, freshness } = desk.network();
  return { networkVersion: version, freshnessIssuedAtMs: BigInt(freshness.issuedAtMs) };
}

/** @throws PhtError `not-found`, alike for no such hop and for another station's; `stale.epoch` */
function stopOf(hopId: string, epoch: bigint, station: string, desk: Desk): Stop {
  const stop = desk.store.stops.find(hopId);
  if (stop === null || stop.station !== station) {
    throw new PhtError('not-found', 'this dispatcher has no such hop for this station');
  }
  if (BigInt(stop.epoch) !== epoch) {
    throw new PhtError('stale.epoch', `the hop is in epoch ${stop.epoch}, not in ${epoch}`);
  }
  return stop;
}

function bodyOf({ body }: ReportRequest, stop: Stop, desk: Desk): { progress: string } | SealedReceipt {
  if (body.case === 'progress') return { progress: body.value };
  if (body.case === 'receipt') {
    noteReceiptHead(stop, body.value, desk);
    return body.value;
  }
  throw new PhtError('input.malformed', 'the report says nothing');
}

/** A repeated report brings a younger proof of the same receipt, and is the same report. */
function withoutProof(request: ReportRequest): ReportRequest {
  const { idempotencyKey, hopId, epoch, body } = request;
  if (body.case !== 'receipt') return request;
  const { receipt, jwe } = body.value;
  const value = { receipt, jwe };
  return create(ReportRequestSchema, { idempotencyKey, hopId, epoch, body: { case: 'receipt', value } });
}

function assertDescriptions(descriptions: readonly Uint8Array[]): void {
  const bytes = descriptions.reduce((sum, each) => sum + each.length, 0);
  if (descriptions.length > DESCRIPTIONS_MAX || bytes > DESCRIPTIONS_BYTES_MAX) {
    throw new PhtError(
      'input.too-large',
      `a station describes at most ${DESCRIPTIONS_MAX} datasets in ${DESCRIPTIONS_BYTES_MAX} bytes`,
    );
  }
  const ids = new Set<string>();
  for (const each of descriptions) {
    const limits = { bytesMax: DESCRIPTION_BYTES_MAX, what: 'a dataset description' };
    const { id } = parseWith(DatasetDescription, each, limits);
    if (ids.has(id)) throw new PhtError('input.malformed', `the dataset ${id} is described twice`);
    ids.add(id);
  }
}

/**
 * Compares the station's open hops with ours. One that we hold for under way there and that the station does not name
 * was lost with its disk: it waits for being pulled again, which the station's own record makes harmless.
 *
 * @returns hops whose receipt the station has sealed and we have not
 */
function reconcile(
  station: string,
  hops: readonly { hopId: string; progress: string }[],
  desk: Desk,
): string[] {
  const named = new Set(hops.map(({ hopId }) => hopId));
  desk.store.atomically(() => {
    for (const stop of desk.store.stops.list({ openAt: station })) {
      if (stop.state === 'ordered' || isEnded(stop.state) || named.has(stop.hopId)) continue;
      desk.store.stops.move(stop, 'ordered', '', desk.clock.nowMs());
      desk.wake.ring(trainKey(stop.trainId));
      desk.note('a station lost a hop; it will be pulled again', { station, hopId: stop.hopId });
    }
  });
  return hops
    .filter(({ progress }) => !progressAfter('ordered', progress).valid)
    .filter(({ hopId }) => {
      const stop = desk.store.stops.find(hopId);
      return stop === null || stop.station !== station || stop.receiptDigest === null;
    })
    .map(({ hopId }) => hopId);
}
