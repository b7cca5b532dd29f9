import { create, toBinary } from '@bufbuild/protobuf';
import {
  CancelRequestSchema,
  CancelResponseSchema,
  DepartRequestSchema,
  DepartResponseSchema,
  JourneySchema,
  type JourneyService,
  type SubmitRequest,
  SubmitRequestSchema,
  type SubmitResponse,
  SubmitResponseSchema,
} from '../../gen/pht/v1/journeys_pb.ts';
import { type Envelope, parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { asPhtError, PhtError } from '../../model/error.ts';
import { digestOf } from '../../model/id.ts';
import type { Service } from '../../ports/wire.ts';
import { blobsOf, manifestOf } from './admit.ts';
import { callerOf, type Desk } from './desk.ts';
import { admit, cancel, depart } from './dispatch.ts';
import type { Inquiries } from './inquiries.ts';
import { assertBlobs, type DepotOf } from './loading.ts';
import type { Presence } from './presence.ts';
import { once } from './replies.ts';
import { resultPage } from './result.ts';
import { journeyOf, ownTrain, trainById } from './view.ts';
import { trainKey } from './wake.ts';

const PAGE_DEFAULT = 20;
const PAGE_MAX = 100;
/**
 * A watcher looks again after this long even when nothing rang, and says what it sees although it is the same: a stream
 * that is silent for minutes is cut by proxies, and stations come and go without ringing.
 */
const LOOK_AGAIN_MS = 30_000;
const DESCRIPTIONS_BYTES_MAX = 3 * 1024 * 1024;

/** What a researcher asks of the dispatcher. */
export function journeyService(
  desk: Desk,
  depotOf: DepotOf,
  presence: Presence,
  inquiries: Inquiries,
): Service<typeof JourneyService> {
  return {
    submit: async (request, context) => {
      const caller = callerOf(context, 'researcher').id;
      const { key, input, output } = {
        key: request.idempotencyKey,
        input: SubmitRequestSchema,
        output: SubmitResponseSchema,
      };
      let admitted: SubmitResponse;
      try {
        admitted = once(desk, { member: caller, method: 'Submit', key, input, request, output }, () => {
          const { train, missing } = admit(parseEnvelope(request.manifest, 'manifest'), caller, desk);
          return { trainId: train.trainId, missingDigests: missing };
        });
      } catch (thrown) {
        refused(request, caller, thrown, desk);
        throw thrown;
      }
      const { admittedAt } = trainById(admitted.trainId, desk);
      return { ...admitted, proof: await desk.prove(admittedAt) };
    },
    depart: async (request, context) => {
      const caller = callerOf(context, 'researcher').id;
      const { key, input, output } = {
        key: request.idempotencyKey,
        input: DepartRequestSchema,
        output: DepartResponseSchema,
      };
      const train = ownTrain(request.trainId, caller, desk);
      if (train.state === 'loading')
        await assertBlobs(blobsOf(manifestOf(train)).keys(), caller, depotOf, desk);
      return once(desk, { member: caller, method: 'Depart', key, input, request, output }, () => {
        depart(ownTrain(request.trainId, caller, desk), desk);
        return { journey: journeyOf(ownTrain(request.trainId, caller, desk), desk) };
      });
    },
    list: async ({ pageSize, pageToken }, context) => {
      const caller = callerOf(context, 'researcher').id;
      const max = Math.min(pageSize === 0 ? PAGE_DEFAULT : pageSize, PAGE_MAX);
      const trains = desk.store.trains.page(caller, placeOf(pageToken), max);
      const last = trains.length === max ? trains.at(-1) : undefined;
      return {
        journeys: trains.map((train) => journeyOf(train, desk)),
        nextPageToken: last === undefined ? '' : `${last.submittedAtMs}.${last.trainId}`,
      };
    },
    watch: async function* ({ trainId }, context) {
      const caller = callerOf(context, 'researcher').id;
      const listening = desk.wake.listen(trainKey(trainId));
      try {
        let [shown, before] = ['', -1];
        while (!context.signal.aborted) {
          // Read first, so that a ring between looking and waiting is not lost.
          const sequence = listening.sequence();
          const train = ownTrain(trainId, caller, desk);
          const journey = create(JourneySchema, journeyOf(train, desk));
          const look = digestOf(toBinary(JourneySchema, journey));
          // Without a ring it was the time.
          if (look !== shown || sequence === before) yield { journey };
          [shown, before] = [look, sequence];
          if (train.state !== 'loading' && train.state !== 'under-way') return;
          await listening.beyond(sequence, LOOK_AGAIN_MS, context.signal);
        }
      } finally {
        listening.close();
      }
    },
    result: async ({ trainId, pageToken }, context) => {
      const caller = callerOf(context, 'researcher').id;
      return resultPage(ownTrain(trainId, caller, desk), pageToken, desk);
    },
    cancel: async (request, context) => {
      const caller = callerOf(context, 'researcher').id;
      const { key, input, output } = {
        key: request.idempotencyKey,
        input: CancelRequestSchema,
        output: CancelResponseSchema,
      };
      return once(desk, { member: caller, method: 'Cancel', key, input, request, output }, () => {
        const train = ownTrain(request.trainId, caller, desk);
        cancel(train, parseEnvelope(request.cancellation, 'cancellation'), desk);
        return { journey: journeyOf(ownTrain(request.trainId, caller, desk), desk) };
      });
    },
    plan: async function* ({ inquiry }, context) {
      const caller = callerOf(context, 'researcher').id;
      yield* inquiries.plan(inquiry, caller, context.signal);
    },
    datasets: async (_request, context) => {
      callerOf(context, 'researcher', 'auditor', 'admin');
      const stations = presence.stations();
      const bytes = stations
        .flatMap(({ descriptions }) => descriptions)
        .reduce((sum, each) => sum + each.length, 0);
      if (bytes > DESCRIPTIONS_BYTES_MAX) {
        throw new PhtError('input.too-large', 'the stations describe more datasets than one answer can hold');
      }
      return {
        stations: stations.map(({ station, online, lastSeenMs, descriptions }) => ({
          station,
          online,
          lastSeenMs: BigInt(lastSeenMs),
          datasetDescriptions: [...descriptions],
        })),
      };
    },
  };
}

/** The refusal is on record before the researcher hears of it. */
function refused(request: SubmitRequest, caller: string, thrown: unknown, desk: Desk): void {
  const { code } = asPhtError(thrown);
  // A reused key says nothing of the train, and a fault of ours is no refusal.
  if (code === 'conflict' || code === 'internal') return;
  desk.rejects.train(caller, claimedDigest(request.manifest), code);
  desk.publish();
}

function claimedDigest(bytes: Uint8Array): ReturnType<typeof digestOf> | null {
  let envelope: Envelope;
  try {
    envelope = parseEnvelope(bytes, 'manifest');
  } catch (thrown) {
    if (thrown instanceof PhtError) return null;
    throw thrown;
  }
  return digestOf(payloadOf(envelope));
}

function placeOf(token: string): { submittedAtMs: number; trainId: string } | null {
  if (token === '') return null;
  const found = /^([0-9]{1,15})\.(trn_[0-9a-f]{24})$/.exec(token);
  if (found === null)
    throw new PhtError('input.malformed', 'this page token was not given by this dispatcher');
  return { submittedAtMs: Number(found[1]), trainId: found[2] ?? '' };
}
