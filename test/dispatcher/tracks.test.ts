import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DatasetsRequestSchema } from '../../src/gen/pht/v1/journeys_pb.ts';
import {
  AnnounceRequestSchema,
  LeaseRequestSchema,
  WakeRequestSchema,
} from '../../src/gen/pht/v1/tracks_pb.ts';
import { type Digest, digestOf } from '../../src/model/id.ts';
import type { VerifiedOrder } from '../../src/model/order.ts';
import {
  makeWorld,
  manifestFor,
  pull,
  type ReceiptPlan,
  receiptFor,
  report,
  request,
  underWay,
  type World,
} from './desk.ts';

let world: World;
beforeEach(async () => {
  world = await makeWorld();
});
afterEach(() => world.close());

const DATASET = {
  id: 'cgd',
  title: 'A trial',
  files: ['cgd.csv'],
  format: 'csv',
  columns: [{ name: 'treat', type: 'category', levels: ['a', 'b'] }],
};
const described = (change: object = {}): Uint8Array => Buffer.from(JSON.stringify({ ...DATASET, ...change }));

function announce(
  station: string,
  datasetDescriptions: Uint8Array[],
  hops: { hopId: string; progress: string }[] = [],
) {
  return world.dispatcher.tracks.announce(
    request(AnnounceRequestSchema, { software: 'test', datasetDescriptions, hops, networkVersion: 1 }),
    world.as(station),
  );
}

async function orderOf(station: string): Promise<VerifiedOrder> {
  const order = (await pull(world, station)).orders[0];
  if (order === undefined) throw new Error(`no order for ${station}`);
  return order;
}

const stateOf = (order: VerifiedOrder): string | undefined => world.store.stops.find(order.hopId)?.state;

describe('a station announces', () => {
  it('its datasets, and is online while its wake stream is open', async () => {
    await announce('north', [described()]);
    const controller = new AbortController();
    const iterator = world.dispatcher.tracks
      .wake(request(WakeRequestSchema, {}), world.as('north', controller.signal))
      [Symbol.asyncIterator]();
    await iterator.next();
    const seen = async () => {
      const { stations } = await world.dispatcher.journeys.datasets(
        request(DatasetsRequestSchema, {}),
        world.as('dora'),
      );
      return stations?.map(({ station, online, datasetDescriptions }) => [
        station,
        online,
        datasetDescriptions?.length,
      ]);
    };
    expect(await seen()).toEqual([
      ['north', true, 1],
      ['south', false, 0],
      ['west', false, 0],
    ]);
    const waiting = iterator.next();
    controller.abort();
    await waiting;
    expect((await seen())?.[0]).toEqual(['north', false, 1]);
    await world.restart();
    expect((await seen())?.[0]).toEqual(['north', false, 1]);
  });

  it.each([
    ['unknown members', [described({ patients: 128 })], 'input.malformed'],
    ['no JSON', [Buffer.from('x')], 'input.malformed'],
    ['one dataset twice', [described(), described()], 'input.malformed'],
    ['101 datasets', Array.from({ length: 101 }, (_, at) => described({ id: `d${at}` })), 'input.too-large'],
    ['too many bytes', [Buffer.alloc(600 * 1024, 32)], 'input.too-large'],
  ])('is refused with %s', async (_what, descriptions, code) => {
    await announce('north', [described()]);
    await expect(announce('north', descriptions)).rejects.toMatchObject({ code });
    expect(world.store.stations.list()).toMatchObject([
      { station: 'north', descriptions: [expect.anything()] },
    ]);
  });

  it('what it sealed and we never got, and gets again what it lost', async () => {
    await underWay(world);
    await underWay(world);
    const [kept, lost] = (await pull(world, 'north')).orders;
    if (kept === undefined || lost === undefined) throw new Error('two orders were expected');
    await report(world, kept, { progress: 'running' });
    await report(world, lost, { progress: 'running' });
    const stranger = `hop_${'0'.repeat(24)}`;
    const answer = await announce(
      'north',
      [],
      [
        { hopId: kept.hopId, progress: 'sealed' },
        { hopId: stranger, progress: 'sealed' },
      ],
    );
    expect(answer).toMatchObject({ unknownHopIds: [kept.hopId, stranger], networkVersion: 1 });
    expect(stateOf(kept)).toBe('running');
    expect((await pull(world, 'north')).orders.map(({ hopId }) => hopId)).toEqual([lost.hopId]);
    await report(world, kept, receiptFor(world, kept));
    expect((await announce('north', [], [{ hopId: kept.hopId, progress: 'sealed' }])).unknownHopIds).toEqual(
      [],
    );
  });
});

describe('a wake stream', () => {
  it('wakes at once, and again when an order is there', async () => {
    const controller = new AbortController();
    const iterator = world.dispatcher.tracks
      .wake(request(WakeRequestSchema, {}), world.as('north', controller.signal))
      [Symbol.asyncIterator]();
    const first = (await iterator.next()).value?.sequence;
    const waiting = iterator.next();
    await underWay(world);
    expect((await waiting).value?.sequence).toBe((first ?? 0n) + 1n);
    controller.abort();
    expect((await iterator.next()).done).toBe(true);
  });
});

describe('a pull', () => {
  it('gets past many orders, and offers again what was never reported on', async () => {
    const trainIds: string[] = [];
    for (let at = 0; at < 20; at++) trainIds.push(await underWay(world));
    const first = await pull(world, 'north');
    const second = await pull(world, 'north');
    expect([first.orders.length, second.orders.length]).toEqual([16, 4]);
    const hops = [...first.orders, ...second.orders].map(({ hopId }) => hopId);
    expect(new Set(hops).size).toBe(20);
    expect((await pull(world, 'north')).orders).toEqual([]);
    world.clock.ms += 30_000;
    expect((await pull(world, 'north')).orders).toHaveLength(16);
    await announce('north', []);
    expect((await pull(world, 'north')).orders).toHaveLength(16);
  });

  it('stays below the size of a message', async () => {
    const text = 'x'.repeat(200);
    const parameters = Object.fromEntries(
      Array.from({ length: 18 }, (_, at) => [`p${at}`, Array.from({ length: 200 }, () => text)]),
    );
    for (let at = 0; at < 4; at++) await underWay(world, { parameters });
    expect(manifestFor(world, { parameters }).parameters).toBeDefined();
    const sizes = [(await pull(world, 'north')).orders.length, (await pull(world, 'north')).orders.length];
    expect(sizes).toEqual([2, 2]);
  });
});

describe('a lease', () => {
  it('is for the hop of this station in this epoch', async () => {
    await underWay(world);
    const order = await orderOf('north');
    const lease = (caller: string, epoch: bigint, ttlMs = 60_000) =>
      world.dispatcher.tracks.lease(
        request(LeaseRequestSchema, { hopId: order.hopId, epoch, ttlMs }),
        world.as(caller),
      );
    expect(await lease('north', 1n)).toEqual({ ttlMs: 60_000 });
    expect((await lease('north', 1n, 2 ** 32 - 1)).ttlMs).toBeLessThanOrEqual(300_000);
    await expect(lease('north', 2n)).rejects.toMatchObject({ code: 'stale.epoch' });
    await expect(lease('south', 1n)).rejects.toMatchObject({ code: 'not-found' });
    await report(world, order, receiptFor(world, order));
    await expect(lease('north', 1n)).rejects.toMatchObject({ code: 'stale.epoch' });
  });
});

describe('a report', () => {
  it('of progress is where the station stands, also when a case that changed takes it back', async () => {
    await underWay(world);
    const order = await orderOf('north');
    for (const [progress, state] of [
      ['received', 'received'],
      ['cleared', 'cleared'],
      ['awaiting-clearance', 'awaiting-clearance'],
      ['awaiting-second-clearance', 'awaiting-second-clearance'],
      ['awaiting-network', 'awaiting-network'],
      ['cleared', 'cleared'],
      ['awaiting-engine', 'awaiting-engine'],
      ['awaiting-dispatcher', 'awaiting-dispatcher'],
      ['awaiting-witness', 'awaiting-witness'],
      ['running', 'running'],
    ] as const) {
      await report(world, order, { progress });
      expect(stateOf(order)).toBe(state);
    }
    for (const progress of ['ordered', 'released', 'unheard', 'sealed', '']) {
      await expect(report(world, order, { progress })).rejects.toMatchObject({ code: 'input.malformed' });
    }
    expect(stateOf(order)).toBe('running');
  });

  it('after the receipt changes nothing', async () => {
    await underWay(world);
    const order = await orderOf('north');
    await report(world, order, receiptFor(world, order));
    await report(world, order, { progress: 'running' });
    expect(stateOf(order)).toBe('released');
  });

  it('of another station, hop or epoch is refused', async () => {
    await underWay(world);
    const order = await orderOf('north');
    const body = receiptFor(world, order);
    await expect(report(world, order, body, { caller: 'south' })).rejects.toMatchObject({
      code: 'not-found',
    });
    await expect(report(world, order, body, { caller: 'rosa' })).rejects.toMatchObject({ code: 'forbidden' });
    await expect(report(world, order, body, { hopId: 'hop_x' })).rejects.toMatchObject({ code: 'not-found' });
    await expect(report(world, order, body, { epoch: 2 })).rejects.toMatchObject({ code: 'stale.epoch' });
    expect(stateOf(order)).toBe('ordered');
  });

  it('with a known key and another content is a conflict', async () => {
    await underWay(world);
    const order = await orderOf('north');
    await report(world, order, { progress: 'received' }, { key: 'one-key-1' });
    await report(world, order, { progress: 'received' }, { key: 'one-key-1' });
    await expect(report(world, order, { progress: 'running' }, { key: 'one-key-1' })).rejects.toMatchObject({
      code: 'conflict',
    });
  });

  it.each<[string, ReceiptPlan, string]>([
    ['signed by another station', { signer: 'south' }, 'signature.invalid'],
    ['that speaks for another station', { issuer: 'south' }, 'signature.invalid'],
    ['for another order', { subject: '0'.repeat(64) as Digest }, 'receipt.invalid'],
    ['for another train', { manifestDigest: '0'.repeat(64) as Digest }, 'receipt.invalid'],
    ['for another attempt', { attempt: 2 }, 'receipt.invalid'],
    ['over something else that was sealed', { jweDigest: digestOf('other') }, 'receipt.invalid'],
    ['with more than it names', { jweDigest: null, outcome: 'refused' }, 'receipt.invalid'],
    ['that releases nothing', { jwe: null }, 'receipt.invalid'],
    ['whose code is not its outcome', { outcome: 'refused', code: 'released' }, 'receipt.invalid'],
    ['with too much sealed', { jwe: Buffer.alloc(2 * 1024 * 1024 + 1) }, 'input.too-large'],
  ])('of a receipt %s is refused and counted', async (_what, plan, code) => {
    await underWay(world);
    const order = await orderOf('north');
    await expect(report(world, order, receiptFor(world, order, plan))).rejects.toMatchObject({ code });
    expect(stateOf(order)).toBe('ordered');
    world.clock.ms += 60_000;
    await world.dispatcher.sweep();
    expect(world.entries().at(-1)).toMatchObject({ type: 'rejects.counted', body: { codes: [`${code} 1`] } });
  });

  it('of a second, different receipt leaves the first one, and says so', async () => {
    await underWay(world);
    const order = await orderOf('north');
    await report(world, order, receiptFor(world, order));
    await report(world, order, receiptFor(world, order));
    expect(world.notes).toEqual([]);
    await report(
      world,
      order,
      receiptFor(world, order, { outcome: 'failed', code: 'run.failed', jwe: null }),
    );
    expect(world.notes).toEqual(['a station signed two receipts for one order; the first one stays']);
    expect(stateOf(order)).toBe('released');
  });
});
