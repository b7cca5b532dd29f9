import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Arrival } from '../../model/account.ts';
import type { TrainId } from '../../model/id.ts';
import { generateKey } from './keys.ts';
import { createArrivals, createPackedTrains } from './trains.ts';

const ID = 'trn_0123456789abcdef01234567' as TrainId;
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'trains-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function keep(): ReturnType<typeof createPackedTrains> {
  const trains = createPackedTrains(dir);
  trains.keep({
    trainId: ID,
    manifest: Buffer.from('{"a":1}'),
    key: generateKey('encryption'),
    departure: null,
  });
  return trains;
}

const ARRIVAL: Arrival = {
  schema: 'pht-arrival/v1',
  trainId: ID,
  title: 'Hello',
  state: 'arrived',
  minStations: 1,
  complete: true,
  stations: [],
};

test('a kept train is found as it was, closed to others, and nothing else lies beside it', () => {
  const trains = keep();
  const found = trains.find(ID);
  expect(Buffer.from(found.manifest).toString()).toBe('{"a":1}');
  expect(found.key?.d).toMatch(/^[\w-]{43}$/);
  expect(found.departure).toBeNull();
  expect(trains.list()).toEqual([ID]);
  expect(readdirSync(join(dir, 'trains'))).toEqual([ID]);
  const folder = join(dir, 'trains', ID);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
});

test('a draft that a crash left is no train', () => {
  const trains = keep();
  createPackedTrains(dir);
  expect(() => trains.find('trn_ffffffffffffffffffffffff' as TrainId)).toThrow(
    expect.objectContaining({ code: 'not-found' }),
  );
  expect(createPackedTrains(join(dir, 'nowhere')).list()).toEqual([]);
});

test('a submission is remembered', () => {
  const trains = keep();
  trains.mark(ID, { idempotencyKey: 'a-key-of-mine', departed: false });
  expect(trains.find(ID).departure).toEqual({ idempotencyKey: 'a-key-of-mine', departed: false });
});

test('an arrival is kept, and the key is gone for good', () => {
  const trains = keep();
  const arrivals = createArrivals(dir);
  expect(arrivals.find(ID)).toBeNull();
  arrivals.keep(ARRIVAL);
  expect(arrivals.find(ID)).toEqual(ARRIVAL);
  expect(trains.find(ID).key).toBeNull();
  expect(existsSync(join(dir, 'trains', ID, 'key.jwk'))).toBe(false);
});

test.each([
  ['key.jwk', '', 'input.malformed'],
  ['key.jwk', '{"kty":"OKP"', 'input.malformed'],
  ['key.jwk', '{"kty":"OKP","crv":"Ed25519","x":"a","d":"b"}', 'config.invalid'],
  ['key.jwk', ' '.repeat(9000), 'input.too-large'],
  ['departure.json', '{"v":1,"v":1}', 'input.malformed'],
  ['departure.json', '{"v":2,"idempotencyKey":"12345678","departed":true}', 'config.invalid'],
  ['manifest.dsse.json', '', 'input.malformed'],
])('a damaged %s (%j) is refused', (name, content, code) => {
  const trains = keep();
  writeFileSync(join(dir, 'trains', ID, name), content);
  expect(() => trains.find(ID)).toThrow(expect.objectContaining({ code }));
});

test('a damaged arrival is refused', () => {
  keep();
  writeFileSync(
    join(dir, 'trains', ID, 'arrival.json'),
    JSON.stringify({ ...ARRIVAL, stations: [{ station: 'north' }] }),
  );
  expect(() => createArrivals(dir).find(ID)).toThrow(expect.objectContaining({ code: 'config.invalid' }));
});
