import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PhtError } from '../../src/model/error.ts';
import { verifyExplanation } from '../../src/model/receipt.ts';
import type { Manifest } from '../../src/model/train.ts';
import { HELLO_RESULT, output } from '../fakes/executor.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { makeStation, openSealed, PERMIT, type Process, type Rig, receiptsOf } from '../fakes/station.ts';
import { makeOrder, makeTrain } from '../fakes/trains.ts';

/** How hops end that the station itself, its engine or its data bring to an end. */

const NOW = Date.UTC(2026, 5, 1, 12);
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

beforeAll(async () => {
  fake = await makeNetwork({ researchers: ['rosa', 'rita'], nowMs: NOW });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  station = rig.start();
});
afterEach(() => rig.close());

function ordered(overrides: Partial<Manifest> = {}): string {
  const train = makeTrain(fake, rig.image.image, NOW, overrides);
  const hopId = station.accept({ ...makeOrder(fake, train.digest, NOW), manifest: train.manifest });
  if (hopId === null) throw new Error('the order was not taken on');
  return hopId;
}

async function end(hopId: string): Promise<string | undefined> {
  await station.visit(hopId);
  await station.post();
  const [receipt] = receiptsOf(rig, hopId);
  return receipt === undefined ? undefined : `${receipt.outcome} ${receipt.code}`;
}

async function explanationOf(hopId: string) {
  const [receipt] = receiptsOf(rig, hopId);
  return verifyExplanation(await openSealed(rig, receipt?.jwe ?? new Uint8Array()), fake.network, 'north')
    .predicate;
}

describe('the policy', () => {
  test('denies, and says which clause was not met', async () => {
    rig.policy(`@id("small") permit (principal, action == Action::"Run", resource)
      when { context.train.memoryBytesMax <= 1 }
      when { context.train.pidsMax <= 1000 };`);
    const hopId = ordered();
    expect(await end(hopId)).toBe('refused policy.denied');
    const { reasons } = await explanationOf(hopId);
    expect(reasons.join('\n')).toContain('context.train.memoryBytesMax <= 1');
    expect(reasons.join('\n')).not.toContain('pidsMax');
    expect(station.entries().find(({ type }) => type === 'policy.decided')?.body).toMatchObject({
      verdict: 'deny',
    });
    expect(rig.executor.runs).toEqual([]);
  });

  test('that permits nothing refuses', async () => {
    rig.policy('// nothing yet\n');
    expect(await end(ordered())).toBe('refused policy.denied');
  });

  test('that errs denies, even where a permit applies', async () => {
    rig.policy(`${PERMIT}
      @id("overflow") forbid (principal, action, resource)
      when { context.train.memoryBytesMax * 9223372036854775807 > 0 };`);
    expect(await end(ordered())).toBe('refused policy.error');
    expect(rig.executor.runs).toEqual([]);
  });

  test('that is no policy denies', async () => {
    rig.policy('permit everything;');
    expect(await end(ordered())).toBe('refused policy.error');
  });

  test('that is missing denies, and tells no more than that', async () => {
    rig.policy(null);
    const hopId = ordered();
    expect(await end(hopId)).toBe('refused policy.missing');
    expect((await explanationOf(hopId)).text).toBe(
      'something is wrong at the station itself; its admin can see what',
    );
    expect(rig.executor.runs).toEqual([]);
  });
});

describe('the engine', () => {
  test('that does not hold the sandbox runs nothing, and the deadline ends the waiting', async () => {
    rig.executor.report = {
      ...rig.executor.report,
      failures: [{ name: 'network', text: 'reached a network' }],
    };
    const hopId = ordered();
    expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
    expect(station.store.hops.find(hopId)?.state).toBe('cleared');
    rig.clock.ms += DAY_MS;
    expect(await end(hopId)).toBe('expired deadline.passed');
    const { text } = await explanationOf(hopId);
    expect(text).toContain('engine.unsafe');
    expect(text).not.toContain('reached a network');
    expect(rig.executor.runs).toEqual([]);
  });

  test('with a known weakness runs only where that was accepted', async () => {
    rig.executor.report = { ...rig.executor.report, risks: [{ id: 'runc-break-outs', text: 'old runc' }] };
    const hopId = ordered();
    expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
    rig.settings.acceptEngineRisks = ['runc-break-outs'];
    station = rig.start();
    expect(await end(hopId)).toBe('released released');
  });

  test('that is away is waited for', async () => {
    const answers = rig.executor.outcome;
    rig.executor.outcome = () => {
      throw new PhtError('engine.unreachable', 'no engine');
    };
    const hopId = ordered();
    expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
    rig.executor.outcome = answers;
    expect(await end(hopId)).toBe('released released');
    expect(rig.executor.runs).toHaveLength(2);
  });

  test.each(['exit', 'memory', 'time', 'no-output', 'output-refused'] as const)(
    'a run that ends by %s shows one code',
    async (ended) => {
      rig.executor.outcome = () => ({ ended, wallMs: 3, detail: 'secret detail' });
      const hopId = ordered();
      expect(await end(hopId)).toBe('failed run.failed');
      expect(JSON.stringify(await explanationOf(hopId))).not.toContain('secret');
      expect(Buffer.concat(station.store.ledgerRows.read(0, 100)).toString()).not.toContain(`"${ended}"`);
    },
  );
});

test('a train that is passed on by a newer epoch at the dispatcher does not run', async () => {
  rig.lease = async () => {
    throw new PhtError('stale.epoch', 'a newer attempt exists');
  };
  expect(await end(ordered())).toBe('refused stale.epoch');
  expect(rig.executor.runs).toEqual([]);
});

describe('the dataset', () => {
  test.each([
    ['changes', () => rig.datasets.contents.set('cgd', 'status\n1\n')],
    ['disappears', () => rig.datasets.contents.delete('cgd')],
  ])('that %s while the train runs fails the hop', async (_name, change) => {
    const answers = rig.executor.outcome;
    rig.executor.outcome = (spec, signal) => {
      change();
      return answers(spec, signal);
    };
    expect(await end(ordered())).toBe('failed dataset.changed');
    expect(station.entries().some(({ type }) => type === 'result.released')).toBe(false);
  });
});

describe('the gate out', () => {
  const document = (outputs: unknown) => JSON.stringify({ schema: 'pht-result/v1', outputs });
  test.each([
    ['what is no result', 'not json', 'withheld disclosure.withheld'],
    [
      'a kind that no rule covers',
      document([{ id: 'x', kind: 'Survival', rows: [] }]),
      'withheld disclosure.held',
    ],
    [
      'a kind that the manifest does not name',
      document([
        {
          id: 'x',
          kind: 'StatisticalHypothesisTests',
          test: 'log-rank',
          var: 'status',
          arm: 'a',
          arms: 2,
          n: 90,
          u: 1,
          v: 9,
        },
      ]),
      'withheld disclosure.withheld',
    ],
  ])('%s stays here', async (_name, text, expected) => {
    rig.executor.outcome = () => output(text);
    const hopId = ordered();
    expect(await end(hopId)).toBe(expected);
    expect(station.entries().some(({ type }) => type === 'result.released')).toBe(false);
  });
});

describe('time', () => {
  test('a deadline that passes during the run expires the hop in the release transaction', async () => {
    const answers = rig.executor.outcome;
    rig.executor.outcome = (spec, signal) => {
      rig.clock.ms += DAY_MS;
      return answers(spec, signal);
    };
    const hopId = ordered();
    expect(await end(hopId)).toBe('expired deadline.passed');
    expect(station.entries().some(({ type }) => type === 'result.released')).toBe(false);
  });

  test('a run that the deadline ends is expired, not failed', async () => {
    rig.executor.outcome = () => {
      rig.clock.ms += DAY_MS;
      return { ended: 'aborted', wallMs: 1, detail: '' };
    };
    expect(await end(ordered())).toBe('expired deadline.passed');
  });

  test('a clock that goes back more than five minutes during the run releases nothing', async () => {
    const answers = rig.executor.outcome;
    rig.executor.outcome = (spec, signal) => {
      rig.clock.ms -= 5 * 60_000 + 1;
      return answers(spec, signal);
    };
    const hopId = ordered();
    expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
    expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
    expect(rig.executor.runs).toHaveLength(1);
    await station.post();
    expect(receiptsOf(rig, hopId)).toEqual([]);
    rig.executor.outcome = answers;
    rig.clock.ms = NOW;
    expect(await end(hopId)).toBe('released released');
  });

  test('five minutes of skew are borne', async () => {
    const hopId = ordered();
    rig.clock.ms -= 5 * 60_000;
    expect(await end(hopId)).toBe('released released');
  });

  test.each([
    ['expired', { expiresMs: NOW + HOUR_MS }, 'network.expired'],
    [
      'grown stale',
      { freshness: { version: 1, issuedAtMs: NOW, expiresMs: NOW + HOUR_MS } },
      'network.stale',
    ],
    [
      'been overtaken',
      { freshness: { version: 2, issuedAtMs: NOW, expiresMs: NOW + 9 * HOUR_MS } },
      'network.behind',
    ],
  ])('a network file that has %s stops runs until a new one is there', async (_what, change, code) => {
    const hopId = ordered();
    rig.settings.network = { ...fake.network, ...change };
    rig.clock.ms = NOW + HOUR_MS;
    expect(await station.visit(hopId)).toMatchObject({ is: 'later', error: { code } });
    expect(station.store.hops.find(hopId)?.state).toBe('received');
    rig.settings.network = fake.network;
    expect(await end(hopId)).toBe('released released');
  });
});

describe('members', () => {
  test.each([
    ['researcher', 'rosa', 'signer.revoked'],
    ['recipient', 'rita', 'recipient.unknown'],
  ])('a %s who is revoked during the run gets no result', async (_who, revoked, code) => {
    const answers = rig.executor.outcome;
    rig.executor.outcome = (spec, signal) => {
      rig.settings.network = fake.without(revoked).network;
      return answers(spec, signal);
    };
    const hopId = ordered({ recipients: [{ member: 'rita' }] });
    expect(await end(hopId)).toBe(`refused ${code}`);
    expect(station.entries().some(({ type }) => type === 'result.released')).toBe(false);
  });
});

test('cancelled trains end in a receipt, also when nothing has run yet', async () => {
  const hopId = ordered();
  const cancelled = AbortSignal.abort(new PhtError('cancelled', 'the researcher cancelled the train'));
  expect(await station.visit(hopId, cancelled)).toMatchObject({ is: 'sealed' });
  await station.post();
  expect(receiptsOf(rig, hopId)).toMatchObject([{ outcome: 'cancelled', code: 'cancelled' }]);
});

test('a stop of the process ends nothing', async () => {
  const hopId = ordered();
  const stop = new AbortController();
  const answers = rig.executor.outcome;
  rig.executor.outcome = () => {
    stop.abort(new Error('the station is stopping'));
    return { ended: 'aborted', wallMs: 1, detail: '' };
  };
  await expect(station.visit(hopId, stop.signal)).rejects.toThrow();
  expect(station.store.hops.find(hopId)?.state).toBe('running');
  rig.executor.outcome = answers;
  station = rig.start();
  expect(await end(hopId)).toBe('released released');
});

test('nothing of a run stays in the spool, however it ends', async () => {
  let spooled: string[] = [];
  rig.executor.outcome = ({ files }) => {
    spooled = files.map(({ target }) => target);
    expect(readdirSync(join(rig.dir, 'runs'))).toHaveLength(1);
    throw new PhtError('engine.unsafe', 'a setting did not take');
  };
  await station.visit(ordered());
  expect(spooled).toEqual(['/train/request.json', '/data/cgd/dataset.json', '/data/cgd/cgd.csv']);
  expect(readdirSync(join(rig.dir, 'runs'))).toEqual([]);
});

describe('what cannot be sealed', () => {
  test('ends in one receipt all the same, without an explanation', async () => {
    rig.policy(null);
    rig.sealer = {
      seal: () => Promise.reject(new PhtError('recipient.unknown', 'nobody can be sealed to')),
    };
    station = rig.start();
    const hopId = ordered();
    expect(await end(hopId)).toBe('refused policy.missing');
    expect(receiptsOf(rig, hopId)[0]).toMatchObject({ jweDigest: null, commitment: null });
  });
});

test('nothing is released under a network file that expired during the run', async () => {
  const { network } = rig.settings;
  rig.executor.outcome = () => {
    rig.settings.network = { ...network, expiresMs: NOW };
    return output(HELLO_RESULT);
  };
  const hopId = ordered();
  expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
  await station.post();
  expect(receiptsOf(rig, hopId)).toEqual([]);
  rig.executor.outcome = () => output(HELLO_RESULT);
  rig.settings.network = network;
  expect(await end(hopId)).toBe('released released');
});
