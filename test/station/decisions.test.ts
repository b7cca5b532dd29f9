import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { replayDecision } from '../../src/adapters/policy/replay.ts';
import { type PastDecision, pastDecisions } from '../../src/journey/station/decisions.ts';
import { digestOf } from '../../src/model/id.ts';
import { canonicalJson } from '../../src/model/result/canonical.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { ASK, makeStation, PERMIT, type Process, type Rig } from '../fakes/station.ts';
import { forget, ranTrain, tookTrain } from '../fakes/words.ts';

/** What the policy decided in the past, for the admin who wants to change it. */

const NOW = Date.UTC(2026, 5, 1, 12);
const DENY = '@id("nobody") permit (principal in List::"nobody", action == Action::"Run", resource);';

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

beforeAll(async () => {
  fake = await makeNetwork({ admins: { nora: 'north' }, nowMs: NOW });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  station = rig.start();
});
afterEach(() => rig.close());

async function past(asked: { hopId?: string; decisionsMax?: number } = {}): Promise<PastDecision[]> {
  const request = { hopId: '', decisionsMax: 0, ...asked };
  const ports = { archive: station.store.archive, ledgerRows: station.store.ledgerRows };
  const all: PastDecision[] = [];
  for await (const each of pastDecisions(request, ports)) all.push(each);
  return all;
}

/** Three trains, each denied and decided by a policy of its own but the last. */
async function threeTrains(): Promise<string[]> {
  const hops: string[] = [];
  for (const [title, policy] of [
    ['one', DENY],
    ['two', PERMIT],
    ['three', PERMIT],
  ] as const) {
    rig.policy(policy);
    rig.clock.ms += 60_000;
    hops.push((await ranTrain(rig, station, { title })).hopId);
  }
  return hops;
}

const titleIn = ({ request = new Uint8Array() }: PastDecision): string =>
  (JSON.parse(Buffer.from(request).toString()) as { train: { title: string } }).train.title;

test('the newest comes first, each policy once, and each can be made again', async () => {
  const hops = await threeTrains();
  const all = await past();
  expect(all.map(({ hopId }) => hopId)).toEqual(hops.toReversed());
  expect(all.map(titleIn)).toEqual(['three', 'two', 'one']);
  expect(all.map(({ policy }) => policy)).toEqual([PERMIT, '', DENY]);
  expect(all.map(({ policyDigest }) => policyDigest)).toEqual(
    [PERMIT, PERMIT, DENY].map((text) => digestOf(text)),
  );
  expect(all.map(({ decidedAtMs }) => Number(decidedAtMs))).toEqual([3, 2, 1].map((at) => NOW + at * 60_000));
  for (const [at, { request, answer }] of all.entries()) {
    const again = replayDecision([PERMIT, PERMIT, DENY][at] ?? '', Buffer.from(request ?? []).toString());
    expect(canonicalJson(again)).toBe(Buffer.from(answer ?? []).toString());
  }
});

test('no more than were asked for, or those of one hop', async () => {
  const [first = ''] = await threeTrains();
  expect((await past({ decisionsMax: 2 })).map(titleIn)).toEqual(['three', 'two']);
  const [own, ...others] = await past({ hopId: first });
  expect(others).toEqual([]);
  expect(own).toMatchObject({ hopId: first, policy: DENY });
  expect(await past({ hopId: 'hop_000000000000000000000000' })).toEqual([]);
});

test('what a hop was decided again by is the first to come', async () => {
  rig.policy(ASK);
  const { hopId } = tookTrain(rig, station);
  await station.visit(hopId);
  rig.policy(DENY);
  await station.visit(hopId);
  const all = await past({ hopId });
  expect(all.map(({ policy }) => policy)).toEqual([DENY, ASK]);
});

test('an erasure takes the facts and the answer, and leaves that there was a decision', async () => {
  await threeTrains();
  await forget(rig, station, 'rosa');
  const all = await past();
  expect(all).toHaveLength(3);
  for (const { request, answer } of all) expect([request?.byteLength, answer?.byteLength]).toEqual([0, 0]);
  expect(all.map(({ policy }) => policy)).toEqual([PERMIT, '', DENY]);
});

test('they are there for the next process, also behind many entries of another kind', async () => {
  const hops = await threeTrains();
  const head = { trainId: null, manifestDigest: null, hopId: null, attempt: null, epoch: null, prev: null };
  const entry = { type: 'rejects.counted' as const, ...head, body: { count: 1, codes: ['policy.decided'] } };
  station.store.log.append(
    Array.from({ length: 1100 }, () => entry),
    rig.clock.ms,
  );
  station = rig.start();
  expect((await past()).map(({ hopId }) => hopId)).toEqual(hops.toReversed());
});

test('who has gone away is sent nothing more', async () => {
  await threeTrains();
  const ports = { archive: station.store.archive, ledgerRows: station.store.ledgerRows };
  const gone = new AbortController();
  const stream = pastDecisions({ hopId: '', decisionsMax: 0 }, ports, gone.signal);
  expect((await stream.next()).done).toBe(false);
  gone.abort(new Error('gone'));
  await expect(stream.next()).rejects.toThrow('gone');
});
