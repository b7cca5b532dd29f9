import { afterEach, describe, expect, it } from 'vitest';
import { arms, type Journey, makeJourney } from './harness.ts';
import { ok, pht, type Server, start, until } from './processes.ts';
import { slowTrain } from './slow-train.ts';

type Stop = { station: string; state: string; hopId: string };
type Listed = { trains: { trainId: string; state: string; stops: Stop[] }[] };
type Result = { stations: { station: string; state: string; result: unknown }[] };

/**
 * `kill -9` of real processes at moments told by conditions. Whatever dies, the journey ends by itself after a restart
 * with the same result, and nothing is released twice.
 */
describe('a journey survives kill -9', () => {
  let journey: Journey;
  afterEach(() => journey.close());

  const open = async (policy: 'permit' | 'ask' = 'permit'): Promise<void> => {
    journey = await makeJourney([{ id: 'north', policy, ...arms(61, 62) }]);
    await journey.startDispatcher();
    await journey.startStation('north');
    await journey.online(1);
  };
  const submit = async (train: string): Promise<string> => {
    const { trainId } = await ok<{ trainId: string }>(journey.home('lee'), [
      'train',
      'submit',
      train,
      '--stop',
      'north',
    ]);
    return trainId;
  };
  const stopOf = async (trainId: string): Promise<Stop | undefined> => {
    const { trains } = await ok<Listed>(journey.home('lee'), ['train', 'list']);
    return trains.find((each) => each.trainId === trainId)?.stops[0];
  };
  const reached = (trainId: string, ...states: string[]): Promise<unknown> =>
    until(`${trainId} to be ${states.join(' or ')}`, async () =>
      states.includes((await stopOf(trainId))?.state ?? ''),
    );
  const kill = async (member: string): Promise<void> => {
    const server = journey.servers.get(member) as Server;
    await server.kill();
  };
  const endsWell = async (trainId: string): Promise<void> => {
    await reached(trainId, 'released');
    const result = await ok<Result>(journey.home('lee'), ['train', 'result', trainId]);
    expect(result.stations).toMatchObject([{ station: 'north', state: 'released' }]);
    expect(JSON.stringify(result.stations[0]?.result)).toContain('"n":125');
    const audit = await ok<{ findings: { severity: string }[] }>(journey.home('dpo'), ['audit', 'verify']);
    expect(audit.findings.filter(({ severity }) => severity !== 'warning')).toEqual([]);
  };

  it('of the station before the run, while its admin decides', async () => {
    await open('ask');
    const trainId = await submit('trains/hello');
    await reached(trainId, 'awaiting-clearance');
    await kill('north');
    await journey.startStation('north');
    const hopId = (await stopOf(trainId))?.hopId ?? '';
    const socket = ['--socket', `${journey.home('north')}/admin.sock`];
    const approve = ['station', 'approve', hopId, '--reason', 'seen', ...socket];
    const { caseDigest } = await ok<{ caseDigest: string }>(journey.home('north-admin'), [
      ...['station', 'show', hopId, ...socket],
    ]);
    const other = await pht(journey.home('north-admin'), [...approve, '--case', 'f'.repeat(32)]);
    expect(other).toMatchObject({ status: 4, value: { error: { code: 'clearance.invalid' } } });
    const { proof } = await ok<{ proof: object }>(journey.home('north-admin'), [
      ...[...approve, '--case', caseDigest.slice(0, 32)],
    ]);
    const file = `${journey.home('north-admin')}/approvals/${hopId}.tlog-proof`;
    expect(proof).toMatchObject({ file, witnessed: true });
    await endsWell(trainId);
  }, 180_000);

  it('of the station during the run, whose container is removed and run again', async () => {
    await open();
    const train = await slowTrain(journey.dir);
    const trainId = await submit(train);
    await reached(trainId, 'running');
    await kill('north');
    await journey.startStation('north');
    await endsWell(trainId);
  }, 180_000);

  it('of the station after the run, and of the dispatcher with it', async () => {
    await open();
    const trainId = await submit('trains/hello');
    await reached(trainId, 'released');
    await kill('north');
    await kill('dispatcher');
    await journey.startDispatcher();
    await journey.startStation('north');
    await journey.online(1);
    await endsWell(trainId);
  }, 180_000);

  it('of the dispatcher during the run, which the station finishes alone', async () => {
    await open();
    const trainId = await submit(await slowTrain(journey.dir));
    await reached(trainId, 'running');
    await kill('dispatcher');
    await journey.startDispatcher();
    await endsWell(trainId);
  }, 180_000);

  it('of the watch, which harms nothing and can be started again', async () => {
    await open();
    const trainId = await submit(await slowTrain(journey.dir));
    const watch = await start(journey.home('lee'), ['train', 'watch', trainId]);
    await watch.kill();
    await ok(journey.home('lee'), ['train', 'watch', trainId]);
    await endsWell(trainId);
  }, 180_000);

  it("of one of two stations, which leaves the other station's run alone", async () => {
    journey = await makeJourney([
      { id: 'north', policy: 'permit', ...arms(61, 62) },
      { id: 'south', policy: 'permit', ...arms(40, 43) },
    ]);
    await journey.startDispatcher();
    await Promise.all([journey.startStation('north'), journey.startStation('south')]);
    await journey.online(2);
    const { trainId } = await ok<{ trainId: string }>(journey.home('lee'), [
      ...['train', 'submit', await slowTrain(journey.dir), '--stop', 'north', '--stop', 'south'],
    ]);
    const both = await until('both to run', async () => {
      const running = await journey.containers();
      return running.length === 2 && running;
    });
    const south = both.find(({ owner }) => owner.endsWith('south'));
    await kill('north');
    await journey.startStation('north');
    expect(await journey.containers()).toContainEqual(south);
    await ok(journey.home('lee'), ['train', 'watch', trainId]);
    const result = await ok<Result>(journey.home('lee'), ['train', 'result', trainId]);
    expect(result.stations).toMatchObject([{ state: 'released' }, { state: 'released' }]);
    expect(await journey.runs('south')).toBe(1);
    expect(await journey.runs('north')).toBe(2);
  }, 180_000);
});
