import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Journey, makeJourney } from './harness.ts';
import { ok, ROOT } from './processes.ts';

type Result = { stations: { state: string; result: unknown }[] };

const table = (a: number, b: number, c: number, d: number): string =>
  `group\n${['a', 'b', 'c', 'd'].flatMap((level, at) => Array<string>([a, b, c, d][at] ?? 0).fill(level)).join('\n')}\n`;

/** A value that was suppressed must not show in what the researcher can open, not even by one byte. */
describe('a suppressed cell', () => {
  let journey: Journey;
  beforeAll(async () => {
    journey = await makeJourney([
      {
        id: 'north',
        policy: 'permit',
        csv: table(40, 30, 22, 3),
        columns: '  - { name: group, type: category, levels: [a, b, c, d] }',
      },
    ]);
    await journey.startDispatcher();
    await journey.startStation('north');
    await journey.online(1);
    const train = join(journey.dir, 'groups');
    await cp(join(ROOT, 'trains', 'cohort-summary'), train, { recursive: true });
    const yaml = await readFile(join(train, 'train.yaml'), 'utf8');
    const parameters = 'parameters:\n  counts: [group]\n  means: []\n  histograms: {}\n';
    await writeFile(join(train, 'train.yaml'), yaml.replace(/^parameters:\n(?: .*\n)*/m, parameters));
  }, 120_000);
  afterAll(() => journey.close());

  const released = async (csv: string): Promise<string> => {
    await writeFile(join(journey.home('north'), 'data', 'cgd.csv'), csv);
    const { trainId } = await ok<{ trainId: string }>(journey.home('lee'), [
      ...['train', 'submit', join(journey.dir, 'groups'), '--stop', 'north', '--min-stations', '1', '--wait'],
    ]);
    const { stations } = await ok<Result>(journey.home('lee'), ['train', 'result', trainId, '--no-combine']);
    expect(stations).toMatchObject([{ state: 'released' }]);
    return JSON.stringify(stations[0]?.result);
  };

  it('may be 3 or 7 and the decrypted result is the same; another shown cell changes it', async () => {
    const three = await released(table(40, 30, 22, 3));
    expect(three).toContain('"n":null');
    expect(await released(table(40, 30, 22, 7))).toBe(three);
    expect(await released(table(55, 30, 22, 3))).not.toBe(three);
  }, 180_000);
});
