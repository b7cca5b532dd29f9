import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ed25519, type FakeNetwork, makeNetwork, memberIn, publicOf } from '../../test/fakes/network.ts';
import { keysFolder, storeKeyIn } from '../adapters/home/keys.ts';
import type { Home } from '../adapters/home/member.ts';
import type { Network } from '../model/network.ts';
import { logSignersOf } from './log-signers.ts';

let dir: string;
let fake: FakeNetwork;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'log-signers-'));
  fake = await makeNetwork();
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

type Jwk = ReturnType<typeof ed25519>;

async function keep(jwk: Jwk, ...folders: string[]): Promise<void> {
  const folder = join(keysFolder(dir), ...folders);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  await storeKeyIn(folder, 'log', jwk, null);
}

function listed(jwk: Jwk): Network {
  const north = fake.network.members.get('north');
  if (north === undefined) throw new Error('no north');
  const member = { ...north, keys: { ...north.keys, log: publicOf(jwk) } };
  return fake.next({ renewed: [{ member }] }).network;
}

async function signers(network: Network): Promise<string[]> {
  const home = { dir, member: { id: 'north' } } as Home;
  const { signer, former } = await logSignersOf(home, network);
  return [signer, ...former].map(({ publicJwk }) => publicJwk.x);
}

it('signs with the key at hand, and knows those that it replaced, newest first', async () => {
  const [first, second, third] = [memberIn(fake, 'north').keys.log, ed25519(), ed25519()];
  await keep(third);
  await keep(second, 'former', '12');
  await keep(first, 'former', '3');
  expect(await signers(listed(third))).toEqual([third.x, second.x, first.x]);
});

it('signs with the key that the network lists, while that is an earlier one', async () => {
  const next = ed25519();
  const old = memberIn(fake, 'north').keys.log;
  await keep(next);
  await keep(old, 'former', '2');
  expect(await signers(fake.network)).toEqual([old.x]);
});

it('has nothing to rotate from in a home that never did', async () => {
  await keep(memberIn(fake, 'north').keys.log);
  expect(await signers(fake.network)).toEqual([memberIn(fake, 'north').keys.log.x]);
  expect(await signers(listed(ed25519()))).toHaveLength(1);
});
