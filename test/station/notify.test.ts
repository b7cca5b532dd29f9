import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCommandNotifier } from '../../src/adapters/notify/command.ts';
import { composeNotifying, notifyingWhile } from '../../src/cli/station-notify.ts';
import { createNotifying, isDigestDue, type NotifyPlan } from '../../src/journey/station/notify.ts';
import type { HopId, TrainId } from '../../src/model/id.ts';
import type { Notices, Notifier, NotifyEnd } from '../../src/ports/notify.ts';
import { ASK_TWO, approved } from '../fakes/approvals.ts';
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
  fake = await makeNetwork({ admins: { nora: 'north' }, researchers: ['rosa'], nowMs: NOW });
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

  test('names a train once that waits on: for a second person, under an edited policy, after a restart', async () => {
    rig.policy(ASK_TWO);
    const { hopId, trainId } = await train();
    expect(await notified()).toEqual([`${trainId} ask\n`]);
    await approved(rig, station, hopId);
    await station.visit(hopId);
    expect(station.store.hops.find(hopId)?.notes.approvals).toHaveLength(1);
    expect(await notified()).toEqual([]);
    rig.policy(`${ASK}\n// edited`);
    await station.visit(hopId);
    expect(await notified()).toEqual([]);
    station = rig.start();
    rig.policy(ASK_TWO);
    await station.visit(hopId);
    expect(station.entries().filter(({ type }) => type === 'policy.decided')).toHaveLength(3);
    expect(await notified()).toEqual([]);
    rig.clock.ms += 3 * DAY_MS;
    expect(await notified()).toEqual([`${trainId} ask\n`]);
  });

  test('names each verdict of a train once, and none that was another before anybody heard of it', async () => {
    const on = ['ask', 'permit', 'deny'] as const;
    const { hopId, trainId } = await train();
    expect(await notified({ on })).toEqual([`${trainId} ask\n`]);
    const { hops } = station.store;
    const decided = (verdict: 'permit' | 'ask') => {
      const hop = hops.find(hopId);
      if (hop === null) throw new Error('there is no such hop');
      hops.move(hop, 'decided', { nowMs: rig.clock.ms, notes: { verdict }, entries: [] });
    };
    decided('permit');
    decided('ask');
    await station.visit(hopId);
    expect(station.store.hops.find(hopId)?.state).toBe('awaiting-clearance');
    expect(await notified({ on })).toEqual([]);
    rig.policy('// nothing');
    await station.visit(hopId);
    expect(await notified({ on })).toEqual([`${trainId} deny\n`]);
    expect(await notified({ on })).toEqual([]);
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
    await expect.poll(() => runs).toHaveLength(1);
    for (let minute = 1; minute <= 60; minute++) {
      rig.clock.ms += 60_000;
      const due = [1, 3, 7, 15].filter((each) => each <= minute).length + 1;
      await expect.poll(() => runs, { interval: 1 }).toHaveLength(due);
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

  test.each(['at-once', 'daily'] as const)('a thousand at a time, until all are told: %s', async (when) => {
    const trainId = 'trn_0123456789abcdef01234567' as TrainId;
    let left = Array.from({ length: 2500 }, (_, at) => ({
      ...{ hopId: `hop_${at}` as HopId, trainId, verdict: 'ask' as const },
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
    await expect.poll(() => left).toEqual([]);
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
    await expect.poll(() => running).toBe(1);
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
    await expect.poll(() => rig.notes.map(({ text }) => text)).toContain('nobody could be notified');
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

test('a digest a day through the real command, by the configuration, over restarts', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'notify-'));
  try {
    const path = join(dir, 'tell');
    // Each run is one file, named by its number; so a run without lines would show.
    writeFileSync(path, `#!/bin/sh\ncat > "$1/$(ls "$1" | wc -l)"\n`);
    chmodSync(path, 0o755);
    const config: Parameters<typeof composeNotifying>[0] = {
      command: [path, dir],
      ...{ when: 'daily', at: '08:00', on: ['ask'], remindAfterDays: 3 },
    };
    const digests = (): string[] =>
      readdirSync(dir)
        .filter((name) => name !== 'tell')
        .sort()
        .map((name) => readFileSync(join(dir, name), 'utf8'));
    /** A process of the station's that looks once, and again at each ring. */
    const during = async (at: number[], work: (ring: () => void) => Promise<void>): Promise<void> => {
      const [year = 0, month = 0, ...rest] = at;
      rig.clock.ms = new Date(year, month, ...rest).getTime();
      station = rig.start();
      const notifying = composeNotifying(config, station.station, station.store.notices);
      await notifyingWhile(() => work(notifying.ring), notifying, new AbortController().signal);
    };
    const pause = () => new Promise((resolve) => setTimeout(resolve, 60));

    // The digest of the first day, without anything in it, is over.
    await during([2027, 2, 10, 12, 0], async () => void (await pause()));
    const [one, two] = [await train(), await train()];
    await during([2027, 2, 11, 7, 59], async (ring) => {
      await pause();
      expect(digests()).toEqual([]);
      rig.clock.ms += 60_000;
      ring();
      await expect.poll(digests).toEqual([`${one.trainId} ask\n${two.trainId} ask\n`]);
      ring();
      await pause();
      expect(digests()).toHaveLength(1);
      await expect.poll(() => station.store.notices.lastDigestMs()).toBe(rig.clock.ms);
    });
    const three = await train();
    await during([2027, 2, 11, 23, 59], async () => void (await pause()));
    expect(digests()).toHaveLength(1);
    await during([2027, 2, 12, 9, 30], async () => {
      await expect.poll(() => digests().slice(1)).toEqual([`${three.trainId} ask\n`]);
      await expect.poll(() => station.store.notices.lastDigestMs()).toBe(rig.clock.ms);
    });
    await during([2027, 2, 13, 8, 0], async () => void (await pause()));
    expect(digests()).toHaveLength(2);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
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
    await expect.poll(() => existsSync(join(dir, 'told'))).toBe(true);
    await expect.poll(() => readFileSync(join(dir, 'told'), 'utf8')).toBe(`${trainId} ask\n`);
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('close', resolve));
    station = rig.start();
    const notifier = createCommandNotifier([path, '0']);
    const notifying = createNotifying(station.station, { notices: station.store.notices, notifier }, PLAN);
    const stop = new AbortController();
    const running = notifying.run(stop.signal);
    const told = (): string => readFileSync(join(dir, 'told'), 'utf8');
    await expect.poll(told).toBe(`${trainId} ask\n`.repeat(2));
    await expect.poll(() => station.store.notices.waiting(['ask'], 0, 10)).toEqual([]);
    notifying.ring();
    await new Promise((resolve) => setTimeout(resolve, 100));
    stop.abort();
    await running;
    expect(told()).toBe(`${trainId} ask\n`.repeat(2));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}, 60_000);
