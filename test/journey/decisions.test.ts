import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arms, type Journey, makeJourney } from './harness.ts';
import { ok, pht, until } from './processes.ts';

/** A person's decision is an entry of the station's ledger, and its proof is in the person's home. */

const STATIONS = ['north', 'south', 'east'] as const;

type Proof = { file: string; cosigned: number; quorum: number; witnessed: boolean };
type Inbox = { hops: { hopId: string; trainId: string; state: string }[] };

describe('where an admin decides and three witnesses must cosign', () => {
  let journey: Journey;
  let socket: string[];
  beforeAll(async () => {
    journey = await makeJourney(
      STATIONS.map((id) => ({ id, policy: id === 'north' ? 'ask' : 'permit', ...arms(61, 62) })),
    );
    socket = ['--socket', join(journey.home('north'), 'admin.sock')];
    await journey.startDispatcher();
    await Promise.all(STATIONS.map((station) => journey.startStation(station)));
    await journey.online(STATIONS.length);
  }, 120_000);
  afterAll(() => journey.close());

  const admin = <T>(...args: string[]): Promise<T> =>
    ok<T>(journey.home('north-admin'), ['station', ...args, ...socket]);

  const waiting = async (): Promise<{ hopId: string; trainId: string }> => {
    const train = ['train', 'submit', 'trains/hello', '--stop', 'north'];
    const { trainId } = await ok<{ trainId: string }>(journey.home('lee'), train);
    return until('a train that waits for the admin', async () => {
      const { hops } = await admin<Inbox>('inbox');
      return hops.find((hop) => hop.trainId === trainId && hop.state === 'awaiting-clearance') ?? null;
    });
  };
  const outcomeOf = (trainId: string, outcome: string): Promise<unknown> =>
    until(`${trainId} to be ${outcome}`, async () => {
      const { value } = await pht<{ stations?: { state: string }[] }>(journey.home('lee'), [
        ...['train', 'result', trainId],
      ]);
      return value.stations?.[0]?.state === outcome;
    });
  const soundWith = async (trainId: string): Promise<string> => {
    const file = join(journey.dir, `${trainId}.disclosure`);
    await admin('disclose', trainId, '--to', 'dpo', '--out', file);
    await until('an audit that finds nothing', async () => {
      const { value } = await pht<{ verdict: string; findings: object[] }>(journey.home('dpo'), [
        ...['audit', 'verify', '--disclosure', file],
      ]);
      return value.verdict === 'sound' && value.findings.length === 0;
    });
    const { stdout } = await pht(journey.home('dpo'), ['audit', 'show', trainId]);
    return stdout;
  };

  it('an approval comes with a proof that they have cosigned', async () => {
    const { hopId, trainId } = await waiting();
    const { proof } = await admin<{ proof: Proof }>('approve', hopId, '--reason', 'seen');
    expect(proof).toMatchObject({ cosigned: 3, quorum: 3, witnessed: true });
    expect(proof.file).toBe(join(journey.home('north-admin'), 'approvals', `${hopId}.tlog-proof`));
    await outcomeOf(trainId, 'released');
    expect(await soundWith(trainId)).toContain('cleared in person');
  }, 120_000);

  it('a rejection does too, and no auditor takes it for a clearance', async () => {
    const { hopId, trainId } = await waiting();
    const { proof } = await admin<{ proof: Proof }>('reject', hopId, '--reason', 'no ethics vote');
    expect(proof).toMatchObject({ cosigned: 3, witnessed: true });
    await outcomeOf(trainId, 'refused');
    const life = await soundWith(trainId);
    expect(life).toContain('rejected');
    expect(life).not.toContain('cleared in person');
  }, 120_000);

  it('a standing one lets the next train through, until it is taken back', async () => {
    const { hopId, trainId } = await waiting();
    const until_ = new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10);
    const terms = ['--standing', '--runs', '5', '--until', until_, '--scope', 'code'];
    await admin('approve', hopId, ...terms, '--reason', 'the same every month');
    await outcomeOf(trainId, 'released');
    const submit = ['train', 'submit', 'trains/hello', '--stop', 'north'];
    const next = await ok<{ trainId: string }>(journey.home('lee'), submit);
    await outcomeOf(next.trainId, 'released');
    expect(await soundWith(next.trainId)).toContain('cleared in person');
    type Standing = { clearances: { digest: string; state: string; runsUsed: number; by: string }[] };
    const { clearances } = await admin<Standing>('standing');
    expect(clearances).toMatchObject([{ state: 'in-force', runsUsed: 2, by: 'north-admin' }]);
    const digest = clearances[0]?.digest ?? '';
    expect(await admin('withdraw', digest.slice(0, 16), '--reason', 'the study is over')).toMatchObject({
      ...{ clearances: [digest], hops: 0 },
    });
    const asked = await waiting();
    await admin('reject', asked.hopId, '--reason', 'the study is over');
    await outcomeOf(asked.trainId, 'refused');
  }, 120_000);

  it('while a witness is away the proof is under the signed checkpoint, and a better one can be had later', async () => {
    const { hopId, trainId } = await waiting();
    await journey.servers.get('south')?.kill();
    const { proof } = await admin<{ proof: Proof }>('approve', hopId, '--reason', 'seen');
    expect(proof).toMatchObject({ quorum: 3, witnessed: false });
    await journey.startStation('south');
    await until('a proof that all have cosigned', async () => {
      const again = await admin<Proof>('proof', hopId);
      expect(again.file).toBe(proof.file);
      return again.witnessed;
    });
    await outcomeOf(trainId, 'released');
  }, 120_000);
});
