import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { openCase, signClearance } from '../../src/journey/admin/case.ts';
import { PhtError } from '../../src/model/error.ts';
import { HOP_MOVES, type HopState, isSealed } from '../../src/model/hop.ts';
import { Crash } from '../fakes/crash.ts';
import { HELLO_RESULT, output } from '../fakes/executor.ts';
import { type FakeNetwork, makeNetwork, memberIn } from '../fakes/network.ts';
import { ASK, makeStation, PERMIT, type Process, type Rig, receiptsOf } from '../fakes/station.ts';
import { makeOrder, makeTrain } from '../fakes/trains.ts';

/** Whatever comes in whatever order, and wherever the process dies meanwhile: the promises hold. */

const NOW = Date.UTC(2026, 5, 1, 12);
const ATTEMPTS = 3;
const CONTEXT = {} as never;

let fake: FakeNetwork;
beforeAll(async () => {
  fake = await makeNetwork({ admins: { nora: 'north' }, nowMs: NOW });
});

type Command =
  | { do: 'accept' | 'visit' | 'cancel' | 'approve' | 'reject'; attempt: number }
  | { do: 'visit-all' | 'post' | 'fail-runs' | 'mend-runs' | 'permit' | 'ask' | 'change-data' }
  | { do: 'crash'; at: number; when: 'before' | 'after' }
  | { do: 'wait'; minutes: number };

const attempt = fc.integer({ min: 1, max: ATTEMPTS });
const commands = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constantFrom('accept' as const, 'visit' as const), attempt }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constantFrom('cancel' as const, 'approve' as const, 'reject' as const),
        attempt,
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constantFrom(
          'visit-all' as const,
          'post' as const,
          'fail-runs' as const,
          'mend-runs' as const,
          'permit' as const,
          'ask' as const,
          'change-data' as const,
        ),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('crash' as const),
        at: fc.integer({ min: 1, max: 40 }),
        when: fc.constantFrom('before' as const, 'after' as const),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('wait' as const), minutes: fc.integer({ min: -10, max: 600 }) }),
    },
  ),
  { minLength: 1, maxLength: 25 },
);

type Life = {
  rig: Rig;
  station: Process;
  orders: Parameters<Process['accept']>[0][];
  hops: Map<number, string>;
  moves: string[];
  data: number;
};

/** Every durable change of a state, as the database has it before and after. */
function watched(life: Life, station: Process): Process {
  const { hops } = station.store;
  for (const name of ['move', 'seal'] as const) {
    const real = hops[name] as (...parameters: unknown[]) => { state: HopState; hopId: string };
    hops[name] = ((...parameters: [{ hopId: string }]) => {
      const before = hops.find(parameters[0].hopId)?.state;
      const moved = real(...parameters);
      life.moves.push(`${before} ${moved.state}`);
      return moved;
    }) as never;
  }
  return station;
}

async function decide(life: Life, hopId: string, verdict: 'approve' | 'reject'): Promise<void> {
  const { admin } = life.station;
  const { caseFile = new Uint8Array(), manifest = new Uint8Array() } = await admin.show(
    { $typeName: 'pht.v1.ShowRequest', hopId, config: false },
    CONTEXT,
  );
  const nowMs = life.rig.clock.ms;
  const opened = openCase({ caseFile, manifest }, { station: 'north', network: fake.network, nowMs });
  const nora = { id: 'nora', network: fake.network, signer: memberIn(fake, 'nora').signer, nowMs };
  const clearance = signClearance(opened, { verdict, reason: 'decided' }, nora);
  await admin.decide({ $typeName: 'pht.v1.DecideRequest', hopId, clearance }, CONTEXT);
}

async function step(life: Life, command: Command): Promise<void> {
  const { rig, station, hops } = life;
  const hopOf = (): string | undefined => ('attempt' in command ? hops.get(command.attempt) : undefined);
  switch (command.do) {
    case 'accept': {
      const pulled = life.orders[command.attempt - 1];
      const hopId = pulled === undefined ? null : station.accept(pulled);
      if (hopId !== null) hops.set(command.attempt, hopId);
      return;
    }
    case 'visit':
    case 'cancel': {
      const reason = new PhtError('cancelled', 'the researcher cancelled the train');
      const signal = command.do === 'cancel' ? AbortSignal.abort(reason) : new AbortController().signal;
      const hopId = hopOf();
      if (hopId !== undefined) await station.visit(hopId, signal);
      return;
    }
    case 'approve':
    case 'reject': {
      const hopId = hopOf();
      if (hopId !== undefined) await decide(life, hopId, command.do);
      return;
    }
    case 'visit-all':
      return void (await Promise.all([...hops.values()].map((hopId) => station.visit(hopId))));
    case 'post':
      return station.post();
    case 'permit':
    case 'ask':
      return rig.policy(command.do === 'permit' ? PERMIT : ASK);
    case 'change-data':
      return void rig.datasets.contents.set('cgd', `status\n${++life.data}\n`);
    case 'fail-runs':
      rig.executor.outcome = () => ({ ended: 'exit', wallMs: 1, detail: '1' });
      return;
    case 'mend-runs':
      rig.executor.outcome = () => output(HELLO_RESULT);
      return;
    case 'wait':
      rig.clock.ms += command.minutes * 60_000;
      return;
    case 'crash':
      life.station = watched(life, rig.start(command));
  }
}

/** What a person, a peer or a clock may be told is no fault; a process that died starts again. */
async function survive(life: Life, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    if (!(thrown instanceof PhtError) && !(thrown instanceof Crash) && !life.station.fragile.isDead())
      throw thrown;
  }
  if (life.station.fragile.isDead()) life.station = watched(life, life.rig.start());
}

/** The world settles down: time moves on, the engine works, nobody is asked any more. */
async function driveToEnd(life: Life): Promise<void> {
  life.station = watched(life, life.rig.start());
  life.rig.clock.ms = Math.max(life.rig.clock.ms, life.station.store.log.highestMs());
  await step(life, { do: 'mend-runs' });
  await step(life, { do: 'permit' });
  for (let at = 1; at <= ATTEMPTS; at++) await step(life, { do: 'accept', attempt: at });
  for (const hopId of life.hops.values()) {
    for (let look = 0; look < 3; look++) await life.station.visit(hopId);
  }
  await life.station.post();
}

test('at most one release, one receipt for every accepted order, moves from the table alone', async () => {
  const property = fc.asyncProperty(commands, async (list) => {
    const rig = makeStation(fake, NOW);
    const train = makeTrain(fake, rig.image.image, NOW);
    const orders = Array.from({ length: ATTEMPTS }, (_, at) => ({
      ...makeOrder(fake, train.digest, NOW, { attempt: at + 1, epoch: at + 1 }),
      manifest: train.manifest,
    }));
    const life: Life = { rig, station: rig.start(), orders, hops: new Map(), moves: [], data: 0 };
    watched(life, life.station);
    try {
      for (const command of list) await survive(life, () => step(life, command));
      await driveToEnd(life);
      check(life);
    } finally {
      rig.close();
    }
  });
  await fc.assert(property, { numRuns: 60, endOnFailure: false, interruptAfterTimeLimit: 120_000 });
}, 180_000);

function check({ rig, station, hops, moves }: Life): void {
  const entries = station.entries();
  const released = entries.filter(({ type }) => type === 'result.released');
  expect(released.length).toBeLessThanOrEqual(1);
  expect(hops.size).toBe(ATTEMPTS);
  for (const hopId of hops.values()) {
    const hop = station.store.hops.find(hopId);
    expect(hop !== null && isSealed(hop.state), `${hopId} has ended`).toBe(true);
    expect(entries.filter((entry) => entry.hopId === hopId && entry.type === 'receipt.issued')).toHaveLength(
      1,
    );
    expect(receiptsOf(rig, hopId)).toHaveLength(1);
  }
  expect(receiptsOf(rig).filter(({ outcome }) => outcome === 'released')).toHaveLength(released.length);
  for (const move of moves) {
    const [from, to] = move.split(' ') as [HopState, HopState];
    expect(HOP_MOVES[from], move).toContain(to);
  }
}
