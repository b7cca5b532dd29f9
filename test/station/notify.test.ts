import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createCommandNotifier } from '../../src/adapters/notify/command.ts';
import { createNotifying, isDigestDue, type NotifyPlan } from '../../src/journey/station/notify.ts';
import type { HopId, TrainId } from '../../src/model/id.ts';
import type { Notices, Notifier, NotifyEnd } from '../../src/ports/notify.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { ASK, makeStation, PERMIT, type Process, type Rig } from '../fakes/station.ts';
import { makeOrder, makeTrain } from '../fakes/trains.ts';

/** People are told what waits for them: each once, whatever crashes, and no hop ever waits for it. */

const NOW = new Date(2027, 2, 10, 12, 0).getTime();
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const PLAN: NotifyPlan = { when: 'at-once', at: '08:00', on: ['ask'], remindAfterDays: 3 };

let fake: FakeNetwork;
let rig: Rig;
let station: Process;
let nonce = 0;
beforeAll(async () => {
  fake = await makeNetwork({ stations: ['north'], researchers: ['rosa'], nowMs: NOW });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  rig.policy(ASK);
  station = rig.start();
});
afterEach(() => rig.close());

async function train(): Promise<{ hopId: string; trainId: string }> {
  const nowMs = ++rig.clock.ms;
  const made = makeTrain(fake, rig.image.image, nowMs, {
    nonce: String(nonce++).padStart(32, '0'),
    expiresMs: nowMs + 30 * DAY_MS,
  });
  const expiresMs = nowMs + 29 * DAY_MS;
  const hopId = station.accept({
    ...makeOrder(fake, made.digest, nowMs, { expiresMs }),
    manifest: made.manifest,
  });
  if (hopId === null) throw new Error('the order was not taken on');
  await station.visit(hopId);
  return { hopId, trainId: station.store.hops.find(hopId)?.trainId ?? '' };
}

/** Runs until nothing more is due, and is stopped then. */
async function notified(
  plan: Partial<NotifyPlan> = {},
  end: NotifyEnd = { code: 0, why: '' },
): Promise<string[]> {
  const runs: string[] = [];
  const notifier: Notifier = {
    run: async (lines) => {
      runs.push(lines);
      return end;
    },
  };
  const notifying = createNotifying(
    station.station,
    { notices: station.store.notices, notifier },
    { ...PLAN, ...plan },
  );
  const stop = new AbortController();
  const running = notifying.run(stop.signal);
  await new Promise((resolve) => setTimeout(resolve, 20));
  stop.abort();
  await running;
  return runs;
}

describe('at once', () => {
  test('names train and verdict, and nothing of who, what or which data', async () => {
    const [one, two] = [await train(), await train()];
    expect(await notified()).toEqual([`${one.trainId} ask\n${two.trainId} ask\n`]);
    expect(await notified()).toEqual([]);
  });

  test('says nothing of what was decided meanwhile, and of other verdicts only where that is wanted', async () => {
    const asked = await train();
    rig.policy(PERMIT);
    station = rig.start();
    // The case is decided anew by the new policy.
    await station.visit(asked.hopId);
    expect(await notified()).toEqual([]);
    const permitted = await train();
    expect(await notified()).toEqual([]);
    rig.policy('// nothing');
    station = rig.start();
    const denied = await train();
    // What nobody wanted to hear of when it came is not brought up later.
    expect(await notified({ on: ['permit', 'deny'] })).toEqual([`${denied.trainId} deny\n`]);
    expect(denied.trainId).not.toBe(permitted.trainId);
  });

  test('reminds of what still waits, once in each period, as long as it waits', async () => {
    const { hopId, trainId } = await train();
    expect(await notified()).toHaveLength(1);
    rig.clock.ms += 2 * DAY_MS;
    expect(await notified()).toEqual([]);
    rig.clock.ms += DAY_MS;
    expect(await notified()).toEqual([`${trainId} ask\n`]);
    expect(await notified()).toEqual([]);
    rig.clock.ms += 3 * DAY_MS;
    rig.policy(PERMIT);
    station = rig.start();
    await station.visit(hopId);
    expect(await notified()).toEqual([]);
  });

  test('names a train again when it waits for a second person', async () => {
    const { hopId, trainId } = await train();
    expect(await notified()).toEqual([`${trainId} ask\n`]);
    const hop = station.store.hops.find(hopId);
    if (hop === null) throw new Error('there is no such hop');
    const second = { nowMs: rig.clock.ms, entries: [], progress: 'awaiting-second-clearance' };
    station.store.hops.move(hop, 'awaiting-clearance', second);
    expect(await notified()).toEqual([`${trainId} ask\n`]);
    expect(await notified()).toEqual([]);
  });

  test('tries again what failed, less and less often, and gives up with a word in the log', async () => {
    const { trainId } = await train();
    const stop = new AbortController();
    const runs: number[] = [];
    const notifier: Notifier = {
      run: async () => {
        runs.push(Math.floor((rig.clock.ms - NOW) / 60_000));
        return { code: 1, why: '' };
      },
    };
    const ports = { notices: station.store.notices, notifier };
    const notifying = createNotifying(station.station, ports, PLAN, 1);
    const running = notifying.run(stop.signal);
    await vi.waitFor(() => expect(runs).toHaveLength(1));
    for (let minute = 1; minute <= 60; minute++) {
      rig.clock.ms += 60_000;
      const due = [1, 3, 7, 15].filter((each) => each <= minute).length + 1;
      await vi.waitFor(() => expect(runs).toHaveLength(due), { timeout: 5000, interval: 1 });
      // Long enough for a run that is not due.
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect(runs).toHaveLength(due);
    }
    await new Promise((resolve) => setTimeout(resolve, 30));
    stop.abort();
    await running;
    expect(runs).toEqual([0, 1, 3, 7, 15]);
    const noted = rig.notes.map(({ text }) => text);
    expect(noted.filter((text) => text.startsWith('the notify command failed'))).toHaveLength(5);
    expect(noted.at(-1)).toContain('given up');
    expect(JSON.stringify(rig.notes)).not.toContain(trainId);
    expect(rig.notes.find(({ text }) => text.includes('failed'))?.detail).toMatchObject({
      exit: 1,
      lines: 1,
    });
  });

  test('names a train once more that has come to wait for somebody else while people were being told', async () => {
    const { hopId, trainId } = await train();
    const runs: string[] = [];
    const notifier: Notifier = {
      run: async (lines) => {
        runs.push(lines);
        const hop = station.store.hops.find(hopId);
        const second = { nowMs: rig.clock.ms, entries: [], progress: 'awaiting-second-clearance' };
        if (hop !== null && runs.length === 1) station.store.hops.move(hop, 'awaiting-clearance', second);
        return { code: 0, why: '' };
      },
    };
    const ports = { notices: station.store.notices, notifier };
    const stop = new AbortController();
    const running = createNotifying(station.station, ports, PLAN).run(stop.signal);
    await vi.waitFor(() => expect(runs).toHaveLength(2));
    stop.abort();
    await running;
    expect(runs).toEqual([`${trainId} ask\n`, `${trainId} ask\n`]);
    expect(await notified()).toEqual([]);
  });

  test.each(['at-once', 'daily'] as const)('a thousand at a time, until all are told: %s', async (when) => {
    const trainId = 'trn_0123456789abcdef01234567' as TrainId;
    let left = Array.from({ length: 2500 }, (_, at) => ({
      ...{ hopId: `hop_${at}` as HopId, trainId, verdict: 'ask' as const, version: 1 },
    }));
    let digests = 0;
    const notices: Notices = {
      waiting: (_on, _before, max) => left.slice(0, max),
      told: (batch) => {
        left = left.slice(batch.length);
      },
      settle: () => undefined,
      lastDigestMs: () => (digests === 0 ? 0 : rig.clock.ms),
      digestMade: () => void digests++,
    };
    const runs: number[] = [];
    const notifier: Notifier = {
      run: async (lines) => {
        runs.push(lines.split('\n').length - 1);
        return { code: 0, why: '' };
      },
    };
    const stop = new AbortController();
    const plan = { ...PLAN, when };
    const running = createNotifying(station.station, { notices, notifier }, plan).run(stop.signal);
    await vi.waitFor(() => expect(left).toEqual([]));
    stop.abort();
    await running;
    expect(runs).toEqual([1000, 1000, 500]);
    expect(digests).toBe(when === 'daily' ? 1 : 0);
  });

  test('a command that hangs or is missing holds no hop back, and never runs twice at once', async () => {
    let running = 0;
    let most = 0;
    const notifier: Notifier = {
      run: (_lines, signal) =>
        new Promise((resolve) => {
          most = Math.max(most, ++running);
          signal.addEventListener('abort', () => {
            running -= 1;
            resolve({ code: null, why: '' });
          });
        }),
    };
    const notifying = createNotifying(station.station, { notices: station.store.notices, notifier }, PLAN);
    const stop = new AbortController();
    const done = notifying.run(stop.signal);
    const waits = await train();
    notifying.ring();
    await vi.waitFor(() => expect(running).toBe(1));
    rig.policy(PERMIT);
    const { hopId } = await train();
    notifying.ring();
    expect(station.store.hops.find(hopId)?.state).toBe('sealed');
    stop.abort();
    await done;
    expect(most).toBe(1);
    // It was not told to its end, so it is told again.
    expect(await notified()).toEqual([`${waits.trainId} ask\n`]);
  });

  test('a store that cannot be used ends nothing', async () => {
    const notices = {
      ...station.store.notices,
      waiting: () => {
        throw new Error('disk full');
      },
    };
    const stop = new AbortController();
    const notifier: Notifier = { run: async () => ({ code: 0, why: '' }) };
    const running = createNotifying(station.station, { notices, notifier }, PLAN, 1).run(stop.signal);
    await vi.waitFor(() => expect(rig.notes.map(({ text }) => text)).toContain('nobody could be notified'));
    stop.abort();
    await running;
  });
});

describe('once a day', () => {
  const daily = { when: 'daily' } as const;

  test.each([
    ['before the hour', '08:00', [2027, 2, 9, 8, 0], [2027, 2, 10, 7, 59], false],
    ['at the hour', '08:00', [2027, 2, 9, 8, 0], [2027, 2, 10, 8, 0], true],
    ['once', '08:00', [2027, 2, 10, 8, 0], [2027, 2, 10, 23, 59], false],
    ['after the station was down at the hour', '08:00', [2027, 2, 9, 8, 0], [2027, 2, 10, 17, 0], true],
    ['after a week', '23:59', [2027, 2, 1, 8, 0], [2027, 2, 10, 0, 0], true],
    ['over the change to summer time', '02:30', [2027, 2, 27, 2, 30], [2027, 2, 28, 4, 0], true],
    ['at first', '08:00', [1970, 0, 2], [2027, 2, 10, 12, 0], true],
  ] as [string, string, number[], number[], boolean][])('%s', (_, at, last, now, due) => {
    const ms = ([year = 0, month = 0, ...rest]: number[]) => new Date(year, month, ...rest).getTime();
    expect(isDigestDue(at, ms(last), ms(now))).toBe(due);
  });

  test('one digest of what came, at the hour, and none without anything', async () => {
    expect(await notified(daily)).toEqual([]);
    const [one, two] = [await train(), await train()];
    expect(await notified(daily)).toEqual([]);
    rig.clock.ms = new Date(2027, 2, 11, 8, 0).getTime();
    expect(await notified(daily)).toEqual([`${one.trainId} ask\n${two.trainId} ask\n`]);
    const three = await train();
    expect(await notified(daily)).toEqual([]);
    rig.clock.ms += DAY_MS;
    expect(await notified(daily)).toEqual([`${three.trainId} ask\n`]);
    // The third digest after the first names what it named again.
    rig.clock.ms += 2 * DAY_MS;
    expect(await notified(daily)).toEqual([`${one.trainId} ask\n${two.trainId} ask\n`]);
  });

  test('a start after days catches up with one digest', async () => {
    expect(await notified(daily)).toEqual([]);
    const { trainId } = await train();
    rig.clock.ms += 9 * DAY_MS;
    station = rig.start();
    expect(await notified(daily)).toEqual([`${trainId} ask\n`]);
    station = rig.start();
    expect(await notified(daily)).toEqual([]);
  });
});

test('without notify nothing is saved up for the day when somebody configures it', async () => {
  await train();
  station.store.notices.settle([], rig.clock.ms);
  expect(await notified()).toEqual([]);
});

test('kill -9 in the middle of telling loses nothing and repeats at most once', async () => {
  const { trainId } = await train();
  const dir = mkdtempSync(join(tmpdir(), 'notify-'));
  try {
    const path = join(dir, 'tell');
    writeFileSync(path, `#!/bin/sh\ncat >> ${dir}/told\nsleep "$1"\n`);
    chmodSync(path, 0o755);
    station.stop();
    const program = fileURLToPath(new URL('notify-process.ts', import.meta.url));
    const child = spawn(
      process.execPath,
      [program, join(rig.dir, 'state.db'), String(rig.clock.ms), path, '30'],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    await vi.waitFor(() => expect(existsSync(join(dir, 'told'))).toBe(true), { timeout: 15_000 });
    await vi.waitFor(() => expect(readFileSync(join(dir, 'told'), 'utf8')).toBe(`${trainId} ask\n`));
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('close', resolve));
    station = rig.start();
    const notifier = createCommandNotifier([path, '0']);
    const notifying = createNotifying(station.station, { notices: station.store.notices, notifier }, PLAN);
    const stop = new AbortController();
    const running = notifying.run(stop.signal);
    const told = (): string => readFileSync(join(dir, 'told'), 'utf8');
    await vi.waitFor(() => expect(told()).toBe(`${trainId} ask\n`.repeat(2)), { timeout: 10_000 });
    await vi.waitFor(() => expect(station.store.notices.waiting(['ask'], 0, 10)).toEqual([]));
    notifying.ring();
    await new Promise((resolve) => setTimeout(resolve, 100));
    stop.abort();
    await running;
    expect(told()).toBe(`${trainId} ask\n`.repeat(2));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}, 60_000);
