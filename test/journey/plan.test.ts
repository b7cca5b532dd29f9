import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Plan } from '../../src/journey/researcher/plan.ts';
import { arms, type Journey, makeJourney } from './harness.ts';
import { ok, pht } from './processes.ts';

describe('a researcher asks before submitting', () => {
  let journey: Journey;
  beforeAll(async () => {
    journey = await makeJourney([
      { id: 'north', policy: 'permit', ...arms(61, 62) },
      { id: 'south', policy: 'ask', ...arms(5, 5) },
      { id: 'west', policy: 'permit', ...arms(9, 9), config: 'inquiries: refused\n' },
      { id: 'east', policy: 'permit', ...arms(9, 9) },
    ]);
    await journey.startDispatcher();
    await Promise.all(['north', 'south', 'west'].map((id) => journey.startStation(id)));
    await journey.online(3);
  }, 120_000);
  afterAll(() => journey.close());

  const asked = (trainId: string, ...more: string[]): Promise<Plan> =>
    ok<Plan>(journey.home('lee'), ['train', 'plan', trainId, ...more]);

  it('and hears what each station would say, signed, whatever its data hold', async () => {
    const { trainId } = await ok<{ trainId: string }>(journey.home('lee'), [
      ...['train', 'pack', 'trains/hello', '--all-stops', '--min-stations', '3'],
    ]);
    const first = await asked(trainId, '--columns', 'treat,age');
    const of = (station: string) => first.stops.find((stop) => stop.station === station);
    const lacks = { offered: true, missingColumns: ['age'] };
    expect(of('north')).toMatchObject({ word: 'replied', outlook: { verdict: 'permit', dataset: lacks } });
    expect(of('south')).toMatchObject({ word: 'replied', outlook: { verdict: 'ask', approvals: 1 } });
    expect(of('west')).toMatchObject({ word: 'silent', online: true, outlook: null });
    expect(of('east')).toMatchObject({ word: 'offline', online: false, outlook: null });
    expect(first).toMatchObject({ able: 0, enough: false });

    await writeFile(join(journey.home('north'), 'data', 'cgd.csv'), 'treat\n');
    const second = await asked(trainId, '--columns', 'treat,age');
    expect(second.stops.map(({ outlook }) => outlook)).toEqual(first.stops.map(({ outlook }) => outlook));
    expect(await asked(trainId, '--columns', 'treat')).toMatchObject({ able: 2, enough: false });
  }, 60_000);

  it('while nothing is submitted, and the ledgers of those who answered verify', async () => {
    const { trains } = await ok<{ trains: { state: string }[] }>(journey.home('lee'), ['train', 'list']);
    expect(trains).toMatchObject([{ state: 'packed' }]);
    expect(await journey.runs('north')).toBe(0);
    const audit = await pht(journey.home('dpo'), ['audit', 'verify']);
    expect(audit.status, audit.stdout + audit.stderr).toBe(0);
  }, 60_000);
});
