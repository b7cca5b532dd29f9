import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Arrival, admissionFileOf, proofFileOf } from '../../model/account.ts';
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

test('the columns that train.yaml names are kept beside the manifest, where it names any', () => {
  expect(keep().find(ID).columns).toEqual([]);
  const other = 'trn_abcdefabcdefabcdefabcdef' as TrainId;
  const trains = createPackedTrains(dir);
  const train = {
    trainId: other,
    manifest: Buffer.from('{}'),
    key: generateKey('encryption'),
    departure: null,
  };
  trains.keep({ ...train, columns: ['age', 'sex'] });
  expect(trains.find(other).columns).toEqual(['age', 'sex']);
  writeFileSync(join(dir, 'trains', other, 'columns.json'), '["../etc"]');
  expect(() => trains.find(other)).toThrow(expect.objectContaining({ code: 'config.invalid' }));
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

test('proofs lie in their places, closed to others, and the newest stays', () => {
  const trains = keep();
  const arrivals = createArrivals(dir);
  trains.keepAdmission(ID, Buffer.from('admitted'));
  arrivals.keepProofs(ID, 'north', { order: Buffer.from('ordered'), receipt: Buffer.from('expired') });
  arrivals.keepProofs(ID, 'north', { order: Buffer.from('ordered'), receipt: Buffer.from('released') });
  arrivals.keep(ARRIVAL);
  const kept = [
    [admissionFileOf(ID), 'admitted'],
    [proofFileOf(ID, 'north', 'order'), 'ordered'],
    [proofFileOf(ID, 'north', 'receipt'), 'released'],
  ] as const;
  for (const [file, content] of kept) {
    expect(readFileSync(join(dir, file), 'utf8')).toBe(content);
    expect(statSync(join(dir, file)).mode & 0o777).toBe(0o600);
  }
  const results = join(dir, 'trains', ID, 'results');
  expect(readdirSync(results)).toEqual(['north.order.tlog-proof', 'north.receipt.tlog-proof']);
  expect(statSync(results).mode & 0o777).toBe(0o700);
});

test('an arrival that was kept before proofs came along is still read', () => {
  keep();
  const account = {
    station: 'north',
    word: 'attested',
    state: 'refused',
    code: 'policy.denied',
    text: '',
    reasons: [],
    atMs: 1,
    receiptDigest: 'a'.repeat(64),
    snapshotDigest: null,
    result: null,
  };
  const path = join(dir, 'trains', ID, 'arrival.json');
  writeFileSync(path, JSON.stringify({ ...ARRIVAL, stations: [account] }));
  expect(createArrivals(dir).find(ID)?.stations).toEqual([{ ...account, proofs: null }]);
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
