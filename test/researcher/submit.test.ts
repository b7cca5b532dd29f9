import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDepot } from '../../src/adapters/depot/files.ts';
import { createPackedTrains } from '../../src/adapters/home/trains.ts';
import { retrying } from '../../src/adapters/wire/backoff.ts';
import { uploadBlob } from '../../src/adapters/wire/transfer.ts';
import {
  type DepotService,
  UploadOffsetRequestSchema,
  type UploadRequest,
  UploadRequestSchema,
} from '../../src/gen/pht/v1/depot_pb.ts';
import { type JourneyService, WatchRequestSchema } from '../../src/gen/pht/v1/journeys_pb.ts';
import { follow } from '../../src/journey/researcher/follow.ts';
import { cancel, type JourneyClient, listJourneys } from '../../src/journey/researcher/journeys.ts';
import type { Researcher } from '../../src/journey/researcher/researcher.ts';
import { type SubmitPorts, submit } from '../../src/journey/researcher/submit.ts';
import { verifyCancellation } from '../../src/model/cancellation.ts';
import { parseEnvelope, payloadOf } from '../../src/model/dsse.ts';
import { PhtError } from '../../src/model/error.ts';
import { type Digest, digestOf, type TrainId, trainIdOf } from '../../src/model/id.ts';
import { openEntryProof } from '../../src/model/ledger/entry-proof.ts';
import { trustIn } from '../../src/model/proven.ts';
import type { Client, Service } from '../../src/ports/wire.ts';
import {
  CONFIG,
  LAYER,
  makeWorld,
  manifestFor,
  NOW_MS,
  pull,
  receiptFor,
  report,
  request,
  signManifest,
  type World,
} from '../dispatcher/desk.ts';
import { memberIn, x25519 } from '../fakes/network.ts';
import { proofOfAdmission } from './proofs.ts';
import { clientOf, retry } from './rig.ts';

/** The researcher's verbs against the real services of a dispatcher; only the wire between them is left out. */

let world: World;
let dir: string;
let researcher: Researcher;
let trains: ReturnType<typeof createPackedTrains>;
let trainId: TrainId;
const signal = new AbortController().signal;

beforeEach(async () => {
  world = await makeWorld();
  dir = mkdtempSync(join(tmpdir(), 'submit-'));
  trains = createPackedTrains(dir);
  researcher = {
    id: 'rosa',
    network: () => world.fake.network,
    clock: { nowMs: () => NOW_MS },
    tell: () => undefined,
  };
  trainId = packed();
});
afterEach(async () => {
  await world.close();
  rmSync(dir, { recursive: true, force: true });
});

function packed(change: Parameters<typeof manifestFor>[1] = {}): TrainId {
  const manifest = signManifest(world, manifestFor(world, change));
  const id = trainIdOf(digestOf(payloadOf(parseEnvelope(manifest, 'manifest'))));
  trains.keep({ trainId: id, manifest, key: x25519(), departure: null });
  return id;
}

const manifestDigest = (): Digest =>
  digestOf(payloadOf(parseEnvelope(trains.find(trainId).manifest, 'manifest')));

/** `interrupt` throws after the dispatcher has done what was asked, as a connection that breaks does. */
function client(interrupt: (method: string) => void = () => undefined): JourneyClient {
  const service: Service<typeof JourneyService> = world.dispatcher.journeys;
  const call =
    (method: 'submit' | 'depart' | 'list' | 'cancel') =>
    async (message: never): Promise<unknown> => {
      const answer = await (service[method] as (...parameters: unknown[]) => Promise<unknown>)(
        message,
        world.as('rosa'),
      );
      interrupt(method);
      return answer;
    };
  return clientOf({
    submit: call('submit'),
    depart: call('depart'),
    list: call('list'),
    cancel: call('cancel'),
  });
}

async function ports(journeys = client()): Promise<SubmitPorts & { uploaded: string[] }> {
  const depot = createDepot(join(dir, 'depot'));
  for (const blob of [CONFIG, LAYER]) {
    await depot.write(
      digestOf(blob),
      blob.length,
      0,
      (async function* () {
        yield blob;
      })(),
    );
  }
  const uploaded: string[] = [];
  const service = world.dispatcher.depot;
  const depotClient = {
    uploadOffset: (message: object) =>
      service.uploadOffset(request(UploadOffsetRequestSchema, message), world.as('rosa')),
    upload: (parts: AsyncIterable<object>) => service.upload(made(parts), world.as('rosa')),
  } as unknown as Client<typeof DepotService>;
  return {
    client: journeys,
    dispatcher: 'dispatcher',
    trains,
    depot,
    retry,
    uploaded,
    fetchNetwork: async () => undefined,
    upload: async ({ trainId: id, digest, bytes }) => {
      uploaded.push(digest);
      await uploadBlob(depotClient, id, digest, bytes, depot, { attemptsMax: 1 });
    },
  };
}

async function* made(parts: AsyncIterable<object>): AsyncGenerator<UploadRequest> {
  for await (const part of parts) yield request(UploadRequestSchema, part);
}

describe('submit', () => {
  test('sends the manifest, then what is missing, then starts', async () => {
    const way = await ports();
    const { journey, uploadedBytes, admission } = await submit(trainId, researcher, way, signal);
    expect(admission.file).toBe(`trains/${trainId}/admission.tlog-proof`);
    const proven = openEntryProof(
      readFileSync(join(dir, admission.file)),
      trustIn(world.fake.network, 'dispatcher', 'dispatcher'),
    );
    expect(proven.entry).toMatchObject({ type: 'train.admitted', trainId });
    expect(journey).toMatchObject({ trainId, state: 'under-way' });
    expect(uploadedBytes).toBe(CONFIG.length + LAYER.length);
    expect(new Set(way.uploaded)).toEqual(new Set([digestOf(CONFIG), digestOf(LAYER)]));
    expect(trains.find(trainId).departure).toMatchObject({ departed: true });
  });

  test('moves no blob twice for the next train with the same image', async () => {
    await submit(trainId, researcher, await ports(), signal);
    const way = await ports();
    const { uploadedBytes } = await submit(packed(), researcher, way, signal);
    expect([uploadedBytes, way.uploaded]).toEqual([0, []]);
  });

  test.each(['submit', 'depart'])(
    'killed right after %s and run again, it is the same submission',
    async (method) => {
      const dying = client((done) => {
        if (done === method) throw new PhtError('internal', 'killed here');
      });
      await expect(submit(trainId, researcher, await ports(dying), signal)).rejects.toMatchObject({
        code: 'internal',
      });
      expect(trains.find(trainId).departure).toMatchObject({ departed: false });
      expect((await submit(trainId, researcher, await ports(), signal)).journey).toMatchObject({
        trainId,
        state: 'under-way',
      });
      const admitted = world.entries().filter(({ type }) => type === 'train.admitted');
      expect(admitted).toHaveLength(1);
    },
  );

  test('a connection that breaks once is not noticed', async () => {
    let broken = 0;
    const shaky = client(() => {
      if (broken++ === 0) throw new PhtError('unreachable', 'cut');
    });
    expect((await submit(trainId, researcher, await ports(shaky), signal)).journey.state).toBe('under-way');
  });

  test('a train that was seen to depart is a replay', async () => {
    await submit(trainId, researcher, await ports(), signal);
    await expect(submit(trainId, researcher, await ports(), signal)).rejects.toMatchObject({
      code: 'replayed',
    });
  });

  test('the reasons of a refusal are the dispatcher’s own', async () => {
    const expired = packed({ issuedAtMs: NOW_MS - 20_000, expiresMs: NOW_MS - 10_000 });
    await expect(submit(expired, researcher, await ports(), signal)).rejects.toMatchObject({
      code: 'manifest.expired',
    });
  });

  test('gives away no blob that is no part of the train', async () => {
    const proof = proofOfAdmission(world.fake, manifestDigest());
    const greedy = clientOf({ submit: async () => ({ trainId, missingDigests: ['a'.repeat(64)], proof }) });
    const way = await ports(greedy);
    await expect(submit(trainId, researcher, way, signal)).rejects.toMatchObject({ code: 'forbidden' });
    expect(way.uploaded).toEqual([]);
  });

  test('a depot that lost a blob says so', async () => {
    const way = await ports();
    await way.depot.trim(0, new Set());
    await expect(submit(trainId, researcher, way, signal)).rejects.toMatchObject({ code: 'image.missing' });
  });

  test('a dispatcher that gives the train another id is not believed', async () => {
    const confused = clientOf({
      submit: async () => ({ trainId: 'trn_000000000000000000000000', missingDigests: [] }),
    });
    await expect(submit(trainId, researcher, await ports(confused), signal)).rejects.toMatchObject({
      code: 'conflict',
    });
  });
});

describe('follow', () => {
  const told: string[] = [];
  const seen = ({ state, stops }: { state: string; stops: { state: string }[] }): void => {
    told.push([state, ...stops.map((stop) => stop.state)].join(' '));
  };
  beforeEach(() => told.splice(0));

  async function endAll(): Promise<void> {
    for (const station of ['north', 'south']) {
      for (const order of (await pull(world, station)).orders)
        await report(world, order, receiptFor(world, order));
    }
  }

  test('goes on after a break where it was, says nothing twice and ends with the journey', async () => {
    await submit(trainId, researcher, await ports(), signal);
    let connections = 0;
    const watching = clientOf({
      watch: async function* () {
        connections += 1;
        const stream = world.dispatcher.journeys.watch(
          request(WatchRequestSchema, { trainId }),
          world.as('rosa'),
        );
        for await (const message of stream) {
          yield message;
          if (connections === 1) throw new PhtError('unreachable', 'kill -9');
          if (connections === 2) await endAll();
        }
      },
    });
    const journey = await follow(trainId, researcher, { client: async () => watching, retry }, seen, signal);
    expect(journey.state).toBe('arrived');
    expect(connections).toBe(2);
    expect(told[0]).toBe('under-way ordered ordered');
    expect(told.at(-1)).toBe('arrived released released');
    expect(new Set(told).size).toBe(told.length);
  });

  test('a stream that ends early is not the end', async () => {
    await submit(trainId, researcher, await ports(), signal);
    await endAll();
    let connections = 0;
    const watching = clientOf({
      watch: async function* () {
        if (++connections === 1) return;
        yield* world.dispatcher.journeys.watch(request(WatchRequestSchema, { trainId }), world.as('rosa'));
      },
    });
    expect(
      (await follow(trainId, researcher, { client: async () => watching, retry }, seen, signal)).state,
    ).toBe('arrived');
  });

  test('gives up a dispatcher that was never heard', async () => {
    let attempts = 0;
    const dead = clientOf({
      // biome-ignore lint/correctness/useYield: it breaks before it says anything
      watch: async function* () {
        attempts += 1;
        throw new PhtError('unreachable', 'nobody there');
      },
    });
    const watching = follow(trainId, researcher, { client: async () => dead, retry }, seen, signal);
    await expect(watching).rejects.toMatchObject({ code: 'unreachable' });
    expect(attempts).toBe(5);
  });

  test('stops when it is told to', async () => {
    await submit(trainId, researcher, await ports(), signal);
    const stop = new AbortController();
    const watching = clientOf({
      watch: async function* () {
        yield* world.dispatcher.journeys.watch(
          request(WatchRequestSchema, { trainId }),
          world.as('rosa', stop.signal),
        );
      },
    });
    const ending = follow(
      trainId,
      researcher,
      { client: async () => watching, retry },
      () => stop.abort(new PhtError('timed-out', 'enough')),
      stop.signal,
    );
    await expect(ending).rejects.toMatchObject({ code: 'timed-out' });
  });
});

test('list reads every page', async () => {
  const ids = [trainId, packed(), packed()];
  for (const id of ids) await submit(id, researcher, await ports(), signal);
  const journeys = client();
  const paged: JourneyClient = {
    ...journeys,
    list: (message, options) => journeys.list({ ...message, pageSize: 1 }, options),
  };
  const listed = await listJourneys(paged, retrying, signal);
  expect(new Set(listed.map((journey) => journey.trainId))).toEqual(new Set(ids));
});

test('cancel is signed by the researcher and speaks of this manifest', async () => {
  await submit(trainId, researcher, await ports(), signal);
  const { signer } = memberIn(world.fake, 'rosa');
  await cancel(trainId, 'wrong dataset', researcher, { client: client(), trains, signer, retry }, signal);
  const [envelope] = (await pull(world, 'north')).cancellations;
  const digest: Digest = digestOf(payloadOf(parseEnvelope(trains.find(trainId).manifest, 'manifest')));
  const verified = verifyCancellation(parseEnvelope(envelope ?? new Uint8Array(), 'c'), world.fake.network, {
    digest,
    researcher: 'rosa',
  });
  expect(verified.predicate.reason).toBe('wrong dataset');
});
