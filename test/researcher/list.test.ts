import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createHeardJourneys } from '../../src/adapters/home/heard.ts';
import { createFrame } from '../../src/cli/frame.ts';
import { createOutput } from '../../src/cli/output.ts';
import type { Traveller } from '../../src/cli/train-compose.ts';
import { showTrains } from '../../src/cli/train-list.ts';
import { ListResponseSchema } from '../../src/gen/pht/v1/journeys_pb.ts';
import type { JourneyClient } from '../../src/journey/researcher/journeys.ts';
import { type ErrorCode, PhtError } from '../../src/model/error.ts';
import type { TrainId } from '../../src/model/id.ts';
import type { JourneyView } from '../../src/model/journey-view.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { clientOf, type Home, makeHome, NOW_MS, packTrain, retry } from './rig.ts';

/** `pht train list`, with a dispatcher that comes and goes. */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const OTHER = 'trn_0123456789abcdef01234567' as TrainId;

let fake: FakeNetwork;
let home: Home;
let trainId: TrainId;
beforeAll(async () => {
  fake = await makeNetwork({ stations: ['north', 'south'], nowMs: NOW_MS });
});
beforeEach(() => {
  home = makeHome(fake);
  const packed = packTrain(fake, ['north', 'south']);
  trainId = packed.manifest.trainId;
  home.trains.keep({ trainId, manifest: packed.bytes, key: packed.key, departure: null });
});
afterEach(() => {
  home.clear();
  process.exitCode = undefined;
});

const journey = (change: Partial<JourneyView> = {}): JourneyView => ({
  ...{ trainId, title: 'Survival by arm', state: 'under-way', submittedAtMs: NOW_MS - DAY_MS },
  stops: [
    {
      ...{ station: 'north', state: 'awaiting-clearance', code: '', changedAtMs: NOW_MS - DAY_MS },
      ...{ attempt: 1, hopId: '', waitsFor: 'admin', waitsSinceMs: NOW_MS - DAY_MS },
      ...{ stationOnline: true, stationSeenMs: NOW_MS },
    },
    {
      ...{ station: 'south', state: 'released', code: 'released', changedAtMs: NOW_MS - DAY_MS },
      ...{ attempt: 1, hopId: '', waitsFor: '', waitsSinceMs: 0, stationOnline: true, stationSeenMs: NOW_MS },
    },
  ],
  ...change,
});

const answering = (...journeys: JourneyView[]): JourneyClient =>
  clientOf({
    list: async () =>
      create(ListResponseSchema, {
        journeys: journeys.map(({ submittedAtMs, stops, ...rest }) => ({
          ...rest,
          submittedAtMs: BigInt(submittedAtMs),
          stops: stops.map((stop) => ({
            ...stop,
            changedAtMs: BigInt(stop.changedAtMs),
            waitsSinceMs: BigInt(stop.waitsSinceMs),
            stationSeenMs: BigInt(stop.stationSeenMs),
          })),
        })),
      }),
  });

const failing = (code: ErrorCode): JourneyClient =>
  clientOf({
    list: async () => {
      throw new PhtError(code, 'no answer');
    },
  });

type Said = { out: string; err: string; status: unknown };

async function list(
  client: JourneyClient | PhtError,
  nowMs: number,
  { json = false, signal = new AbortController().signal } = {},
): Promise<Said> {
  const said: Said = { out: '', err: '', status: 0 };
  const output = createOutput({
    json,
    stdout: { write: (text) => (said.out += text) },
    stderr: { write: (text) => (said.err += text) },
    env: {},
  });
  const traveller = {
    ...{ trains: home.trains, arrivals: home.arrivals, researcher: home.researcher, retry, signal },
    heard: createHeardJourneys(home.dir),
    client: async () => {
      if (client instanceof PhtError) throw client;
      return client;
    },
  } as Partial<Traveller> as Traveller;
  const frame = { ...createFrame({ output, env: {}, home: () => home.dir, signal: () => signal }) };
  process.exitCode = undefined;
  await showTrains({ ...frame, nowMs: () => nowMs }, traveller);
  return { ...said, status: process.exitCode ?? 0 };
}

type Listed = { trains: Record<string, unknown>[]; dispatcher: string; asOfMs: number; exitStatus: number };
const parsed = ({ out }: Said): Listed => JSON.parse(out) as Listed;
const AWAY = failing('unreachable');

test('while it answers: its word, as of now', async () => {
  const said = await list(answering(journey()), NOW_MS);
  expect([said.status, said.err]).toEqual([0, '']);
  expect(said.out).toContain('SUBMITTED');
  const { trains, ...rest } = parsed(await list(answering(journey()), NOW_MS, { json: true }));
  expect(rest).toEqual({ dispatcher: 'reached', asOfMs: NOW_MS, exitStatus: 0 });
  expect(trains).toEqual([{ ...journey(), heardAtMs: NOW_MS }]);
});

describe('while it is away', () => {
  test('the trains as it told of them last, when that was, and a status that is no success', async () => {
    await list(answering(journey()), NOW_MS);
    const said = await list(AWAY, NOW_MS + 9 * DAY_MS);
    expect(said.status).toBe(5);
    expect(said.err).toBe(
      'pht: the dispatcher cannot be reached: these states are what it said last, as of 2027-01-15 08:00 UTC or later; nothing is lost, try again\n',
    );
    const lines = said.out.trimEnd().split('\n');
    expect(lines).toEqual([
      'TRAIN                         STATE      AS OF   RELEASED  TITLE',
      `${trainId}  under-way  15 Jan  1 of 2    Survival by arm`,
      '',
      'What they waited for then, said the dispatcher:',
      `${trainId}, as of 2027-01-15 08:00 UTC`,
      '  north: waits for its admin since 14 Jan (24 hours)',
    ]);
    const json = await list(AWAY, NOW_MS + DAY_MS, { json: true });
    expect(json.status).toBe(5);
    const { trains, ...rest } = parsed(json);
    expect(rest).toEqual({ dispatcher: 'unreachable', asOfMs: NOW_MS, exitStatus: 5 });
    expect(trains).toEqual([{ ...journey(), heardAtMs: NOW_MS }]);
  });

  test('also when it cannot even be dialled, or answers too late', async () => {
    await list(answering(journey()), NOW_MS);
    for (const client of [new PhtError('unreachable', 'no line'), failing('timed-out')])
      expect((await list(client, NOW_MS)).status).toBe(5);
  });

  test('what a watch or a cancellation heard since is newer, and the oldest word is the time that is told', async () => {
    await list(answering(journey(), journey({ trainId: OTHER, title: 'Other' })), NOW_MS);
    createHeardJourneys(home.dir).keep(journey({ state: 'cancelled' }), NOW_MS + HOUR_MS);
    const { trains, asOfMs } = parsed(await list(AWAY, NOW_MS + DAY_MS, { json: true }));
    expect(trains.map(({ trainId: id, state, heardAtMs }) => [id, state, heardAtMs])).toEqual([
      [trainId, 'cancelled', NOW_MS + HOUR_MS],
      [OTHER, 'under-way', NOW_MS],
    ]);
    expect(asOfMs).toBe(NOW_MS);
  });

  test('trains that it never spoke of are listed as this home knows them', async () => {
    const packed = await list(AWAY, NOW_MS, { json: true });
    const unheard = { trainId, title: 'Hello', stops: [], submittedAtMs: null, heardAtMs: null };
    expect(parsed(packed)).toMatchObject({ trains: [{ ...unheard, state: 'packed' }], asOfMs: null });
    expect(packed.err).toContain('it has told this home of no train yet');
    home.trains.mark(trainId, { idempotencyKey: '0123456789', departed: true });
    expect(parsed(await list(AWAY, NOW_MS, { json: true })).trains).toEqual([
      { ...unheard, state: 'submitted' },
    ]);
  });

  test('what has arrived here has arrived, whatever it said before', async () => {
    await list(answering(journey()), NOW_MS);
    const arrival = { title: 'Hello', state: 'arrived', minStations: 1, complete: true } as const;
    home.arrivals.keep({ schema: 'pht-arrival/v1', trainId, ...arrival, stations: [] });
    expect(parsed(await list(AWAY, NOW_MS, { json: true })).trains).toMatchObject([
      { state: 'arrived', stops: [] },
    ]);
    expect((await list(AWAY, NOW_MS)).out).not.toContain('waits for');
    writeFileSync(join(home.dir, 'trains', trainId, 'arrival.json'), 'junk');
    expect(parsed(await list(AWAY, NOW_MS, { json: true })).trains).toMatchObject([{ state: 'under-way' }]);
  });

  test('a damaged file of what it said hides no train', async () => {
    writeFileSync(join(home.dir, 'journeys.json'), '{"v":1');
    const said = await list(AWAY, NOW_MS);
    expect(said.err).toContain('what the dispatcher said last cannot be read');
    expect(said.out).toContain(`${trainId}  packed`);
    await list(answering(journey()), NOW_MS);
    expect(readFileSync(join(home.dir, 'journeys.json'), 'utf8')).toContain('Survival by arm');
  });
});

test.each<ErrorCode>(['forbidden', 'certificate.invalid', 'internal', 'input.malformed'])(
  'an answer that is a refusal is one: %s',
  async (code) => {
    await list(answering(journey()), NOW_MS);
    await expect(list(failing(code), NOW_MS)).rejects.toMatchObject({ code });
  },
);

test('a person who stops it sees no old list', async () => {
  const signal = AbortSignal.abort(new PhtError('cancelled', 'stopped'));
  await expect(list(AWAY, NOW_MS, { signal })).rejects.toMatchObject({ code: 'cancelled' });
  const undialled = new PhtError('unreachable', 'no line');
  await expect(list(undialled, NOW_MS, { signal })).rejects.toBe(undialled);
});

test('a home that cannot be written is listed all the same', async () => {
  const told = home.told.length;
  const dir = home.dir;
  home.dir = join(dir, 'nowhere');
  const said = await list(answering(journey()), NOW_MS);
  home.dir = dir;
  expect(said.status).toBe(0);
  expect(said.out).toContain('under-way');
  expect(home.told.slice(told).join()).toContain('is not kept for later');
});
