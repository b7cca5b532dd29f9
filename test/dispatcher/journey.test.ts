import { randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  CancelRequestSchema,
  type Journey,
  JourneySchema,
  ListRequestSchema,
  ResultRequestSchema,
  WatchRequestSchema,
} from '../../src/gen/pht/v1/journeys_pb.ts';
import { GRACE_MS } from '../../src/journey/dispatcher/sweep.ts';
import { encodeEnvelope } from '../../src/model/dsse.ts';
import { type Digest, digestOf } from '../../src/model/id.ts';
import { assertTimely, type VerifiedOrder } from '../../src/model/order.ts';
import { signStatement } from '../../src/model/statement.ts';
import { memberIn } from '../fakes/network.ts';
import {
  CONFIG,
  depart,
  LAYER,
  makeWorld,
  manifestFor,
  newKey,
  pull,
  receiptFor,
  report,
  request,
  signManifest,
  submit,
  underWay,
  upload,
  type World,
} from './desk.ts';

let world: World;
beforeEach(async () => {
  world = await makeWorld();
});
afterEach(() => world.close());

async function result(trainId: string, caller = 'rosa', pageToken = '') {
  return world.dispatcher.journeys.result(
    request(ResultRequestSchema, { trainId, pageToken }),
    world.as(caller),
  );
}

async function journeyOf(trainId: string): Promise<Journey> {
  return create(JourneySchema, (await result(trainId)).journey);
}

async function orderOf(station: string): Promise<VerifiedOrder> {
  const order = (await pull(world, station)).orders[0];
  if (order === undefined) throw new Error(`no order for ${station}`);
  return order;
}

function cancellation(trainId: string, signer = 'rosa'): Uint8Array {
  const train = world.store.trains.find(trainId);
  const predicate = {
    networkId: world.fake.network.id,
    networkVersion: 1,
    issuer: signer,
    reason: 'changed my mind',
    issuedAtMs: world.clock.ms,
  };
  const subject = { name: 'manifest', digest: train?.manifestDigest ?? ('0'.repeat(64) as Digest) };
  return encodeEnvelope(
    signStatement('cancellation', subject, predicate, memberIn(world.fake, signer).signer).envelope,
  );
}

function cancel(trainId: string, bytes: Uint8Array, caller = 'rosa', idempotencyKey = newKey()) {
  const message = request(CancelRequestSchema, { idempotencyKey, trainId, cancellation: bytes });
  return world.dispatcher.journeys.cancel(message, world.as(caller));
}

const typesOf = (): string[] => world.entries().map(({ type }) => type);

describe('a journey', () => {
  it('departs, is recorded and arrives, each step on record', async () => {
    const trainId = await underWay(world);
    for (const station of ['north', 'south']) {
      const order = await orderOf(station);
      assertTimely(order.predicate, world.clock.ms);
      expect(order.predicate).toMatchObject({ audience: station, attempt: 1, epoch: 1, inputs: [] });
      await report(world, order, { progress: 'running' });
      expect((await journeyOf(trainId)).state).toBe('under-way');
      await report(world, order, receiptFor(world, order));
    }
    const { journey, manifest, results = [] } = await result(trainId);
    expect(journey).toMatchObject({
      state: 'arrived',
      stops: [{ state: 'released' }, { state: 'released' }],
    });
    expect(digestOf(manifest ?? '')).toBe(digestOf(world.store.trains.find(trainId)?.manifest ?? ''));
    expect(results.map(({ jwe }) => Buffer.from(jwe ?? '').toString())).toEqual(
      Array(2).fill('sealed for rosa'),
    );
    expect(typesOf()).toEqual([
      'log.started',
      'train.admitted',
      'order.issued',
      'order.issued',
      'receipt.received',
      'result.fetched',
      'receipt.received',
      'train.arrived',
      'result.fetched',
    ]);
  });

  it('does not depart without all of its blobs', async () => {
    const manifest = signManifest(world, manifestFor(world));
    const { trainId } = await submit(world, manifest);
    await expect(depart(world, trainId)).rejects.toMatchObject({ code: 'image.missing' });
    await upload(world, trainId, digestOf(CONFIG), CONFIG);
    await expect(depart(world, trainId)).rejects.toMatchObject({ code: 'image.missing' });
    await upload(world, trainId, digestOf(LAYER), LAYER);
    expect((await depart(world, trainId)).state).toBe('under-way');
  });

  it('departs once, whoever asks again', async () => {
    const { trainId } = await submit(world, signManifest(world, manifestFor(world)));
    await upload(world, trainId, digestOf(CONFIG), CONFIG);
    await upload(world, trainId, digestOf(LAYER), LAYER);
    const key = newKey();
    const [first, second] = await Promise.all([depart(world, trainId, key), depart(world, trainId)]);
    expect(second).toEqual(first);
    await world.restart();
    expect(await depart(world, trainId, key)).toEqual(first);
    expect(typesOf().filter((type) => type === 'order.issued')).toHaveLength(2);
    expect(await pull(world, 'north')).toMatchObject({ orders: [{ predicate: { epoch: 1 } }] });
    expect(await pull(world, 'west')).toEqual({ orders: [], proofs: [], cancellations: [] });
  });

  it('fails when too few stations released, naming each code', async () => {
    const trainId = await underWay(world);
    const [north, south] = [await orderOf('north'), await orderOf('south')];
    await report(world, north, receiptFor(world, north));
    await report(
      world,
      south,
      receiptFor(world, south, { outcome: 'refused', code: 'policy.denied', jwe: null }),
    );
    expect(await journeyOf(trainId)).toMatchObject({
      state: 'failed',
      stops: [{ code: 'released' }, { state: 'refused', code: 'policy.denied' }],
    });
    expect((await result(trainId)).results?.[1]?.jwe).toHaveLength(0);
  });

  it('gives up on what was never heard, and takes a late receipt all the same', async () => {
    const trainId = await underWay(world);
    const [north, south] = [await orderOf('north'), await orderOf('south')];
    await report(world, north, receiptFor(world, north));
    world.clock.ms = north.predicate.expiresMs + GRACE_MS;
    await world.dispatcher.sweep();
    expect((await journeyOf(trainId)).state).toBe('under-way');
    world.clock.ms += 1;
    await world.dispatcher.sweep();
    await world.dispatcher.sweep();
    expect(await journeyOf(trainId)).toMatchObject({
      state: 'failed',
      stops: [{ state: 'released' }, { state: 'unheard', code: 'timed-out' }],
    });
    expect(typesOf().filter((type) => type === 'hop.unheard')).toHaveLength(1);
    expect((await pull(world, 'south')).orders).toEqual([]);
    await report(world, south, receiptFor(world, south));
    expect((await journeyOf(trainId)).state).toBe('arrived');
  });

  it('that never departs ends with its manifest', async () => {
    const { trainId } = await submit(world, signManifest(world, manifestFor(world)));
    world.clock.ms += 24 * 3_600_000 + GRACE_MS + 1;
    await expect(depart(world, trainId)).rejects.toMatchObject({ code: 'image.missing' });
    await world.dispatcher.sweep();
    expect((await journeyOf(trainId)).state).toBe('failed');
  });

  it('does not depart once the manifest has expired', async () => {
    const { trainId } = await submit(world, signManifest(world, manifestFor(world)));
    await upload(world, trainId, digestOf(CONFIG), CONFIG);
    await upload(world, trainId, digestOf(LAYER), LAYER);
    world.clock.ms += 24 * 3_600_000;
    await expect(depart(world, trainId)).rejects.toMatchObject({ code: 'manifest.expired' });
    expect(typesOf()).not.toContain('order.issued');
  });
});

describe('a cancellation', () => {
  it('reaches the stations, whose receipts end the journey', async () => {
    const trainId = await underWay(world);
    const [north, south] = [await orderOf('north'), await orderOf('south')];
    await report(world, north, receiptFor(world, north));
    const bytes = cancellation(trainId);
    expect((await cancel(trainId, bytes)).journey?.state).toBe('under-way');
    expect((await pull(world, 'north')).cancellations).toEqual([]);
    expect((await pull(world, 'south')).cancellations.map(digestOf)).toEqual([digestOf(bytes)]);
    const end = receiptFor(world, south, { outcome: 'cancelled', code: 'cancelled', jwe: null });
    await report(world, south, end);
    expect((await journeyOf(trainId)).state).toBe('cancelled');
    expect((await pull(world, 'south')).cancellations).toEqual([]);
    await cancel(trainId, bytes);
    expect(typesOf().filter((type) => type === 'train.cancelled')).toHaveLength(1);
  });

  it('ends a train that is still loading at once', async () => {
    const { trainId } = await submit(world, signManifest(world, manifestFor(world)));
    expect((await cancel(trainId, cancellation(trainId))).journey?.state).toBe('cancelled');
    await expect(upload(world, trainId, digestOf(CONFIG), CONFIG)).rejects.toMatchObject({
      code: 'conflict',
    });
    await expect(depart(world, trainId)).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('is refused from anybody but the researcher, for another train, and after the end', async () => {
    const trainId = await underWay(world);
    const other = await underWay(world);
    await expect(cancel(trainId, cancellation(trainId, 'otto'))).rejects.toMatchObject({
      code: 'forbidden',
    });
    await expect(cancel(trainId, cancellation(other))).rejects.toMatchObject({ code: 'forbidden' });
    await expect(cancel(trainId, cancellation(trainId), 'otto')).rejects.toMatchObject({ code: 'not-found' });
    for (const station of ['north', 'south']) {
      for (const order of (await pull(world, station)).orders)
        await report(world, order, receiptFor(world, order));
    }
    await expect(cancel(trainId, cancellation(trainId))).rejects.toMatchObject({ code: 'conflict' });
    expect(typesOf()).not.toContain('train.cancelled');
  });
});

describe("another researcher's train", () => {
  it('does not exist, as one that never did', async () => {
    const trainId = await underWay(world);
    const journeys = world.dispatcher.journeys;
    const watched = journeys.watch(request(WatchRequestSchema, { trainId }), world.as('otto'));
    await expect(watched[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'not-found' });
    await expect(result(trainId, 'otto')).rejects.toMatchObject({ code: 'not-found' });
    await expect(result(`trn_${'0'.repeat(24)}`)).rejects.toMatchObject({ code: 'not-found' });
    const { journeys: listed } = await journeys.list(request(ListRequestSchema, {}), world.as('otto'));
    expect(listed).toEqual([]);
    await expect(result(trainId, 'north')).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe('what a researcher sees', () => {
  it('lists all trains once, newest first, page by page', async () => {
    const ids: string[] = [];
    for (let at = 0; at < 7; at++) {
      if (at % 2 === 0) world.clock.ms += 1;
      ids.push((await submit(world, signManifest(world, manifestFor(world)))).trainId);
    }
    const seen: string[] = [];
    let pageToken = '';
    do {
      const message = request(ListRequestSchema, { pageSize: 2, pageToken });
      const page = await world.dispatcher.journeys.list(message, world.as('rosa'));
      for (const journey of page.journeys ?? []) seen.push(journey.trainId ?? '');
      pageToken = page.nextPageToken ?? '';
    } while (pageToken !== '');
    expect([...seen].sort()).toEqual([...ids].sort());
    expect(seen[0]).toBe(ids[6]);
    const bad = request(ListRequestSchema, { pageToken: "1' OR 1=1" });
    await expect(world.dispatcher.journeys.list(bad, world.as('rosa'))).rejects.toMatchObject({
      code: 'input.malformed',
    });
  });

  it('watches each change until the end', async () => {
    const trainId = await underWay(world);
    const [north, south] = [await orderOf('north'), await orderOf('south')];
    const message = request(WatchRequestSchema, { trainId });
    const iterator = world.dispatcher.journeys.watch(message, world.as('rosa'))[Symbol.asyncIterator]();
    const next = async (): Promise<string> => {
      const { value } = await iterator.next();
      return [
        value?.journey?.state,
        ...(value?.journey?.stops?.map(({ state }: { state?: string }) => state) ?? []),
      ].join(' ');
    };
    expect(await next()).toBe('under-way ordered ordered');
    const waiting = next();
    await report(world, north, { progress: 'received' });
    expect(await waiting).toBe('under-way received ordered');
    await report(world, north, { progress: 'received' });
    await report(world, north, receiptFor(world, north));
    expect(await next()).toBe('under-way released ordered');
    await report(world, south, receiptFor(world, south));
    expect(await next()).toBe('arrived released released');
    expect((await iterator.next()).done).toBe(true);
  });

  it('stops watching when nobody listens any more', async () => {
    const trainId = await underWay(world);
    const controller = new AbortController();
    const message = request(WatchRequestSchema, { trainId });
    const iterator = world.dispatcher.journeys
      .watch(message, world.as('rosa', controller.signal))
      [Symbol.asyncIterator]();
    await iterator.next();
    const waiting = iterator.next();
    controller.abort();
    expect((await waiting).done).toBe(true);
  });

  it('gets large results in pages that fit a message', async () => {
    const stops = ['north', 'south', 'west'];
    const trainId = await underWay(world, {
      route: { pattern: 'parallel', stops, minStations: 1, deadlineMs: 60_000 },
    });
    const jwe = randomBytes(2 * 1024 * 1024);
    for (const station of stops) {
      const order = await orderOf(station);
      await report(world, order, receiptFor(world, order, { jwe }));
    }
    const stations: string[] = [];
    let pageToken = '';
    do {
      const page = await result(trainId, 'rosa', pageToken);
      expect(page.results?.length).toBe(1);
      for (const { station, jwe: got } of page.results ?? []) {
        stations.push(station ?? '');
        expect(got).toHaveLength(jwe.length);
      }
      pageToken = page.nextPageToken ?? '';
    } while (pageToken !== '');
    expect(stations).toEqual(stops);
    for (const bad of ['3', '-1', '0', 'x']) {
      await expect(result(trainId, 'rosa', bad)).rejects.toMatchObject({ code: 'input.malformed' });
    }
  });
});

describe('receipts and keys in any order and number', () => {
  it('always end in the first valid receipt, and never in two', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom('released', 'refused', 'running', 'received'), fc.nat(3)), {
          minLength: 1,
          maxLength: 8,
        }),
        async (steps) => {
          const trainId = await underWay(world, {
            route: { pattern: 'parallel', stops: ['north'], minStations: 1, deadlineMs: 60_000 },
          });
          const order = (await pull(world, 'north')).orders.find(({ subject }) =>
            subject.startsWith(trainId.slice(4)),
          );
          if (order === undefined) throw new Error('no order');
          const bodies = new Map<string, Parameters<typeof report>[2]>();
          let first: string | undefined;
          for (const [what, key] of steps) {
            const name = `${what}-key-${key}`;
            const body =
              bodies.get(name) ??
              (what === 'released'
                ? receiptFor(world, order, { issuedAtMs: key })
                : what === 'refused'
                  ? receiptFor(world, order, { outcome: 'refused', jwe: null, issuedAtMs: key })
                  : { progress: what });
            bodies.set(name, body);
            await report(world, order, body, { key: `${trainId}-${name}` });
            if ('receipt' in body) first ??= digestOf(body.receipt);
          }
          const sealed = world.store.stops.sealed(order.hopId);
          expect(sealed === null ? undefined : digestOf(sealed.receipt)).toBe(first);
          const onRecord = world
            .entries()
            .filter((entry) => entry.type === 'receipt.received' && entry.hopId === order.hopId);
          expect(onRecord).toHaveLength(first === undefined ? 0 : 1);
        },
      ),
      { numRuns: 40 },
    );
  });
});
