import { describe, expect, test } from 'vitest';
import { ed25519, makeNetwork, memberIn, publicOf } from '../../test/fakes/network.ts';
import { PhtError } from './error.ts';
import { digestOf } from './id.ts';
import {
  assertCurrent,
  assertFresh,
  LOOKING_BACK,
  type Member,
  memberOf,
  membersOf,
  type Network,
  personOf,
  type Role,
  signerOf,
} from './network.ts';
import { asOf } from './network-as-of.ts';

const NOW = Date.UTC(2026, 0, 15);
const DAY_MS = 86_400_000;

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    return thrown instanceof PhtError ? thrown.code : `not ours: ${String(thrown)}`;
  }
  return 'accepted';
}

const fake = await makeNetwork({ nowMs: NOW });
const rosaThen = memberOf(fake.network, 'rosa', 'researcher');

test('members are looked up by id and role', () => {
  expect(rosaThen.id).toBe('rosa');
  expect(membersOf(fake.network, 'station').map(({ id }) => id)).toStrictEqual(['north', 'south']);
  expect(codeOf(() => memberOf(fake.network, 'rosa', 'station'))).toBe('signer.unknown');
  expect(codeOf(() => memberOf(fake.network, 'eve', 'station'))).toBe('signer.unknown');
  expect(personOf(rosaThen)).toBe('rosa');
  expect(personOf({ ...rosaThen, person: 'r' })).toBe('r');
});

test('a network is good until the earlier expiry, and fresh until the word of the authority ends', () => {
  const { network } = fake;
  expect(codeOf(() => assertCurrent(network, network.expiresMs - 1))).toBe('accepted');
  expect(codeOf(() => assertCurrent(network, network.expiresMs))).toBe('network.expired');
  expect(codeOf(() => assertCurrent(network, LOOKING_BACK))).toBe('accepted');
  expect(codeOf(() => assertFresh(network, network.freshness.expiresMs - 1))).toBe('accepted');
  expect(codeOf(() => assertFresh(network, network.freshness.expiresMs))).toBe('network.stale');
  expect(codeOf(() => assertFresh(network, network.expiresMs))).toBe('network.expired');
  const told = { ...network, freshness: { ...network.freshness, version: 2 } };
  expect(codeOf(() => assertFresh(told, NOW))).toBe('network.behind');
});

describe('whose keys judge a statement', async () => {
  const next = await makeNetwork({ nowMs: NOW });
  const newKeys = { ...memberOf(next.network, 'rosa', 'researcher').keys, statement: publicOf(ed25519()) };
  const first = next.network;
  const rosa: Member = { ...memberOf(first, 'rosa', 'researcher'), keys: newKeys };
  next.next({ issuedAtMs: NOW + DAY_MS, renewed: [{ member: rosa }] });
  const three = next.next({
    issuedAtMs: NOW + 2 * DAY_MS,
    revoked: [{ id: 'rosa', reason: 'left' }],
  }).network;
  const by = (networkVersion: number, issuer = 'rosa', networkId: string = first.id) => ({
    networkId,
    networkVersion,
    issuer,
  });
  const judged = (version: number, provenAtMs: number | null = null, role: Role = 'researcher'): string =>
    codeOf(() => signerOf(three, by(version), role, provenAtMs));

  test('those of the version that it names', () => {
    const two = asOf(three, 2);
    expect(signerOf(first, by(1), 'researcher').keys.statement).toEqual(
      memberIn(next, 'rosa').signer.publicJwk,
    );
    expect(memberOf(two, 'rosa', 'researcher').keys.statement).toEqual(newKeys.statement);
    expect(signerOf(three, by(1), 'researcher', NOW).keys.statement).not.toEqual(newKeys.statement);
    expect(signerOf(three, by(2), 'researcher', NOW).keys.statement).toEqual(newKeys.statement);
  });

  test('after a revocation only what is proved to be older counts', () => {
    expect(judged(2)).toBe('signer.revoked');
    expect(judged(1)).toBe('signer.revoked');
    expect(judged(2, NOW + 2 * DAY_MS)).toBe('signer.revoked');
    expect(judged(2, NOW + 2 * DAY_MS - 1)).toBe('accepted');
    expect(judged(3, NOW)).toBe('signer.revoked');
    expect(judged(2, NOW, 'station')).toBe('signer.unknown');
    expect(codeOf(() => memberOf(three, 'rosa', 'researcher'))).toBe('signer.revoked');
  });

  test('a key known to be in other hands counts only for what is older still', async () => {
    const leaked = await makeNetwork({ nowMs: NOW });
    const member = { ...memberOf(leaked.network, 'rosa', 'researcher'), keys: newKeys };
    const { network } = leaked.next({
      issuedAtMs: NOW + DAY_MS,
      renewed: [{ member, invalidAfterMs: NOW + 1000 }],
    });
    const at = (provenAtMs: number | null, version: number): string =>
      codeOf(() => signerOf(network, by(version, 'rosa', network.id), 'researcher', provenAtMs));
    expect(at(null, 1)).toBe('signer.revoked');
    expect(at(NOW + 1000, 1)).toBe('signer.revoked');
    expect(at(NOW + 999, 1)).toBe('accepted');
    expect(at(null, 2)).toBe('accepted');
  });

  test('a stolen key does not come back by naming a version before another change of the member', async () => {
    const leaked = await makeNetwork({ nowMs: NOW });
    const before = memberOf(leaked.network, 'rosa', 'researcher');
    const otherTls = { ...before, keys: { ...before.keys, tls: publicOf(ed25519()) } };
    leaked.next({ issuedAtMs: NOW + 1000, renewed: [{ member: otherTls }] });
    const { network } = leaked.next({
      issuedAtMs: NOW + DAY_MS,
      renewed: [
        { member: { ...otherTls, keys: { ...otherTls.keys, ...newKeys } }, invalidAfterMs: NOW + 2000 },
      ],
    });
    const at = (provenAtMs: number | null, version: number): string =>
      codeOf(() => signerOf(network, by(version, 'rosa', network.id), 'researcher', provenAtMs));
    expect([1, 2, 3].map((version) => at(null, version))).toEqual([
      'signer.revoked',
      'signer.revoked',
      'accepted',
    ]);
    expect([at(NOW + 2000, 1), at(NOW + 1999, 1)]).toEqual(['signer.revoked', 'accepted']);
  });

  test('nor is one stolen that was replaced before another was', async () => {
    const changed = await makeNetwork({ nowMs: NOW });
    const before = memberOf(changed.network, 'rosa', 'researcher');
    const second = { ...before, keys: { ...before.keys, statement: publicOf(ed25519()) } };
    changed.next({ issuedAtMs: NOW + 1000, renewed: [{ member: second }] });
    const { network } = changed.next({
      issuedAtMs: NOW + DAY_MS,
      renewed: [{ member: { ...second, keys: newKeys }, invalidAfterMs: NOW + 2000 }],
    });
    expect(codeOf(() => signerOf(network, by(1, 'rosa', network.id), 'researcher'))).toBe('accepted');
    expect(codeOf(() => signerOf(network, by(2, 'rosa', network.id), 'researcher'))).toBe('signer.revoked');
  });

  test('of another network, a version that is not here, an unknown member or role: none', () => {
    expect(codeOf(() => signerOf(three, by(1, 'rosa', digestOf('x')), 'researcher'))).toBe(
      'network.mismatch',
    );
    expect(judged(4)).toBe('network.behind');
    expect(codeOf(() => signerOf(three, by(1, 'eve'), 'researcher'))).toBe('signer.unknown');
    expect(codeOf(() => signerOf(three, by(1, 'north'), 'researcher'))).toBe('signer.unknown');
    expect(codeOf(() => asOf(three, 4))).toBe('network.behind');
  });

  test('an earlier version shows who was a member then', () => {
    const names = (network: Network): string[] => [...network.members.keys()];
    expect(names(asOf(three, 1))).toContain('rosa');
    expect(names(three)).not.toContain('rosa');
    expect(asOf(three, 3)).toBe(three);
    expect(asOf(three, 1)).toBe(asOf(three, 1));
  });
});
