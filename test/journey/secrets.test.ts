import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arms, type Journey, makeJourney } from './harness.ts';
import { ok } from './processes.ts';

describe('what the dispatcher holds', () => {
  let journey: Journey;
  beforeAll(async () => {
    journey = await makeJourney([{ id: 'north', policy: 'permit', ...arms(43_215, 0) }]);
    await journey.startDispatcher();
    await journey.startStation('north');
    await journey.online(1);
  }, 120_000);
  afterAll(() => journey.close());

  const everythingUnder = async (dir: string): Promise<Buffer> => {
    const entries = await readdir(dir, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    return Buffer.concat(await Promise.all(files.map((file) => readFile(file))));
  };

  it('is no result in clear, in any file or row, while the researcher has it', async () => {
    const { trainId } = await ok<{ trainId: string }>(journey.home('lee'), [
      ...['train', 'submit', 'trains/hello', '--stop', 'north', '--wait'],
    ]);
    const result = await ok(journey.home('lee'), ['train', 'result', trainId]);
    expect(JSON.stringify(result)).toContain('43215');
    const held = await everythingUnder(journey.home('dispatcher'));
    expect(held.includes('ECDH-ES+A256KW') || held.includes('ciphertext')).toBe(true);
    expect(held.includes('43215')).toBe(false);
    const station = await everythingUnder(journey.home('north'));
    expect(station.includes('43215')).toBe(false);
  }, 120_000);
});
