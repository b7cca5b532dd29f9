import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { LedgerService } from '../../src/gen/pht/v1/ledger_pb.ts';
import type { PulledOrder, TrackService } from '../../src/gen/pht/v1/tracks_pb.ts';
import { type Agent, createAgent } from '../../src/journey/station/agent.ts';
import { createRejects } from '../../src/journey/station/rejects.ts';
import { createVisits, type Visits } from '../../src/journey/station/visits.ts';
import { encodeEnvelope } from '../../src/model/dsse.ts';
import { PhtError } from '../../src/model/error.ts';
import { signStatement } from '../../src/model/statement.ts';
import type { Client } from '../../src/ports/wire.ts';
import { type FakeNetwork, makeNetwork, memberIn } from '../fakes/network.ts';
import { ASK, makeStation, type Process, type Rig } from '../fakes/station.ts';
import { forge, makeOrder, makeTrain } from '../fakes/trains.ts';

/** The agent's life on a track that a test holds in its hand. */

const NOW = Date.UTC(2026, 5, 1, 12);

let fake: FakeNetwork;
let rig: Rig;
let station: Process;
let stop: AbortController;
let living: Promise<void>;
let track: FakeTrack;

type FakeTrack = {
  orders: { order: Uint8Array; manifest: Uint8Array }[];
  cancellations: Uint8Array[];
  reports: string[];
  pulls: number;
  announced: number;
  wakeUp(): void;
  fail: Partial<Record<'announce' | 'report' | 'wake', PhtError>>;
};

beforeAll(async () => {
  fake = await makeNetwork({ nowMs: NOW });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
});
afterEach(async () => {
  stop.abort(new Error('the station is stopping'));
  await living;
  rig.close();
});

function clients(): { trackClient: Client<typeof TrackService>; ledgerClient: Client<typeof LedgerService> } {
  let ring: () => void = () => undefined;
  let woken = 0;
  track = {
    orders: [],
    cancellations: [],
    reports: [],
    pulls: 0,
    announced: 0,
    wakeUp: () => {
      woken++;
      ring();
    },
    fail: {},
  };
  const trackClient = {
    announce: async () => {
      if (track.fail.announce !== undefined) throw track.fail.announce;
      track.announced++;
      return { unknownHopIds: [], networkVersion: 1 };
    },
    pull: async () => {
      track.pulls++;
      return { orders: track.orders as PulledOrder[], cancellations: track.cancellations, inquiries: [] };
    },
    lease: async () => ({ ttlMs: 30_000 }),
    report: async (request: { body?: { case?: string; value?: unknown } }) => {
      if (track.fail.report !== undefined) throw track.fail.report;
      track.reports.push(request.body?.case === 'receipt' ? 'receipt' : String(request.body?.value));
      return {};
    },
    wake: async function* (_request: unknown, { signal }: { signal: AbortSignal }) {
      while (!signal.aborted) {
        if (woken > 0) {
          woken--;
          if (track.fail.wake !== undefined) throw track.fail.wake;
          yield {};
          continue;
        }
        await new Promise<void>((resolve) => {
          ring = resolve;
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
      }
    },
  } as never as Client<typeof TrackService>;
  let published = 0n;
  const ledgerClient = {
    publish: async (request: { firstIndex: bigint; entries: Uint8Array[] }) => {
      published += BigInt(request.entries.length);
      return { size: published };
    },
  } as never as Client<typeof LedgerService>;
  return { trackClient, ledgerClient };
}

let visits: Visits;
/** What the agent asks of whoever follows the network file. */
let following: { asked: number; heard: () => void; want: () => void; behind: () => void; look: () => void };

function live(): Agent {
  station = rig.start();
  stop = new AbortController();
  const { trackClient, ledgerClient } = clients();
  const { hops, outbox, log, ledgerRows, witness } = station.store;
  const idle = (): void => undefined;
  following = {
    asked: 0,
    heard: idle,
    look: idle,
    want: () => following.asked++,
    behind: () => following.asked++,
  };
  visits = createVisits(station.station, { hops, outbox, steps: station.steps, runsAtOnceMax: 1 });
  const agent = createAgent(station.station, {
    track: trackClient,
    ledgerClient,
    hops,
    outbox,
    log,
    ledger: station.ledger,
    witness,
    witnessing: station.witnessing,
    listenAsWitness: (signal) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true })),
    ledgerRows,
    datasets: rig.datasets,
    executor: rig.executor,
    visits,
    rejects: createRejects(station.station, log),
    network: { ...following, keep: async () => undefined },
    replies: { take: () => undefined, answer: async () => null, settle: async () => undefined },
    software: 'signalbox test',
    pause: async () => new Promise((resolve) => setTimeout(resolve, 5)),
  });
  living = agent.run(stop.signal);
  return agent;
}

function pulled(title = 'Hello', attempt = 1) {
  const train = makeTrain(fake, rig.image.image, NOW, { title });
  return {
    ...makeOrder(fake, train.digest, NOW, { attempt, epoch: attempt }),
    manifest: train.manifest,
    train,
  };
}

const states = (): string[] => station.store.hops.list({ newest: 50 }).map(({ state }) => state);

/** The test's own nudge stands in for the store's. */
async function until(agent: Agent, what: () => boolean): Promise<void> {
  await expect
    .poll(
      () => {
        agent.nudge();
        return what();
      },
      { timeout: 10_000, interval: 10 },
    )
    .toBe(true);
}

test('orders are pulled, run, and their receipts delivered', async () => {
  const agent = live();
  track.orders = [pulled()];
  track.wakeUp();
  await until(agent, () => states().includes('delivered'));
  expect(track.reports.at(-1)).toBe('receipt');
  expect(agent.connected()).toBe(true);
});

test('nothing runs before what a crash left in the engine is gone, and then nothing is swept again', async () => {
  let reachable = false;
  const { sweep, probe } = rig.executor;
  let probes = 0;
  rig.executor.sweep = async () => {
    if (!reachable) throw new PhtError('engine.unreachable', 'no engine');
    return sweep();
  };
  rig.executor.probe = async () => {
    if (probes++ === 0) throw new PhtError('engine.unreachable', 'no engine again');
    return probe();
  };
  const agent = live();
  track.orders = [pulled()];
  track.wakeUp();
  await until(agent, () => states().includes('cleared'));
  expect(rig.executor.runs).toEqual([]);
  reachable = true;
  await until(agent, () => states().includes('delivered'));
  expect(rig.executor.sweeps).toBe(1);
});

test('a cleared train that waits for the engine says what for, until it goes on', async () => {
  const sound = rig.executor.report;
  rig.executor.report = { ...sound, failures: [{ name: 'network', text: 'reached a network' }] };
  const agent = live();
  track.orders = [pulled()];
  track.wakeUp();
  await until(agent, () => states().includes('cleared'));
  const [hop] = station.store.hops.open();
  await until(agent, () => visits.waitsFor(hop?.hopId ?? '').includes('reached a network'));
  rig.executor.report = sound;
  visits.start(hop?.hopId ?? '');
  await until(agent, () => states().includes('delivered'));
  expect(visits.waitsFor(hop?.hopId ?? '')).toBe('');
});

test('a dispatcher that offers the same or unsound orders over and over is not asked in circles', async () => {
  const agent = live();
  const bad = pulled('bad');
  const noise = { order: forge(bad.envelope, '"epoch":1', '"epoch":2'), manifest: bad.manifest };
  track.orders = [pulled(), ...Array.from({ length: 15 }, () => noise)];
  const before = track.pulls;
  track.wakeUp();
  await until(agent, () => states().includes('delivered'));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(track.pulls - before).toBeLessThanOrEqual(4);
});

test('a receipt survives a dispatcher that cannot take it now, and is dropped only when it never will', async () => {
  const agent = live();
  track.fail.report = new PhtError('forbidden', 'not known here yet');
  track.orders = [pulled()];
  track.wakeUp();
  await until(agent, () => states().includes('sealed'));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(states()).toEqual(['sealed']);
  track.fail.report = new PhtError('receipt.invalid', 'never');
  await until(agent, () => states().includes('delivered'));
  expect(track.reports).toEqual([]);
});

test('a lost track is dialled again, and everything announced anew', async () => {
  const agent = live();
  await until(agent, () => track.announced === 1);
  const lost = new PhtError('unreachable', 'the connection was lost');
  track.fail = { announce: lost, wake: lost };
  track.wakeUp();
  await until(agent, () => !agent.connected());
  expect(rig.notes.at(-1)).toMatchObject({
    text: 'no track to the dispatcher',
    detail: { code: 'unreachable' },
  });
  // It may last a weekend: one line is enough.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const lines = () => rig.notes.filter(({ text }) => text === 'no track to the dispatcher');
  expect(lines()).toHaveLength(1);
  track.fail = {};
  await until(agent, () => agent.connected() && track.announced === 2);
  track.fail = { announce: lost, wake: lost };
  track.wakeUp();
  await until(agent, () => !agent.connected());
  expect(lines()).toHaveLength(2);
});

describe('cancelling', () => {
  function cancellation(digest: ReturnType<typeof pulled>['train']['digest'], by = 'rosa'): Uint8Array {
    const predicate = {
      networkId: fake.network.id,
      networkVersion: 1,
      issuer: by,
      reason: '',
      issuedAtMs: NOW,
    };
    const subject = { name: 'manifest', digest };
    return encodeEnvelope(
      signStatement('cancellation', subject, predicate, memberIn(fake, by).signer).envelope,
    );
  }

  const outcomes = (): string[] =>
    station.store.hops.list({ newest: 9 }).map(({ sealed }) => sealed?.outcome ?? 'open');

  test('ends a hop that waits for a person', async () => {
    rig.policy(ASK);
    const agent = live();
    const one = pulled();
    track.orders = [one];
    track.wakeUp();
    await until(agent, () => states().includes('awaiting-clearance'));
    track.cancellations = [Buffer.from('noise'), cancellation(one.train.digest)];
    track.wakeUp();
    await until(agent, () => states().includes('delivered'));
    expect(outcomes()).toEqual(['cancelled']);
  });

  test('ends one that runs and one that waits for its turn, and leaves others alone', async () => {
    rig.executor.outcome = (_spec, signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve({ ended: 'aborted', wallMs: 1, detail: '' }));
      });
    const agent = live();
    const [first, second, third] = [pulled('first'), pulled('second'), pulled('third')];
    track.orders = [first, second, third];
    track.wakeUp();
    await until(agent, () => rig.executor.runs.length === 1);
    track.cancellations = [cancellation(second.train.digest), cancellation(third.train.digest, 'dispatcher')];
    track.wakeUp();
    await until(agent, () => outcomes().includes('cancelled'));
    expect(outcomes().toSorted()).toEqual(['cancelled', 'open', 'open']);
    track.cancellations = [cancellation(first.train.digest)];
    track.wakeUp();
    await until(agent, () => outcomes().filter((outcome) => outcome === 'cancelled').length === 2);
    await until(agent, () => rig.executor.runs.length === 2);
  });
});
