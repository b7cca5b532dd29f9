import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { verifyExplanation, verifyResult } from '../../src/model/receipt.ts';
import { ASK_TWO, clearanceOf, decideOn, standingOf } from '../fakes/approvals.ts';
import { Crash, type CrashPlan } from '../fakes/crash.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import {
  ASK,
  cosignedBy,
  makeStation,
  openSealed,
  PERMIT,
  type Process,
  type Rig,
  receiptsOf,
} from '../fakes/station.ts';
import { makeOrder, makeTrain } from '../fakes/trains.ts';

/**
 * The process dies at every single call that it makes to its store, engine, keys, spool and dispatcher, before and after
 * the call's effect, and starts again from the same files. The end must be that of the golden run.
 */

const NOW = Date.UTC(2026, 5, 1, 12);
const STARTS_MAX = 3;

let fake: FakeNetwork;
let plain: FakeNetwork;
let witnessed: FakeNetwork;
beforeAll(async () => {
  const plan = { admins: { nora: 'north', nils: 'north' }, nowMs: NOW };
  plain = await makeNetwork(plan);
  const witnesses = ['dispatcher', 'north', 'south'];
  witnessed = await makeNetwork({ ...plan, witnessing: { quorum: 2, faulty: 1, witnesses } });
});

let rig: Rig | null = null;
afterEach(() => {
  rig?.close();
  rig = null;
});

type Scenario = { policy: string; fails?: boolean; witnesses?: boolean; standing?: boolean };

/** Signed at one moment, so that whoever does it again has done it once. */
async function decide(made: Rig, station: Process, hopId: string, { standing }: Scenario): Promise<void> {
  for (const by of ['nora', 'nils']) {
    const sign = standing === true ? standingOf : clearanceOf;
    const clearance = await sign(made, station, hopId, { by });
    await decideOn(station, hopId, clearance);
    if ((await station.visit(hopId)).is !== 'waiting') return;
  }
}

/** The whole life of one hop in as many processes as it takes; only the first one dies. */
async function live(
  scenario: Scenario,
  plan: CrashPlan | null,
): Promise<{ calls: number; crashed: boolean }> {
  const { policy, fails = false, witnesses = false } = scenario;
  fake = witnesses ? witnessed : plain;
  const made = makeStation(fake, NOW);
  rig = made;
  rig.cosign = cosignedBy(() => made, 'dispatcher', 'south');
  rig.policy(policy);
  if (fails) rig.executor.outcome = () => ({ ended: 'exit', wallMs: 1, detail: '1' });
  const train = makeTrain(fake, rig.image.image, NOW);
  const pulled = { ...makeOrder(fake, train.digest, NOW), manifest: train.manifest };
  let crashed = false;
  for (let starts = 0; starts < STARTS_MAX; starts++) {
    const station = rig.start(starts === 0 ? plan : null);
    try {
      const hopId = station.accept(pulled) ?? '';
      const ended = await station.visit(hopId);
      if (ended.is === 'waiting') {
        await decide(made, station, hopId, scenario);
      }
      await station.post();
      if (!station.fragile.isDead()) return { calls: station.fragile.calls(), crashed };
    } catch (thrown) {
      if (!(thrown instanceof Crash) && !station.fragile.isDead()) throw thrown;
    }
    crashed = true;
  }
  throw new Error('the hop did not come to its end');
}

/** What must be the same whatever happened on the way. */
async function verdict(): Promise<object> {
  if (rig === null) throw new Error('nothing has run');
  const station = rig.start();
  const hops = station.store.hops.list({ newest: 10 });
  const receipts = receiptsOf(rig);
  const entries = station.entries();
  const [receipt] = receipts;
  const sealed = await openSealed(rig, receipt?.jwe ?? new Uint8Array());
  const released = receipt?.outcome === 'released';
  return {
    states: hops.map(({ state }) => state),
    outbox: station.store.outbox.waiting(10),
    receipts: receipts.map(({ outcome, code, attempt }) => ({ outcome, code, attempt })),
    result: released ? verifyResult(sealed, fake.network, 'north').predicate.result : null,
    explanation: released ? null : verifyExplanation(sealed, fake.network, 'north').predicate.code,
    releases: entries.filter(({ type }) => type === 'result.released').length,
    receiptsIssued: entries.filter(({ type }) => type === 'receipt.issued').length,
    clearances: entries.filter(({ type }) => type === 'clearance.recorded').length,
    decisions: entries.filter(({ type }) => type === 'policy.decided').length,
    standing: entries.filter(({ type }) => type === 'clearance.standing').length,
    runs: station.store.clearances.standing('all').map(({ runsUsed }) => runsUsed),
  };
}

describe.each<[string, Scenario]>([
  ['a train that the policy permits', { policy: PERMIT }],
  ['a train that a person approves', { policy: ASK }],
  ['a train that two persons approve', { policy: ASK_TWO }],
  ['a train that a standing clearance lets through', { policy: ASK, standing: true }],
  ['a train whose release is witnessed', { policy: PERMIT, witnesses: true }],
  ['a train that fails', { policy: PERMIT, fails: true }],
  ['a train that the policy denies', { policy: '// nothing\n' }],
])('%s', (_name, scenario) => {
  test('ends as if nothing had happened, wherever the process dies', async () => {
    const { calls } = await live(scenario, null);
    const golden = await verdict();
    expect(golden).toMatchObject({ states: ['delivered'], outbox: [], receiptsIssued: 1 });
    rig?.close();
    expect(calls).toBeGreaterThan(15);
    for (let at = 1; at <= calls; at++) {
      for (const when of ['before', 'after'] as const) {
        const { crashed } = await live(scenario, { at, when });
        expect(crashed, `${when} call ${at} of ${calls}`).toBe(true);
        expect(await verdict(), `${when} call ${at} of ${calls}`).toEqual(golden);
        rig?.close();
      }
    }
  }, 180_000);
});
