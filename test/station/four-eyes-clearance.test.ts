import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDecisionProof } from '../../src/journey/admin/decision-proof.ts';
import {
  ASK_TWO,
  approved,
  asPersons,
  clearanceOf,
  decideOn,
  digestIn,
  endOf,
  inboxOf,
  lastCounted,
  showOf,
  standingListed,
  standingOf,
  stateOf,
  tookHop,
  waitingHop,
  withdrawalOf,
  withdrawWith,
} from '../fakes/approvals.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { ASK, makeStation, type Process, type Rig } from '../fakes/station.ts';

/** Four eyes are two persons: not two keys, not two accounts, and not the researcher's own. */

const NOW = Date.UTC(2026, 5, 1, 12);

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

beforeEach(async () => {
  fake = await makeNetwork({ admins: { nora: 'north', nils: 'north', nina: 'north' }, nowMs: NOW });
  rig = makeStation(fake, NOW);
  rig.policy(ASK_TWO);
  station = rig.start();
});
afterEach(() => rig.close());

const progressOf = (hopId: string): (string | undefined)[] =>
  [...rig.handed.values()].filter((each) => each.hopId === hopId).flatMap(({ progress }) => progress ?? []);

test('two persons let it run, one does not; the inbox and the researcher learn of the first', async () => {
  const hopId = await waitingHop(rig, station);
  const answer = await decideOn(station, hopId, await clearanceOf(rig, station, hopId));
  expect(answer).toMatchObject({ approvalsNeeded: 2, approvedBy: ['nora'] });
  expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  await station.post();
  expect(progressOf(hopId)).toContain('awaiting-second-clearance');
  expect(await inboxOf(station)).toMatchObject([{ hopId, approvalsNeeded: 2, approvedBy: ['nora'] }]);
  const shown = await showOf(station, hopId);
  expect(shown).toMatchObject({ approvalsNeeded: 2, approvedBy: ['nora'] });
  expect(shown.clearances).toHaveLength(1);
  expect(rig.executor.runs).toEqual([]);
  await approved(rig, station, hopId, { by: 'nils' });
  expect(await endOf(rig, station, hopId)).toBe('released released');
  expect(rig.executor.runs).toHaveLength(1);
});

test('both stand in the ledger as commitments, the first at once and with its proof', async () => {
  const hopId = await waitingHop(rig, station);
  const first = await approved(rig, station, hopId);
  await station.visit(hopId);
  const { proof = new Uint8Array() } = await station.admin.proof(
    { $typeName: 'pht.v1.ProofRequest', hopId },
    {} as never,
  );
  const at = { network: fake.network, station: 'north' };
  expect(openDecisionProof(proof, at)).toMatchObject({ hopId, verdict: 'approve', partial: true });
  const second = await approved(rig, station, hopId, { by: 'nils' });
  await station.visit(hopId);
  const [alone, both] = station.entries().filter(({ type }) => type === 'clearance.recorded');
  expect(alone?.body).toMatchObject({ verdict: 'approve', approvalCommitment: expect.any(String) });
  expect(alone?.body).not.toHaveProperty('by');
  const opened = (name: string) => station.store.archive.opening(String(both?.body[name]))?.value;
  expect(both?.body['by']).toBe('person');
  expect(['clearanceCommitment', 'secondClearanceCommitment'].map(opened)).toEqual([first, second]);
  expect(['byCommitment', 'secondByCommitment'].map(opened)).toEqual(['nora', 'nils']);
});

describe('one person', () => {
  test('with a second account is told so, and it is counted', async () => {
    rig.settings.network = asPersons(fake.network, { nils: 'nora' });
    const hopId = await waitingHop(rig, station);
    await approved(rig, station, hopId);
    await expect(approved(rig, station, hopId, { by: 'nils' })).rejects.toMatchObject({
      code: 'clearance.same-person',
    });
    expect(lastCounted(station)).toBe('clearance clearance.same-person');
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    await approved(rig, station, hopId, { by: 'nina' });
    expect(await endOf(rig, station, hopId)).toBe('released released');
  });

  test('who signs twice is one', async () => {
    const hopId = await waitingHop(rig, station);
    await approved(rig, station, hopId);
    rig.clock.ms += 1000;
    await expect(approved(rig, station, hopId)).rejects.toMatchObject({ code: 'clearance.same-person' });
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  });

  test('who turns out to be two accounts before the run is one', async () => {
    const hopId = await waitingHop(rig, station);
    await approved(rig, station, hopId);
    await approved(rig, station, hopId, { by: 'nils' });
    rig.settings.network = asPersons(fake.network, { nils: 'nora' });
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  });

  test('who turns out to be two accounts during the run releases nothing', async () => {
    const hopId = await waitingHop(rig, station);
    await approved(rig, station, hopId);
    await approved(rig, station, hopId, { by: 'nils' });
    const answers = rig.executor.outcome;
    rig.executor.outcome = (spec, signal) => {
      rig.settings.network = asPersons(fake.network, { nils: 'nora' });
      return answers(spec, signal);
    };
    expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(station.entries().some(({ type }) => type === 'result.released')).toBe(false);
  });
});

describe('the researcher', () => {
  test.each([
    ['one person is enough', ASK],
    ['two are needed', ASK_TWO],
  ])('never approves her own train: %s', async (_name, policy) => {
    rig.policy(policy);
    rig.settings.network = asPersons(fake.network, { nora: 'rosa' });
    const hopId = await waitingHop(rig, station);
    await expect(approved(rig, station, hopId)).rejects.toMatchObject({ code: 'clearance.same-person' });
    await expect(decideOn(station, hopId, await standingOf(rig, station, hopId))).rejects.toMatchObject({
      code: 'clearance.same-person',
    });
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  });

  test('who turns out to be the one that approved has approved nothing, before the run', async () => {
    rig.policy(ASK);
    const hopId = await waitingHop(rig, station);
    await approved(rig, station, hopId);
    rig.settings.network = asPersons(fake.network, { nora: 'rosa' });
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(rig.executor.runs).toEqual([]);
  });

  test('nor during it', async () => {
    rig.policy(ASK);
    const hopId = await waitingHop(rig, station);
    await approved(rig, station, hopId);
    const answers = rig.executor.outcome;
    rig.executor.outcome = (spec, signal) => {
      rig.settings.network = asPersons(fake.network, { nora: 'rosa' });
      return answers(spec, signal);
    };
    expect(await station.visit(hopId)).toMatchObject({ is: 'later', error: { code: 'clearance.invalid' } });
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(station.entries().some(({ type }) => type === 'result.released')).toBe(false);
  });

  test('may take it back as an admin', async () => {
    rig.settings.network = asPersons(fake.network, { nora: 'rosa' });
    const hopId = await waitingHop(rig, station);
    await approved(rig, station, hopId, { verdict: 'reject' });
    expect(await endOf(rig, station, hopId)).toBe('refused clearance.rejected');
  });
});

test('one rejection ends it, whoever approved', async () => {
  const hopId = await waitingHop(rig, station);
  await approved(rig, station, hopId);
  await approved(rig, station, hopId, { by: 'nils', verdict: 'reject' });
  expect(await endOf(rig, station, hopId)).toBe('refused clearance.rejected');
});

test('an older word that comes again does not undo a newer one of the same person', async () => {
  rig.policy(ASK);
  const hopId = await waitingHop(rig, station);
  const approval = await clearanceOf(rig, station, hopId);
  rig.clock.ms += 1000;
  await approved(rig, station, hopId, { verdict: 'reject' });
  await expect(decideOn(station, hopId, approval)).rejects.toMatchObject({ code: 'clearance.invalid' });
  expect(lastCounted(station)).toBe('clearance clearance.invalid');
  expect(await endOf(rig, station, hopId)).toBe('refused clearance.rejected');
});

test('the first approval counts no more once it was withdrawn', async () => {
  const hopId = await waitingHop(rig, station);
  const first = await approved(rig, station, hopId);
  await station.visit(hopId);
  expect(await withdrawWith(station, withdrawalOf(rig, first, 'nils'))).toEqual({ hops: 0 });
  expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  expect(await inboxOf(station)).toMatchObject([{ approvedBy: [] }]);
  await approved(rig, station, hopId, { by: 'nils' });
  expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  await approved(rig, station, hopId, { by: 'nina' });
  expect(await endOf(rig, station, hopId)).toBe('released released');
});

describe('standing clearances', () => {
  const NONCES = ['1', '2', '3'].map((digit) => digit.repeat(32));

  test('of two persons with the same terms count together, and their runs once', async () => {
    const hopId = await waitingHop(rig, station);
    await decideOn(station, hopId, await standingOf(rig, station, hopId));
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(await standingListed(station)).toEqual(['waits-for-second 0']);
    const reason = 'the same, for other reasons';
    await decideOn(station, hopId, await standingOf(rig, station, hopId, { by: 'nils', reason }));
    expect(await endOf(rig, station, hopId)).toBe('released released');
    expect(stateOf(station, await tookHop(rig, station, { nonce: NONCES[0] ?? '' }))).toBe('sealed');
    expect(await standingListed(station)).toEqual(['used-up 2', 'used-up 2']);
    await waitingHop(rig, station, { nonce: NONCES[1] ?? '' });
  });

  test('of two persons with other terms do not', async () => {
    const hopId = await waitingHop(rig, station);
    await decideOn(station, hopId, await standingOf(rig, station, hopId, { runs: 2 }));
    await decideOn(station, hopId, await standingOf(rig, station, hopId, { by: 'nils', runs: 3 }));
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  });

  test('of one person with two accounts do not', async () => {
    rig.settings.network = asPersons(fake.network, { nils: 'nora' });
    const hopId = await waitingHop(rig, station);
    await decideOn(station, hopId, await standingOf(rig, station, hopId));
    const second = await standingOf(rig, station, hopId, { by: 'nils' });
    await expect(decideOn(station, hopId, second)).rejects.toMatchObject({ code: 'clearance.same-person' });
    expect(lastCounted(station)).toBe('clearance clearance.same-person');
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  });

  test('end together when either is withdrawn', async () => {
    const hopId = await waitingHop(rig, station);
    const first = await standingOf(rig, station, hopId);
    await decideOn(station, hopId, first);
    await decideOn(station, hopId, await standingOf(rig, station, hopId, { by: 'nils' }));
    expect(await endOf(rig, station, hopId)).toBe('released released');
    await withdrawWith(station, withdrawalOf(rig, digestIn(first), 'nina'));
    await waitingHop(rig, station, { nonce: NONCES[2] ?? '' });
    expect(await standingListed(station)).toEqual(['waits-for-second 1', 'withdrawn 1']);
  });
});
