import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeNetwork, memberIn, publicOf } from '../../../test/fakes/network.ts';
import { memberOf } from '../../model/network.ts';
import {
  loadFormerKeys,
  loadNextKey,
  nextKeys,
  placeKeys,
  placeListedKeys,
  rotatedKeys,
  storeNextKeys,
} from './key-rotation.ts';
import { generateKey, type KeyUse, loadKey, storeKey } from './keys.ts';
import type { Home } from './member.ts';
import { lastGoodNetwork } from './network-copy.ts';
import { importNetwork, storeNetwork } from './network-file.ts';

const fake = await makeNetwork();
const NEVER = (): Promise<string> => Promise.reject(new Error('asked for a passphrase'));
const PASS = (): Promise<string> => Promise.resolve('correct horse');

let home: Home;
beforeEach(async () => {
  const dir = mkdtempSync(join(tmpdir(), 'pht-rotation-'));
  mkdirSync(join(dir, 'keys'), { mode: 0o700 });
  const member = {
    ...({ v: 1, id: 'north', role: 'station', title: 'North', organisation: 'N' } as const),
    networkId: fake.network.id,
  };
  home = { dir, member };
  const { keys } = memberIn(fake, 'north');
  for (const use of ['statement', 'tls', 'encryption'] as const) await storeKey(dir, use, keys[use], null);
});
afterEach(() => rmSync(home.dir, { recursive: true, force: true }));

const keyFile = (...names: string[]): string => join(home.dir, 'keys', ...names);
const names =
  (...among: string[]) =>
  (use: KeyUse): boolean =>
    among.includes(use);

test('which keys are replaced, by role', () => {
  const usesOf = (role: Home['member']['role']): KeyUse[] =>
    rotatedKeys({ member: { ...home.member, role } });
  expect(usesOf('station')).toStrictEqual(['statement', 'tls', 'log', 'witness', 'encryption']);
  expect(usesOf('dispatcher')).toStrictEqual(['statement', 'tls', 'log', 'witness']);
  expect(usesOf('admin')).toStrictEqual(['statement']);
  expect(usesOf('authority')).toStrictEqual(['statement', 'tls']);
});

test('new keys wait, private, and take their places when they are named', async () => {
  const before = await loadKey(home.dir, 'statement', NEVER);
  const made = { statement: generateKey('statement'), tls: generateKey('tls') };
  await storeNextKeys(home, made, NEVER);
  expect(nextKeys(home)).toEqual({ statement: publicOf(made.statement), tls: publicOf(made.tls) });
  expect(statSync(keyFile('next')).mode & 0o777).toBe(0o700);
  expect(statSync(keyFile('next', 'statement.jwk')).mode & 0o777).toBe(0o600);
  expect(placeKeys(home, names(), '7')).toStrictEqual([]);
  expect(await loadKey(home.dir, 'statement', NEVER)).toEqual(before);

  expect(placeKeys(home, names('statement'), '7')).toStrictEqual(['statement']);
  expect(await loadKey(home.dir, 'statement', NEVER)).toEqual(made.statement);
  expect(nextKeys(home)).toEqual({ tls: publicOf(made.tls) });
  expect(await loadFormerKeys(home, 'statement', NEVER)).toEqual([before]);
  expect(await loadNextKey(home, 'tls', NEVER)).toEqual(made.tls);
  expect(placeKeys(home, names('tls'), '8')).toStrictEqual(['tls']);
  expect(existsSync(keyFile('next'))).toBe(false);
  expect(placeKeys(home, names('tls'), '9')).toStrictEqual([]);
});

test('those made again replace those that wait, and others go on waiting', async () => {
  const tls = generateKey('tls');
  await storeNextKeys(home, { statement: generateKey('statement'), tls }, NEVER);
  const statement = generateKey('statement');
  await storeNextKeys(home, { statement }, NEVER);
  expect(nextKeys(home)).toEqual({ tls: publicOf(tls), statement: publicOf(statement) });
  expect(await loadNextKey(home, 'statement', NEVER)).toEqual(statement);
});

test('under a passphrase a key is followed by one under it', async () => {
  rmSync(keyFile('statement.jwk'));
  await storeKey(home.dir, 'statement', memberIn(fake, 'north').keys.statement, 'correct horse');
  const statement = generateKey('statement');
  await storeNextKeys(home, { statement, tls: generateKey('tls') }, PASS);
  expect(readdirSync(keyFile('next')).sort()).toStrictEqual(['public.json', 'statement.jwe', 'tls.jwk']);
  placeKeys(home, names('statement', 'tls'), '2');
  expect(await loadKey(home.dir, 'statement', PASS)).toEqual(statement);
});

test('killed at any step, a key is there, and the next try finishes the move', async () => {
  const old = await loadKey(home.dir, 'statement', NEVER);
  const statement = generateKey('statement');
  await storeNextKeys(home, { statement }, NEVER);
  const whole = join(home.dir, 'whole');
  cpSync(keyFile(), whole, { recursive: true });
  const steps: ((keys: string) => void)[] = [
    () => undefined,
    (keys) => mkdirSync(join(keys, 'former', '5'), { recursive: true, mode: 0o700 }),
    (keys) => cpSync(join(keys, 'statement.jwk'), join(keys, 'former', '5', 'statement.jwk')),
    (keys) => renameSync(join(keys, 'next', 'statement.jwk'), join(keys, 'statement.jwk')),
    (keys) => rmSync(join(keys, 'next'), { recursive: true }),
  ];
  for (let done = 1; done <= steps.length; done++) {
    rmSync(keyFile(), { recursive: true });
    cpSync(whole, keyFile(), { recursive: true });
    for (const step of steps.slice(0, done)) step(keyFile());
    const found = await loadKey(home.dir, 'statement', NEVER);
    expect([old.x, statement.x]).toContain(found.x);
    placeKeys(home, names('statement'), '5');
    expect(await loadKey(home.dir, 'statement', NEVER)).toEqual(statement);
    expect(await loadFormerKeys(home, 'statement', NEVER)).toEqual([old]);
    expect(existsSync(keyFile('next'))).toBe(false);
  }
});

test('of two keys that were replaced under one label neither is lost', async () => {
  const [first, second, third] = [
    await loadKey(home.dir, 'statement', NEVER),
    generateKey('statement'),
    generateKey('statement'),
  ];
  for (const next of [second, third]) {
    await storeNextKeys(home, { statement: next }, NEVER);
    placeKeys(home, names('statement'), '2');
  }
  expect(await loadKey(home.dir, 'statement', NEVER)).toEqual(third);
  expect(await loadFormerKeys(home, 'statement', NEVER)).toEqual([second, first]);
});

test('importing the list that names them is what moves them, and a list that does not leaves them', async () => {
  const net = await makeNetwork();
  const mine: Home = { ...home, member: { ...home.member, networkId: net.network.id } };
  storeNetwork(home.dir, net.files, net.network);
  const encryption = generateKey('encryption');
  await storeNextKeys(mine, { encryption }, NEVER);
  const entry = memberOf(net.network, 'north', 'station');
  importNetwork(mine, net.next({ issuedAtMs: Date.now() + 1000 }).files);
  expect(nextKeys(mine)).toEqual({ encryption: publicOf(encryption) });
  const renewed = { ...entry, keys: { ...entry.keys, encryption: publicOf(encryption) } };
  const named = net.next({ issuedAtMs: Date.now() + 2000, renewed: [{ member: renewed }] });
  importNetwork(mine, named.files);
  expect(nextKeys(mine)).toEqual({});
  expect(await loadKey(home.dir, 'encryption', NEVER)).toEqual(encryption);
  expect(await loadFormerKeys(mine, 'encryption', NEVER)).toHaveLength(1);
  // A crash before the move: the same import again finishes it.
  const again = generateKey('encryption');
  await storeNextKeys(mine, { encryption: again }, NEVER);
  expect(placeListedKeys(mine, named.network)).toStrictEqual([]);
});

test('placed by two processes at once, each is in its place and none is lost', async () => {
  const turns = new Int32Array(new SharedArrayBuffer(8));
  const other = new Worker(
    `const { workerData: { url, dir, turns, rounds } } = require('node:worker_threads');
    import(url).then(({ placeKeys }) => {
      for (let round = 1; round <= rounds; round++) {
        Atomics.wait(turns, 0, round - 1);
        placeKeys({ dir }, () => true, String(round));
        Atomics.store(turns, 1, round);
        Atomics.notify(turns, 1);
      }
    });`,
    {
      eval: true,
      workerData: { url: new URL('key-rotation.ts', import.meta.url).href, dir: home.dir, turns, rounds: 20 },
    },
  );
  const ended = once(other, 'exit');
  const keys = [await loadKey(home.dir, 'statement', NEVER)];
  for (let round = 1; round <= 20; round++) {
    const statement = generateKey('statement');
    await storeNextKeys(home, { statement }, NEVER);
    Atomics.store(turns, 0, round);
    Atomics.notify(turns, 0);
    placeKeys(home, () => true, String(round));
    await Atomics.waitAsync(turns, 1, round - 1).value;
    keys.unshift(statement);
    expect(await loadKey(home.dir, 'statement', NEVER)).toEqual(statement);
  }
  expect(await ended).toEqual([0]);
  expect(await loadFormerKeys(home, 'statement', NEVER)).toEqual(keys.slice(1));
});

test('a process that starts puts what a kill has kept from its place there', async () => {
  const net = await makeNetwork();
  const mine: Home = { ...home, member: { ...home.member, networkId: net.network.id } };
  const tls = generateKey('tls');
  await storeNextKeys(mine, { tls, statement: generateKey('statement') }, NEVER);
  const entry = memberOf(net.network, 'north', 'station');
  const renewed = [{ member: { ...entry, keys: { ...entry.keys, tls: publicOf(tls) } } }];
  const named = net.next({ issuedAtMs: Date.now() + 1000, renewed });
  storeNetwork(home.dir, named.files, named.network);
  lastGoodNetwork(mine, () => undefined);
  expect(await loadKey(home.dir, 'tls', NEVER)).toEqual(tls);
  expect(Object.keys(nextKeys(mine))).toEqual(['statement']);
});

test('a damaged note of what waits is refused', async () => {
  await storeNextKeys(home, { tls: generateKey('tls') }, NEVER);
  rmSync(keyFile('next', 'public.json'));
  expect(nextKeys(home)).toEqual({});
  const { writeFileSync } = await import('node:fs');
  writeFileSync(keyFile('next', 'public.json'), '{"v":1,"keys":{"king":{}}}');
  expect(() => nextKeys(home)).toThrow(expect.objectContaining({ code: 'config.invalid' }));
});
