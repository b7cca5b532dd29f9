import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { TrackService } from '../../src/gen/pht/v1/tracks_pb.ts';
import { deliver } from '../../src/journey/station/deliver.ts';
import { createVisits, type Visits } from '../../src/journey/station/visits.ts';
import { PhtError } from '../../src/model/error.ts';
import type { Client } from '../../src/ports/wire.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { ASK, makeStation, PERMIT, type Process, type Rig } from '../fakes/station.ts';
import { makeOrder, makeTrain } from '../fakes/trains.ts';

/** What a dispatcher is told of hops that wait: each wait once, its end, and nothing else. */

const NOW = 1_800_000_000_000;
const DAY_MS = 86_400_000;
let fake: FakeNetwork;
let rig: Rig;
let station: Process;
let visits: Visits;
let reports: string[];
let keys: string[];
/** Visits that did not seal their hop. */
let ends: number;

beforeAll(async () => {
  fake = await makeNetwork({ stations: ['north'], researchers: ['rosa'], nowMs: NOW });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  [reports, keys, ends] = [[], [], 0];
  open();
});
afterEach(async () => {
  await visits.stop();
  rig.close();
});

function open(): void {
  station = rig.start();
  const { hops, outbox } = station.store;
  const tell: typeof outbox.tell = (...what) => {
    outbox.tell(...what);
    ends += 1;
  };
  visits = createVisits(station.station, { hops, outbox: { tell }, steps: station.steps, runsAtOnceMax: 1 });
  visits.open();
}

function ordered(): string {
  const train = makeTrain(fake, rig.image.image, NOW, { expiresMs: NOW + 20 * DAY_MS });
  const order = makeOrder(fake, train.digest, NOW, { expiresMs: NOW + 20 * DAY_MS });
  const hopId = station.accept({ ...order, manifest: train.manifest });
  if (hopId === null) throw new Error('the order was not taken on');
  return hopId;
}

async function visited(hopId: string): Promise<void> {
  const before = ends;
  visits.start(hopId);
  const isOver = (): boolean => ends > before || station.store.hops.find(hopId)?.sealed !== null;
  await expect.poll(isOver, { interval: 2 }).toBe(true);
}

/** One visit, and everything that it posted. */
async function look(hopId: string): Promise<string[]> {
  await visited(hopId);
  return posted();
}

async function posted(): Promise<string[]> {
  const before = reports.length;
  const track = {
    report: async ({
      idempotencyKey = '',
      body,
    }: {
      idempotencyKey?: string;
      body?: { case?: string; value?: unknown };
    }) => {
      keys.push(idempotencyKey);
      reports.push(body?.case === 'progress' ? String(body.value) : 'receipt');
      return {};
    },
  } as Partial<Client<typeof TrackService>> as Client<typeof TrackService>;
  const ports = { outbox: station.store.outbox, ledger: station.ledger, witnessing: station.witnessing };
  await deliver(track, station.station, ports, new AbortController().signal);
  return reports.slice(before);
}

test('an engine that is away is told once, and nothing more of it once a train has run there', async () => {
  const broken = { ...rig.executor.report, failures: [{ name: 'network', text: 'secret of the station' }] };
  const sound = rig.executor.report;
  rig.executor.report = broken;
  const hopId = ordered();
  expect(await look(hopId)).toEqual(['awaiting-engine']);
  for (let again = 0; again < 20; again++) {
    rig.clock.ms += 60_000;
    expect(await look(hopId)).toEqual([]);
  }
  rig.executor.report = sound;
  const outcome = rig.executor.outcome;
  rig.executor.outcome = () => {
    throw new PhtError('engine.unreachable', 'it fell over while the train ran');
  };
  expect(await look(hopId)).toEqual(['running']);
  rig.clock.ms += 60_000;
  rig.executor.report = broken;
  expect(await look(hopId)).toEqual([]);
  rig.executor.report = sound;
  rig.executor.outcome = outcome;
  expect((await look(hopId)).at(-1)).toBe('receipt');
  expect(new Set(keys).size).toBe(keys.length);
  expect(JSON.stringify(reports)).not.toContain('secret');
});

test('a hop that waits for a person says so again when something else that kept it has passed', async () => {
  rig.policy(ASK);
  const hopId = ordered();
  expect(await look(hopId)).toEqual(['awaiting-clearance']);
  expect(await look(hopId)).toEqual([]);
  const network = rig.settings.network;
  for (let round = 0; round < 3; round++) {
    rig.settings.network = { ...network, expiresMs: rig.clock.ms };
    expect(await look(hopId)).toEqual(['awaiting-network']);
    rig.clock.ms += 60_000;
    // Also by a process that did not see it begin.
    await visits.stop();
    open();
    expect(await look(hopId)).toEqual([]);
    rig.settings.network = network;
    expect(await look(hopId)).toEqual(['awaiting-clearance']);
    rig.clock.ms += 60_000;
  }
  expect(new Set(keys).size).toBe(keys.length);
  rig.policy(PERMIT);
  await visits.stop();
  open();
  expect((await look(hopId)).at(-1)).toBe('receipt');
});

test('what was not told yet is overtaken by what comes after it', async () => {
  rig.executor.report = { ...rig.executor.report, failures: [{ name: 'network', text: 'x' }] };
  const hopId = ordered();
  await visited(hopId);
  await visits.stop();
  rig.executor.report = { ...rig.executor.report, failures: [] };
  open();
  expect((await look(hopId)).at(-1)).toBe('receipt');
  expect(reports).toEqual(['receipt']);
});

test('of an ended hop nothing is told', async () => {
  const hopId = ordered();
  await look(hopId);
  station.store.outbox.tell(hopId as never, 'awaiting-engine', NOW);
  expect(await posted()).toEqual([]);
});
