import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arms, type Journey, makeJourney } from './harness.ts';
import { ok, pht, start, until } from './processes.ts';

/** Promise 8 with real processes: a result leaves when the other stations have cosigned its release, and not before. */

const STATIONS = ['north', 'south', 'east'] as const;

type Result = {
  stations: {
    station: string;
    state: string;
    code: string;
    proofs: { receipt: { size: number; witnesses: string[] } } | null;
  }[];
};
type Waiting = { hops: { state: string; problem: string }[] };
type Report = { verdict: string; findings: { code: string }[]; logs: { verified: boolean }[] };

describe('a network in which three witnesses must cosign', () => {
  let journey: Journey;
  beforeAll(async () => {
    journey = await makeJourney(STATIONS.map((id) => ({ id, policy: 'permit', ...arms(61, 62) })));
    await journey.startDispatcher();
    await Promise.all(STATIONS.map((station) => journey.startStation(station)));
    await journey.online(STATIONS.length);
  }, 120_000);
  afterAll(() => journey.close());

  const submit = async (...options: string[]): Promise<string> => {
    const train = ['train', 'submit', 'trains/hello', '--stop', 'north', ...options];
    return (await ok<{ trainId: string }>(journey.home('lee'), train)).trainId;
  };
  const resultOf = async (trainId: string): Promise<Result> =>
    (await pht<Result>(journey.home('lee'), ['train', 'result', trainId])).value;
  const waits = (): Promise<Waiting['hops'][number]> =>
    until('a result that waits for witnesses', async () => {
      const { hops } = await ok<Waiting>(journey.home('north'), ['station', 'inbox']);
      return hops.find(({ state, problem }) => state === 'awaiting-witness' && problem !== '') ?? null;
    });

  it('releases with a receipt that all of them have cosigned, and an audit finds nothing', async () => {
    const trainId = await submit('--wait');
    const [north] = (await resultOf(trainId)).stations;
    expect(north).toMatchObject({ station: 'north', state: 'released' });
    expect(north?.proofs?.receipt.witnesses.toSorted()).toEqual(['dispatcher', 'east', 'south']);
    const report = await until('an audit of all logs', async () => {
      const { value } = await pht<Report>(journey.home('dpo'), ['audit', 'verify']);
      return value.verdict === 'sound' && value;
    });
    expect(report.findings).toEqual([]);
    expect(report.logs.every(({ verified }) => verified)).toBe(true);
  }, 120_000);

  it('keeps a result, sealed, while a witness is away, also through a kill, and then releases it', async () => {
    await journey.servers.get('south')?.kill();
    const before = await journey.runs('north');
    const trainId = await submit();
    expect((await waits()).problem).toContain('south');
    expect((await resultOf(trainId)).stations).toMatchObject([{ state: 'awaiting-witness' }]);
    await journey.servers.get('north')?.kill();
    await journey.startStation('north');
    expect((await resultOf(trainId)).stations).toMatchObject([{ state: 'awaiting-witness' }]);
    await journey.startStation('south');
    await ok(journey.home('lee'), ['train', 'watch', trainId]);
    expect((await resultOf(trainId)).stations).toMatchObject([{ state: 'released' }]);
    expect(await journey.runs('north')).toBe(before + 1);
  }, 180_000);

  it('withholds it when the order has expired before the witness was back', async () => {
    await journey.servers.get('south')?.kill();
    const trainId = await submit('--expires-in', '15s');
    await waits();
    const ended = await until('the end', async () => {
      const [north] = (await resultOf(trainId)).stations;
      return north?.state === 'withheld' && north;
    });
    expect(ended.code).toBe('witness.unreachable');
    await journey.startStation('south');
    await journey.online(STATIONS.length);
    const sound = await until('an audit of all logs', async () => {
      const { value } = await pht<Report>(journey.home('dpo'), ['audit', 'verify']);
      return value.verdict === 'sound' && value;
    });
    expect(sound.findings).toEqual([]);
  }, 180_000);

  it('counts an auditor as one more witness, without whom nothing leaves where he is needed', async () => {
    const witnesses = ['dispatcher', ...STATIONS, 'dpo'].flatMap((id) => ['--witness', id]);
    await ok(journey.home('net'), ['network', 'witnesses', '--quorum', '4', '--faulty', '2', ...witnesses]);
    const file = join(journey.home('net'), 'network.json');
    for (const id of ['dispatcher', ...STATIONS, 'dpo', 'lee'])
      await ok(journey.home(id), ['network', 'import', file]);
    const trainId = await submit();
    // Four of the four others: nothing leaves before the auditor listens.
    expect((await waits()).problem).toContain('dpo');
    const witness = await start(journey.home('dpo'), ['audit', 'witness']);
    await ok(journey.home('lee'), ['train', 'watch', trainId]);
    const [north] = (await resultOf(trainId)).stations;
    expect(north?.proofs?.receipt.witnesses.toSorted()).toEqual(['dispatcher', 'dpo', 'east', 'south']);
    const sound = await until('an audit of all logs', async () => {
      const { value } = await pht<Report>(journey.home('dpo'), ['audit', 'verify']);
      return value.verdict === 'sound' && value;
    });
    expect(sound.findings).toEqual([]);
    await witness.stop();
  }, 180_000);
});
