import { beforeAll, describe, expect, test } from 'vitest';
import { type FakeNetwork, makeNetwork } from '../../../test/fakes/network.ts';
import { makeImage } from '../../../test/fakes/trains.ts';
import { TrainFile } from '../../model/train-file.ts';
import { type Choices, draftManifest, finishManifest } from './manifest.ts';

const FILE = TrainFile.parse({
  title: 'Hello',
  purpose: { text: 'Count the rows of a dataset.' },
  dataset: 'cgd',
  parameters: { event: '1', threshold: 5, deep: true, columns: ['a'], cuts: { age: [1, 2] } },
  outputs: { kinds: ['Frequencies'] },
});
const NOW_MS = 1_800_000_000_000;
const DAY_MS = 86_400_000;
const POINT = `${'B'.repeat(42)}A`;
let fake: FakeNetwork;
beforeAll(async () => {
  fake = await makeNetwork({ nowMs: NOW_MS });
});

const draft = (choices: Partial<Choices> = {}, id = 'rosa') =>
  draftManifest(
    FILE,
    { stops: ['north'], parameters: [], ...choices },
    { id, network: fake.network },
    NOW_MS,
  );

test('a manifest expires after 30 days unless said otherwise, and each has its own nonce', () => {
  expect(draft().expiresMs).toBe(NOW_MS + 30 * DAY_MS);
  expect(draft({ lifetimeMs: 10_000 }).expiresMs).toBe(NOW_MS + 10_000);
  expect(draft().nonce).not.toBe(draft().nonce);
  expect(() => draft({ lifetimeMs: 91 * DAY_MS })).toThrow(
    expect.objectContaining({ code: 'manifest.too-long' }),
  );
});

test('the private half of a train’s key is never signed along', () => {
  const key = { kty: 'OKP', crv: 'X25519', x: POINT, d: 'C'.repeat(43) } as const;
  const manifest = finishManifest(draft(), makeImage().image, key);
  expect(manifest.recipients).toEqual([{ member: 'rosa', jwk: { kty: 'OKP', crv: 'X25519', x: POINT } }]);
  expect(JSON.stringify(manifest)).not.toContain('C'.repeat(43));
});

describe('a parameter keeps its type', () => {
  test.each([
    ['event=0', { event: '0' }],
    ['event=a=b', { event: 'a=b' }],
    ['threshold=7.5', { threshold: 7.5 }],
    ['deep=false', { deep: false }],
    ['columns=["b","c"]', { columns: ['b', 'c'] }],
    ['cuts={"age":[3]}', { cuts: { age: [3] } }],
  ])('%s', (choice, expected) => {
    expect(draft({ parameters: [choice] }).parameters).toMatchObject(expected);
  });

  test.each([
    'threshold=many',
    'threshold="7"',
    'deep=1',
    'columns={}',
    'other=1',
    'event',
    '=1',
    '__proto__=1',
    'cuts=null',
    'cuts={"age":null}',
  ])('%s is refused', (choice) => {
    expect(() => draft({ parameters: [choice] })).toThrow(expect.objectContaining({ code: 'usage.invalid' }));
  });
});

test.each([
  ['a stop that is no station', { stops: ['rosa'] }, 'usage.invalid'],
  ['a stop that nobody knows', { stops: ['west'] }, 'usage.invalid'],
  ['fewer stops than results', { minStations: 2 }, 'usage.invalid'],
  ['a dataset that is no name', { dataset: 'A B' }, 'usage.invalid'],
])('%s', (_, choices, code) => {
  expect(() => draft(choices)).toThrow(expect.objectContaining({ code }));
});

test('only a researcher of this network packs', () => {
  expect(() => draft({}, 'north')).toThrow(expect.objectContaining({ code: 'signer.unknown' }));
});
