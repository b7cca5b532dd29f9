import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openCase, signClearance } from '../../src/journey/admin/case.ts';
import { openDecisionProof } from '../../src/journey/admin/decision-proof.ts';
import { decisionProof } from '../../src/journey/station/decision-proof.ts';
import { PhtError } from '../../src/model/error.ts';
import type { HopId } from '../../src/model/id.ts';
import { logOf } from '../fakes/dispatcher-log.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import {
  ASK,
  cosignedBy,
  makeStation,
  PERMIT,
  type Process,
  type Rig,
  receiptsOf,
} from '../fakes/station.ts';
import { adminIn, tookTrain } from '../fakes/words.ts';

/** Each decision of a person comes with the proof that it stands in the station's ledger. */

const NOW = Date.UTC(2026, 5, 1, 12);
const CONTEXT = {} as never;
const NONE = new Uint8Array();

let alone: FakeNetwork;
let witnessed: FakeNetwork;
let rig: Rig;
let station: Process;

beforeAll(async () => {
  const admins = { nora: 'north', nils: 'north' };
  alone = await makeNetwork({ admins, nowMs: NOW });
  const witnessing = { quorum: 2, faulty: 1, witnesses: ['dispatcher', 'north', 'south'] } as const;
  witnessed = await makeNetwork({
    admins,
    nowMs: NOW,
    witnessing: { ...witnessing, witnesses: [...witnessing.witnesses] },
  });
});
beforeEach(() => open(alone));
afterEach(() => rig.close());

function open(fake: FakeNetwork): void {
  rig?.close();
  rig = makeStation(fake, NOW);
  rig.policy(ASK);
  station = rig.start();
}

async function waiting(title = 'Hello', attempt = 1): Promise<string> {
  const { hopId } = tookTrain(rig, station, { title, attempt });
  expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  return hopId;
}

async function decide(hopId: string, verdict: 'approve' | 'reject', by = 'nora'): Promise<string> {
  const shown = await station.admin.show({ $typeName: 'pht.v1.ShowRequest', hopId, config: false }, CONTEXT);
  const { caseFile = NONE, manifest = NONE } = shown;
  const admin = adminIn(rig, by);
  const { network, nowMs } = admin;
  const opened = openCase({ caseFile, manifest }, { station: 'north', network, nowMs });
  const clearance = signClearance(opened, { verdict, reason: 'ethics 2026-17' }, admin);
  await station.admin.decide({ $typeName: 'pht.v1.DecideRequest', hopId, clearance }, CONTEXT);
  return opened.digest;
}

async function proofOf(hopId: string): Promise<Uint8Array> {
  return (await station.admin.proof({ $typeName: 'pht.v1.ProofRequest', hopId }, CONTEXT)).proof ?? NONE;
}

const opened = (proof: Uint8Array) =>
  openDecisionProof(proof, { network: rig.fake.network, station: 'north' });

const decisions = () => station.entries().filter(({ type }) => type === 'clearance.recorded');

test('an approval: as soon as it has let the train go, and no sooner', async () => {
  const hopId = await waiting();
  expect(await proofOf(hopId)).toEqual(NONE);
  const caseDigest = await decide(hopId, 'approve');
  expect(await proofOf(hopId)).toEqual(NONE);
  await station.visit(hopId);
  const index = station.entries().findIndex(({ type }) => type === 'clearance.recorded');
  expect(opened(await proofOf(hopId))).toEqual({
    ...{ hopId, caseDigest, verdict: 'approve', partial: false, index },
    ...{ cosigned: 0, quorum: 0, witnessed: true },
  });
});

test('a rejection: on record by itself, before the receipt, without a name', async () => {
  const hopId = await waiting();
  const caseDigest = await decide(hopId, 'reject');
  await station.visit(hopId);
  await station.post();
  expect(receiptsOf(rig, hopId)).toMatchObject([{ outcome: 'refused', code: 'clearance.rejected' }]);
  expect(
    station
      .entries()
      .map(({ type }) => type)
      .slice(-2),
  ).toEqual(['clearance.recorded', 'receipt.issued']);
  const [entry] = decisions();
  const { byCommitment, rejectionCommitment, ...body } = entry?.body ?? {};
  expect(body).toEqual({ verdict: 'reject', caseDigest });
  expect(station.store.archive.opening(String(byCommitment))?.value).toBe('nora');
  expect(station.store.archive.opening(String(rejectionCommitment))?.value).toMatch(/^[0-9a-f]{64}$/);
  expect(opened(await proofOf(hopId))).toMatchObject({ hopId, caseDigest, verdict: 'reject' });
});

test('a rejection stands once, also when a crash comes before the receipt', async () => {
  const hopId = await waiting();
  await decide(hopId, 'reject');
  station.steps.close = async () => {
    throw new Error('the power is gone');
  };
  await expect(station.visit(hopId)).rejects.toThrow('the power is gone');
  expect(decisions()).toHaveLength(1);
  station = rig.start();
  expect(await station.visit(hopId)).toMatchObject({ is: 'sealed' });
  expect(decisions()).toHaveLength(1);
});

test('the last decision about a hop counts', async () => {
  const hopId = await waiting();
  await decide(hopId, 'approve');
  const answers = rig.executor.outcome;
  rig.executor.outcome = (spec, signal) => {
    rig.policy(`${ASK}\n// edited`);
    return answers(spec, signal);
  };
  expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
  rig.executor.outcome = answers;
  expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  const first = opened(await proofOf(hopId));
  const caseDigest = await decide(hopId, 'reject', 'nils');
  expect(first.caseDigest).not.toBe(caseDigest);
  await station.visit(hopId);
  expect(opened(await proofOf(hopId))).toMatchObject({ verdict: 'reject', caseDigest });
});

test('each hop has its own, and is found behind thousands of later entries and after a restart', async () => {
  const [one, two] = [await waiting('One'), await waiting('Two')];
  await decide(one, 'approve');
  await station.visit(one);
  expect(await proofOf(two)).toEqual(NONE);
  const nothing = {
    trainId: null,
    hopId: null,
    attempt: null,
    epoch: null,
    manifestDigest: null,
    prev: null,
  };
  const more = Array.from({ length: 1300 }, (_, count) => ({
    ...nothing,
    ...{ type: 'salts.erased' as const, body: { count } },
  }));
  station.store.log.append(more, NOW);
  station = rig.start();
  expect(opened(await proofOf(one))).toMatchObject({ hopId: one });
  expect(await proofOf(two)).toEqual(NONE);
});

test('what a policy let go has none, and neither has a hop that is not here', async () => {
  rig.policy(PERMIT);
  const { hopId } = tookTrain(rig, station);
  await station.visit(hopId);
  expect(decisions()).toHaveLength(1);
  expect(await proofOf(hopId)).toEqual(NONE);
  await expect(proofOf('hop_0123456789abcdef01234567')).rejects.toMatchObject({ code: 'not-found' });
});

test('nothing is read beyond the order of the hop', async () => {
  const ports = { ledgerRows: station.store.ledgerRows, ledger: station.ledger };
  expect(await decisionProof({ hopId: 'hop_0123456789abcdef01234567' as HopId }, ports)).toEqual(NONE);
  await waiting('Before');
  const hopId = await waiting('After');
  const read: number[] = [];
  const { size } = ports.ledgerRows;
  const ledgerRows = {
    size,
    read: (first: number, end: number) => {
      read.push(first);
      return ports.ledgerRows.read(first, end);
    },
  };
  expect(await decisionProof({ hopId: hopId as HopId }, { ...ports, ledgerRows })).toEqual(NONE);
  expect(read).toHaveLength(1);
});

describe('before witnesses', () => {
  beforeEach(() => open(witnessed));

  async function approved(): Promise<string> {
    const hopId = await waiting();
    await decide(hopId, 'approve');
    await station.visit(hopId);
    return hopId;
  }

  test('it is under the signed checkpoint while they cannot be reached, and says so', async () => {
    rig.cosign = async () => {
      throw new PhtError('witness.unreachable', 'waits for the witnesses dispatcher, south');
    };
    const hopId = await approved();
    expect(opened(await proofOf(hopId))).toMatchObject({ cosigned: 0, quorum: 2, witnessed: false });
  });

  test('and under the published one as soon as they have cosigned', async () => {
    rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
    const hopId = await approved();
    await station.witnessing.covered(station.store.ledgerRows.size(), new AbortController().signal);
    expect(opened(await proofOf(hopId))).toMatchObject({ cosigned: 2, quorum: 2, witnessed: true });
  });
});

describe('what is no proof of a decision', () => {
  test('of another entry, of another ledger, or changed', async () => {
    const hopId = await waiting();
    await decide(hopId, 'approve');
    await station.visit(hopId);
    const proof = await proofOf(hopId);
    const at = { network: rig.fake.network, station: 'north' };
    const entry = station.entries()[0];
    if (entry === undefined) throw new Error('the ledger is empty');
    const size = station.store.ledgerRows.size();
    const index = station.entries().findIndex(({ type }) => type === 'policy.decided');
    await station.ledger.covered(size);
    for (const bytes of [
      await station.ledger.tree.prove(index),
      logOf(rig.fake, 'south').prove({ ...entry, actor: 'south' }),
      Buffer.from(
        Buffer.from(proof)
          .toString()
          .replace(/^index \d+$/m, 'index 0'),
      ),
      Buffer.from(proof).subarray(0, 100),
      NONE,
    ]) {
      expect(() => openDecisionProof(bytes, at)).toThrow(expect.objectContaining({ code: 'proof.invalid' }));
    }
    expect(() => openDecisionProof(proof, { ...at, station: 'south' })).toThrow(
      expect.objectContaining({ code: 'proof.invalid' }),
    );
  });
});
