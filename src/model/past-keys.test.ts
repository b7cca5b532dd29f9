import { beforeEach, describe, expect, it } from 'vitest';
import { ed25519, type FakeNetwork, makeNetwork, publicOf, x25519 } from '../../test/fakes/network.ts';
import type { Member, Network } from './network.ts';
import { countsAt, inForce, logKeysOf, ownLogKeys, witnessKeysOf } from './past-keys.ts';

const NOW_MS = 1_800_000_000_000;

let fake: FakeNetwork;
let network: Network;
beforeEach(async () => {
  fake = await makeNetwork({ nowMs: NOW_MS });
  network = fake.network;
});

const listed = (id: string): Member => {
  const member = network.members.get(id);
  if (member === undefined) throw new Error(`no member ${id}`);
  return member;
};
const renew = (
  change: Partial<Member['keys']>,
  more: { invalidAfterMs?: number; title?: string } = {},
): void => {
  const { title = 'the same', ...rest } = more;
  const north = listed('north');
  const member = { ...north, title, keys: { ...north.keys, ...change } };
  network = fake.next({ renewed: [{ member, ...rest }], issuedAtMs: NOW_MS + 1000 }).network;
};
const revoke = (atMs: number): void => {
  network = fake.next({ revoked: [{ id: 'north', reason: 'x' }], issuedAtMs: atMs }).network;
};
const told = (keys: ReturnType<typeof logKeysOf>) =>
  keys.map(({ since, endsMs, stolen }) => [since, endsMs, stolen]);

describe('the log keys of a member', () => {
  it('are one as long as it is the same, whatever else changes', () => {
    renew({}, { title: 'another' });
    renew({ encryption: publicOf(x25519()) });
    expect(told(logKeysOf(network, 'north'))).toEqual([[1, null, false]]);
  });

  it('follow each other, and a retired one counts still', () => {
    renew({ log: publicOf(ed25519()) });
    expect(told(logKeysOf(network, 'north'))).toEqual([
      [1, null, false],
      [2, null, false],
    ]);
    expect(told(witnessKeysOf(network, 'north'))).toEqual([[1, null, false]]);
    expect(inForce(logKeysOf(network, 'north'))).toHaveLength(2);
  });

  it('end with the member, all of them', () => {
    renew({ log: publicOf(ed25519()) });
    revoke(NOW_MS + 5000);
    expect(told(logKeysOf(network, 'north'))).toEqual([
      [1, NOW_MS + 5000, false],
      [2, NOW_MS + 5000, false],
    ]);
    expect(inForce(logKeysOf(network, 'north'))).toEqual([]);
  });

  it('end where one got into other hands, be it learnt later', () => {
    renew({ log: publicOf(ed25519()) }, { invalidAfterMs: NOW_MS - 7 });
    expect(told(logKeysOf(network, 'north'))).toEqual([
      [1, NOW_MS - 7, true],
      [2, null, false],
    ]);
    // What the new entry names again was not in other hands.
    expect(told(witnessKeysOf(network, 'north'))).toEqual([[1, null, false]]);
    revoke(NOW_MS + 5000);
    expect(told(logKeysOf(network, 'north'))).toEqual([
      [1, NOW_MS - 7, true],
      [2, NOW_MS + 5000, false],
    ]);
  });

  it('begin anew with whoever is admitted again', () => {
    const north = listed('north');
    revoke(NOW_MS + 5000);
    const keys = { statement: publicOf(ed25519()), log: publicOf(ed25519()) };
    network = fake.next({ admitted: [{ ...north, keys }], issuedAtMs: NOW_MS + 6000 }).network;
    expect(told(logKeysOf(network, 'north'))).toEqual([
      [1, NOW_MS + 5000, false],
      [3, null, false],
    ]);
  });

  it('with the one at hand are what a member cannot deny', () => {
    const next = publicOf(ed25519());
    expect(ownLogKeys(network, 'north', next)).toHaveLength(2);
    renew({ log: next });
    expect(ownLogKeys(network, 'north', next)).toHaveLength(2);
    expect(logKeysOf(network, 'nobody')).toEqual([]);
  });
});

it('a key that has ended counts for what is known to be older', () => {
  expect(countsAt({ endsMs: null }, null)).toBe(true);
  expect(countsAt({ endsMs: 5 }, null)).toBe(false);
  expect([4, 5, 6].map((atMs) => countsAt({ endsMs: 5 }, atMs))).toEqual([true, false, false]);
});
