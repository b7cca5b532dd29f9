import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arms, type Journey, makeJourney } from './harness.ts';
import { ok, pht } from './processes.ts';

type Result = {
  stations: { station: string; state: string; code: string; result: { outputs: unknown[] } | null }[];
};

describe('hello at one station', () => {
  let journey: Journey;
  beforeAll(async () => {
    journey = await makeJourney([{ id: 'north', policy: 'permit', ...arms(61, 62) }]);
    await journey.startDispatcher();
    await journey.startStation('north');
    await journey.online(1);
  }, 120_000);
  afterAll(() => journey.close());

  it('travels, runs, and comes back as a count that the gate has rounded', async () => {
    const { trainId } = await ok<{ trainId: string }>(journey.home('lee'), [
      ...['train', 'submit', 'trains/hello', '--stop', 'north', '--wait'],
    ]);
    const result = await ok<Result>(journey.home('lee'), ['train', 'result', trainId]);
    expect(result.stations).toMatchObject([{ station: 'north', state: 'released' }]);
    expect(JSON.stringify(result)).toContain('"n":125');
    expect(JSON.stringify(result)).not.toContain('123');
  }, 120_000);

  it('leaves ledgers that an auditor verifies through the dispatcher', async () => {
    const answer = await pht(journey.home('dpo'), ['audit', 'verify']);
    expect(answer.status, answer.stdout + answer.stderr).toBe(0);
  });
});
