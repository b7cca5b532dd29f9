import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  DepartRequestSchema,
  ListRequestSchema,
  WatchRequestSchema,
} from '../../src/gen/pht/v1/journeys_pb.ts';
import { WakeRequestSchema } from '../../src/gen/pht/v1/tracks_pb.ts';
import { waitedFor } from '../../src/journey/dispatcher/view.ts';
import { STOP_STATES } from '../../src/model/account.ts';
import { OUTCOMES } from '../../src/model/receipt.ts';
import { makeWorld, NOW_MS, pull, receiptFor, report, request, underWay, type World } from './desk.ts';

/** On whom each stop waits, as the dispatcher sees it. */

const DAY_MS = 86_400_000;
let world: World;
beforeEach(async () => {
  world = await makeWorld();
});
afterEach(async () => {
  vi.useRealTimers();
  await world.close();
});

type Seen = { waitsFor: string; waitsSinceMs: bigint; stationOnline: boolean; stationSeenMs: bigint };

async function stops(trainId: string): Promise<Seen[]> {
  const { journeys } = await world.dispatcher.journeys.list(request(ListRequestSchema, {}), world.as('rosa'));
  const journey = (journeys ?? []).find((each) => each.trainId === trainId);
  return (journey?.stops ?? []) as Seen[];
}

async function orderOf(station: string) {
  const [order] = (await pull(world, station)).orders;
  if (order === undefined) throw new Error('there is no order');
  return order;
}

it('names somebody for every state that is not an end, and nobody for an end', () => {
  const ends: ReadonlySet<string> = new Set([...OUTCOMES, 'unheard']);
  for (const state of STOP_STATES) expect([state, waitedFor(state) === '']).toEqual([state, ends.has(state)]);
});

describe('a stop', () => {
  it.each([
    ['received', 'station'],
    ['awaiting-clearance', 'admin'],
    ['awaiting-second-clearance', 'second-admin'],
    ['cleared', 'station'],
    ['running', 'station'],
    ['awaiting-witness', 'witnesses'],
    ['awaiting-network', 'authority'],
    ['awaiting-engine', 'engine'],
    ['awaiting-dispatcher', 'dispatcher'],
  ])('that says %s waits for the %s since then', async (progress, waitsFor) => {
    const trainId = await underWay(world);
    const order = await orderOf('north');
    world.clock.ms += 5 * DAY_MS;
    await report(world, order, { progress });
    world.clock.ms += 9 * DAY_MS;
    expect((await stops(trainId))[0]).toMatchObject({ waitsFor, waitsSinceMs: BigInt(NOW_MS + 5 * DAY_MS) });
    await report(world, order, receiptFor(world, order));
    expect((await stops(trainId))[0]).toMatchObject({ waitsFor: '', waitsSinceMs: 0n });
  });

  it('that no station has taken waits for the station, which is there or was there last', async () => {
    const trainId = await underWay(world);
    const [never] = await stops(trainId);
    expect(never).toMatchObject({ waitsFor: 'station', stationOnline: false, stationSeenMs: 0n });
    const gone = new AbortController();
    world.clock.ms += DAY_MS;
    const wakes = world.dispatcher.tracks
      .wake(request(WakeRequestSchema, {}), world.as('north', gone.signal))
      [Symbol.asyncIterator]();
    await wakes.next();
    expect((await stops(trainId))[0]).toMatchObject({
      stationOnline: true,
      stationSeenMs: BigInt(NOW_MS + DAY_MS),
    });
    world.clock.ms += DAY_MS;
    gone.abort();
    await wakes.next();
    expect((await stops(trainId))[0]?.stationOnline).toBe(false);
    world.clock.ms += 20 * DAY_MS;
    // Nor does a restart forget when that was.
    await world.restart();
    expect((await stops(trainId))[0]).toMatchObject({ waitsFor: 'station', stationOnline: false });
    expect(Number((await stops(trainId))[0]?.stationSeenMs)).toBeGreaterThanOrEqual(NOW_MS + DAY_MS);
  });
});

describe('a watch', () => {
  it('says the same again before any proxy cuts it, for as long as it takes', async () => {
    const trainId = await underWay(world);
    vi.useFakeTimers();
    const closing = new AbortController();
    const watched = world.dispatcher.journeys
      .watch(request(WatchRequestSchema, { trainId }), world.as('rosa', closing.signal))
      [Symbol.asyncIterator]();
    await watched.next();
    const timersMax = vi.getTimerCount() + 1;
    for (let beat = 0; beat < 2000; beat++) {
      const next = watched.next();
      await vi.advanceTimersByTimeAsync(30_000);
      expect((await next).value?.journey?.state).toBe('under-way');
      // Those of the dispatcher's own, and none of this watch left behind.
      expect(vi.getTimerCount()).toBeLessThanOrEqual(timersMax);
    }
    const last = watched.next();
    closing.abort();
    expect((await last).done).toBe(true);
  });

  it('answers for a train that waits longer than replies are kept, and so does everything else', async () => {
    const trainId = await underWay(world, { expiresMs: NOW_MS + 80 * DAY_MS });
    const order = await orderOf('north');
    await report(world, order, { progress: 'awaiting-clearance' });
    for (let day = 0; day < 60; day++) {
      world.clock.ms += DAY_MS;
      await world.dispatcher.sweep();
      if (day % 20 === 0) await world.restart();
    }
    const watched = world.dispatcher.journeys
      .watch(request(WatchRequestSchema, { trainId }), world.as('rosa'))
      [Symbol.asyncIterator]();
    const { value } = await watched.next();
    expect(value?.journey?.stops?.[0]).toMatchObject({ waitsFor: 'admin', waitsSinceMs: BigInt(NOW_MS) });
    await watched.return?.(undefined);
    const depart = request(DepartRequestSchema, { idempotencyKey: 'depart-again', trainId });
    const again = await world.dispatcher.journeys.depart(depart, world.as('rosa'));
    expect(again.journey?.state).toBe('under-way');
    await report(world, order, { progress: 'cleared' });
    await report(world, order, receiptFor(world, order));
    expect((await stops(trainId))[0]?.waitsFor).toBe('');
  });
});
