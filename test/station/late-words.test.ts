import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { signDisclosureRequest, signErasure, signTrust } from '../../src/journey/admin/word.ts';
import { createClear } from '../../src/journey/station/clear.ts';
import { verifyDisclosureRequest } from '../../src/model/disclosure.ts';
import { encodeEnvelope, parseEnvelope } from '../../src/model/dsse.ts';
import { verifyErasure } from '../../src/model/erasure.ts';
import { PhtError } from '../../src/model/error.ts';
import { trainIdOf } from '../../src/model/id.ts';
import { signStatement } from '../../src/model/statement.ts';
import { verifyTrust } from '../../src/model/trust.ts';
import { verifyWithdrawal } from '../../src/model/withdrawal.ts';
import {
  ASK_TWO,
  approved,
  clearanceOf,
  decideOn,
  endOf,
  standingOf,
  stateOf,
  tookHop,
  typesOf,
  waitingHop,
  withdrawalOf,
  withdrawWith,
} from '../fakes/approvals.ts';
import { type FakeNetwork, makeNetwork, memberIn } from '../fakes/network.ts';
import { ASK, cosignedBy, makeStation, PERMIT, type Process, type Rig } from '../fakes/station.ts';
import { adminIn } from '../fakes/words.ts';

/** Words that come at the last moment, and words of those who have gone elsewhere. */

const NOW = Date.UTC(2026, 5, 1, 12);
const DAY_MS = 86_400_000;
/** An image that somebody approved here runs for everybody; about any other a person is asked. */
const APPROVED_HERE = `@id("known-image") permit (principal, action == Action::"Run", resource)
when { context.train.imageApprovedHere };
${ASK}`;

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

async function open(witnessed = false): Promise<void> {
  rig?.close();
  const witnessing = { quorum: 2, faulty: 1, witnesses: ['dispatcher', 'north', 'south'] };
  fake = await makeNetwork({
    admins: { nora: 'north', nils: 'north' },
    auditors: ['carla'],
    nowMs: NOW,
    ...(witnessed ? { witnessing } : {}),
  });
  rig = makeStation(fake, NOW);
  rig.policy(ASK);
  station = rig.start();
}
beforeEach(() => open());
afterEach(() => rig.close());

const OTHER = (digit: string) => ({ nonce: digit.repeat(32) });

test('a rejection that comes while a standing clearance is held against the image ends the train', async () => {
  const first = await waitingHop(rig, station);
  await decideOn(station, first, await standingOf(rig, station, first, { runs: 5, scope: 'code' }));
  expect(await endOf(rig, station, first)).toBe('released released');
  const wide = { memoryBytesMax: 65 * 1024 * 1024, cpuMillis: 1000, pidsMax: 16, wallMsMax: 30_000 };
  const limits = { ...wide, outputBytesMax: 16 * 1024, scratchBytesMax: 1024 * 1024 };
  const hopId = await waitingHop(rig, station, { ...OTHER('a'), limits });
  await decideOn(station, hopId, await standingOf(rig, station, hopId, { runs: 5, scope: 'code' }));
  const rejection = await clearanceOf(rig, station, hopId, { by: 'nils', verdict: 'reject' });
  const config = rig.image.blobs.get(rig.image.image.configDigest);
  const clear = createClear(station.station, {
    ...station.store,
    configOf: async () => {
      await decideOn(station, hopId, rejection);
      return config ?? new Uint8Array();
    },
  });
  const hop = station.store.hops.find(hopId);
  if (hop === null) throw new Error('no hop');
  const decided = await station.steps.decide(await station.steps.inspect(hop));
  await expect(clear(decided)).rejects.toMatchObject({ code: 'clearance.invalid' });
  expect(stateOf(station, hopId)).toBe('awaiting-clearance');
  expect(await endOf(rig, station, hopId)).toBe('refused clearance.rejected');
  expect(rig.executor.runs).toHaveLength(1);
});

test('a person who approved and then rejects has rejected, though nobody had looked in between', async () => {
  const hopId = await waitingHop(rig, station);
  await approved(rig, station, hopId);
  rig.clock.ms += 1000;
  await approved(rig, station, hopId, { verdict: 'reject' });
  expect(await endOf(rig, station, hopId)).toBe('refused clearance.rejected');
});

test('a word in the store for this case and another train counts for nothing', async () => {
  const hopId = await waitingHop(rig, station);
  const { payload } = JSON.parse(Buffer.from(await clearanceOf(rig, station, hopId)).toString());
  const { subject, predicate } = JSON.parse(Buffer.from(payload, 'base64').toString());
  const caseDigest = subject[0].digest.sha256;
  const { envelope, digest } = signStatement(
    'clearance',
    { name: 'case', digest: caseDigest },
    { ...predicate, manifestDigest: 'f'.repeat(64) },
    memberIn(fake, 'nora').signer,
  );
  station.store.clearances.record(caseDigest, digest, encodeEnvelope(envelope), NOW);
  expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  expect(rig.executor.runs).toEqual([]);
});

test('a policy that asks for a second person from some hour on is heard by what waits for the engine', async () => {
  const at = 'datetime("2026-06-01T13:00:00Z")';
  rig.policy(`@id("one") permit (principal, action == Action::"RunIfApproved", resource) when { context.now < ${at} };
@id("two") @approvals("2") permit (principal, action == Action::"RunIfApproved", resource) when { context.now >= ${at} };`);
  const hopId = await waitingHop(rig, station);
  await approved(rig, station, hopId);
  const hold = rig.lease;
  rig.lease = async () => {
    throw new PhtError('engine.unreachable', 'the engine is gone');
  };
  expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
  expect(stateOf(station, hopId)).toBe('cleared');
  rig.lease = hold;
  rig.clock.ms += 2 * 3_600_000;
  expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  await approved(rig, station, hopId, { by: 'nils' });
  expect(await endOf(rig, station, hopId)).toBe('released released');
  expect(rig.executor.runs).toHaveLength(1);
});

describe('what the policy let run because its image was approved here', () => {
  async function approvedImage(): Promise<string> {
    rig.policy(APPROVED_HERE);
    const first = await waitingHop(rig, station);
    const digest = await approved(rig, station, first);
    expect(await endOf(rig, station, first)).toMatch(/released/);
    return digest;
  }

  test('runs, for as long as that approval stands', async () => {
    await approvedImage();
    const hopId = await tookHop(rig, station, OTHER('b'));
    expect(await endOf(rig, station, hopId)).toBe('released released');
  });

  test.each([
    [
      'is taken back',
      (digest: string) => {
        void withdrawWith(station, withdrawalOf(rig, digest, 'nils'));
      },
    ],
    [
      'was by who has left',
      () => {
        rig.settings.network = fake.without('nora').network;
      },
    ],
  ])('releases nothing when that approval %s during the run', async (_name, takeBack) => {
    const digest = await approvedImage();
    const answers = rig.executor.outcome;
    rig.executor.outcome = (spec, signal) => {
      takeBack(digest);
      return answers(spec, signal);
    };
    const hopId = await tookHop(rig, station, OTHER('b'));
    rig.executor.outcome = answers;
    expect(station.store.hops.find(hopId)?.sealed).toBeNull();
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(typesOf(station).filter((type) => type === 'result.released')).toHaveLength(1);
    await approved(rig, station, hopId, { by: 'nils' });
    expect(await endOf(rig, station, hopId)).toBe('released released');
  });

  test('goes on when another rule lets it run all the same', async () => {
    const digest = await approvedImage();
    rig.policy(`${APPROVED_HERE}\n${PERMIT}`);
    const answers = rig.executor.outcome;
    rig.executor.outcome = (spec, signal) => {
      void withdrawWith(station, withdrawalOf(rig, digest, 'nils'));
      return answers(spec, signal);
    };
    const hopId = await tookHop(rig, station, OTHER('b'));
    expect(await endOf(rig, station, hopId)).toBe('released released');
    expect(rig.executor.runs).toHaveLength(3);
  });

  test('was approved by two where two were asked, and is not any more when one of them takes it back', async () => {
    rig.policy(APPROVED_HERE.replace(ASK, ASK_TWO));
    const first = await waitingHop(rig, station);
    await approved(rig, station, first);
    const second = await approved(rig, station, first, { by: 'nils' });
    expect(await endOf(rig, station, first)).toBe('released released');
    expect(stateOf(station, await tookHop(rig, station, OTHER('b')))).toBe('sealed');
    await withdrawWith(station, withdrawalOf(rig, second, 'nora'));
    await waitingHop(rig, station, OTHER('c'));
  });

  test('is taken back while witnesses are waited for', async () => {
    await open(true);
    rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
    const digest = await approvedImage();
    rig.cosign = async () => {
      throw new Error('away');
    };
    const hopId = await tookHop(rig, station, OTHER('b'));
    expect(stateOf(station, hopId)).toBe('awaiting-witness');
    await withdrawWith(station, withdrawalOf(rig, digest, 'nils'));
    rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
    expect(await station.visit(hopId)).toMatchObject({ is: 'later', error: { code: 'clearance.invalid' } });
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(typesOf(station)).toContain('release.withdrawn');
  });
});

describe('an admin who governs another station by now, and names the version from before', () => {
  function moved(): void {
    const nora = fake.network.members.get('nora');
    if (nora === undefined) throw new Error('no nora');
    rig.settings.network = fake.next({ renewed: [{ member: { ...nora, station: 'south' } }] }).network;
  }

  test('approves nothing, for once or standing', async () => {
    const hopId = await waitingHop(rig, station);
    const [once, standing] = [await clearanceOf(rig, station, hopId), await standingOf(rig, station, hopId)];
    moved();
    for (const word of [once, standing])
      await expect(decideOn(station, hopId, word)).rejects.toMatchObject({ code: 'signer.unknown' });
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  });

  test('has approved nothing that has not run yet', async () => {
    const hopId = await waitingHop(rig, station);
    await approved(rig, station, hopId);
    moved();
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(rig.executor.runs).toEqual([]);
  });

  const trainId = trainIdOf('a'.repeat(64) as never);
  const about = { station: 'north', reason: 'no reason' };
  test.each([
    [
      'an erasure',
      (by: ReturnType<typeof adminIn>) => signErasure({ ...about, member: 'rosa' }, by),
      verifyErasure,
    ],
    [
      'a word on trust',
      (by: ReturnType<typeof adminIn>) =>
        signTrust(
          { ...about, member: 'dispatcher', conflictDigest: 'a'.repeat(64) as never, verdict: 'resume' },
          by,
        ),
      verifyTrust,
    ],
    [
      'a disclosure',
      (by: ReturnType<typeof adminIn>) =>
        signDisclosureRequest({ station: 'north', to: 'carla', trainId }, by),
      verifyDisclosureRequest,
    ],
    [
      'a withdrawal',
      (_by: ReturnType<typeof adminIn>) => withdrawalOf(rig, 'a'.repeat(64)),
      verifyWithdrawal,
    ],
  ])('has no say in %s', (_name, sign, verify) => {
    const envelope = parseEnvelope(sign(adminIn(rig, 'nora')), 'word');
    const nora = fake.network.members.get('nora');
    if (nora === undefined) throw new Error('no nora');
    const at = (network: typeof fake.network) => ({ network, station: 'north', nowMs: NOW });
    expect(() => verify(envelope, at(fake.network))).not.toThrow();
    const { network } = fake.next({ renewed: [{ member: { ...nora, station: 'south' } }] });
    expect(() => verify(envelope, at(network))).toThrow(expect.objectContaining({ code: 'signer.unknown' }));
  });
});

describe('a hop that waits tells its log', () => {
  const told = () => rig.notes.filter(({ text }) => text.includes('does not hold')).length;

  async function looked(): Promise<void> {
    const first = await waitingHop(rig, station);
    await decideOn(station, first, await standingOf(rig, station, first, { days: 2 }));
    expect(await endOf(rig, station, first)).toBe('released released');
  }

  test('once that a standing clearance of one who has left counts no more', async () => {
    await looked();
    rig.settings.network = fake.without('nora').network;
    const hopId = await waitingHop(rig, station, OTHER('d'));
    for (let look = 0; look < 5; look++) expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(told()).toBe(1);
  });

  test('not at all that one has come to its end', async () => {
    await looked();
    rig.clock.ms += 3 * DAY_MS;
    const hopId = await waitingHop(rig, station, OTHER('d'));
    for (let look = 0; look < 5; look++) expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(told()).toBe(0);
  });
});
