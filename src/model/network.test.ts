import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Envelope } from './dsse.ts';
import { PhtError } from './error.ts';
import { type Digest, digestOf } from './id.ts';
import {
  assertCurrent,
  assertSameNetwork,
  type Member,
  memberOf,
  membersOf,
  openNetwork,
} from './network.ts';
import { Ed25519PublicJwk } from './schema.ts';
import { type Sign, signStatement } from './statement.ts';

type Key = { publicJwk: Ed25519PublicJwk; sign: Sign };

function keyPair(): Key {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const { kty, crv, x } = publicKey.export({ format: 'jwk' });
  return {
    publicJwk: Ed25519PublicJwk.parse({ kty, crv, x }),
    sign: (message) => sign(null, message, privateKey),
  };
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    return thrown instanceof PhtError ? thrown.code : `not ours: ${String(thrown)}`;
  }
  return 'accepted';
}

const rootKey = keyPair();
const otherKey = keyPair();

function rootOf(key: Key, signer = key, title = 'Heart'): { envelope: Envelope; digest: Digest } {
  const predicate = { version: 1, title, keys: [key.publicJwk], tlsAuthority: 'AAAA', createdAtMs: 1 };
  return signStatement('root', { name: 'root key', digest: digestOf('root') }, predicate, signer);
}

const root = rootOf(rootKey);
const member = (id: string, keys: Member['keys'], role: Member['role'] = 'station'): Member => ({
  id,
  role,
  title: id,
  organisation: 'Org',
  keys,
});
const station = member('amsterdam', { statement: keyPair().publicJwk, tls: keyPair().publicJwk });
const ana = member('ana', { statement: keyPair().publicJwk }, 'researcher');

function listOf(
  members: readonly object[],
  change: { signer?: Key; networkId?: string; subject?: Digest; version?: number } = {},
): Envelope {
  const predicate = {
    networkId: change.networkId ?? root.digest,
    networkVersion: change.version ?? 1,
    issuer: 'authority',
    issuedAtMs: 1,
    expiresMs: 1000,
    witnessing: { quorum: 'none' },
    members,
  };
  const subject = { name: 'root', digest: change.subject ?? root.digest };
  return signStatement('network', subject, predicate, change.signer ?? rootKey).envelope;
}

const open = (members: Envelope, pinned: string | null = root.digest): string =>
  codeOf(() => openNetwork({ root: root.envelope, members }, pinned));

test('a sound file opens, and its id is the digest of the root statement', () => {
  const network = openNetwork(
    { root: root.envelope, members: listOf([station, ana], { version: 7 }) },
    root.digest,
  );
  expect(network).toMatchObject({ id: root.digest, version: 7, title: 'Heart', expiresMs: 1000 });
  expect(memberOf(network, 'ana', 'researcher').id).toBe('ana');
  expect(membersOf(network, 'station').map(({ id }) => id)).toStrictEqual(['amsterdam']);
  expect(codeOf(() => memberOf(network, 'ana', 'station'))).toBe('signer.unknown');
  expect(codeOf(() => memberOf(network, 'eve', 'station'))).toBe('signer.unknown');
  expect(codeOf(() => assertCurrent(network, 999))).toBe('accepted');
  expect(codeOf(() => assertCurrent(network, 1000))).toBe('network.expired');
  expect(codeOf(() => assertSameNetwork(network, { networkId: digestOf('x'), networkVersion: 1 }))).toBe(
    'network.mismatch',
  );
});

describe('refuses', () => {
  test('another network than the pinned one', () => {
    expect(open(listOf([ana]), digestOf('other'))).toBe('network.mismatch');
    const twin = rootOf(rootKey, rootKey, 'Heart twin');
    const files = { root: twin.envelope, members: listOf([ana]) };
    expect(codeOf(() => openNetwork(files, root.digest))).toBe('network.mismatch');
    expect(codeOf(() => openNetwork(files, null))).toBe('network.mismatch');
  });

  test('a root statement that its own key did not sign', () => {
    const forged = rootOf(rootKey, otherKey);
    expect(codeOf(() => openNetwork({ root: forged.envelope, members: listOf([ana]) }, null))).toBe(
      'signature.invalid',
    );
  });

  test('a list that the root did not sign, or that is about another root', () => {
    expect(open(listOf([ana], { signer: otherKey }))).toBe('signature.invalid');
    expect(open(listOf([ana], { networkId: digestOf('x') }))).toBe('network.mismatch');
    expect(open(listOf([ana], { subject: digestOf('x') }))).toBe('network.mismatch');
  });

  test('root and list in each other\u2019s place', () => {
    const members = listOf([ana]);
    expect(codeOf(() => openNetwork({ root: members, members: root.envelope }, null))).toBe('statement.type');
    expect(open(root.envelope)).toBe('statement.type');
  });

  test('one id twice', () => {
    expect(open(listOf([ana, { ...ana, keys: { statement: keyPair().publicJwk } }]))).toBe('network.invalid');
  });

  test('one key for two members, two uses, or the root', () => {
    expect(open(listOf([ana, { ...station, keys: ana.keys }]))).toBe('network.invalid');
    expect(open(listOf([member('x', { statement: ana.keys.statement, log: ana.keys.statement })]))).toBe(
      'network.invalid',
    );
    expect(open(listOf([member('x', { statement: rootKey.publicJwk })]))).toBe('network.invalid');
  });

  test('one key in another spelling', () => {
    const { x } = ana.keys.statement;
    const spare = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const respelled = x.slice(0, -1) + (spare[spare.indexOf(x.slice(-1)) + 1] ?? '');
    expect(Buffer.from(respelled, 'base64url').equals(Buffer.from(x, 'base64url'))).toBe(true);
    const twin = { ...station, keys: { statement: { ...ana.keys.statement, x: respelled } } };
    expect(open(listOf([ana, twin]))).toBe('statement.malformed');
  });

  test('no members, unknown roles, and unknown members of the schema', () => {
    expect(open(listOf([]))).toBe('statement.malformed');
    expect(open(listOf([{ ...ana, role: 'king' }]))).toBe('statement.malformed');
    expect(open(listOf([{ ...ana, extra: 1 }]))).toBe('statement.malformed');
    expect(open(listOf([{ ...ana, id: '../ana' }]))).toBe('statement.malformed');
    expect(open(listOf([{ ...ana, title: 'a\u202eb' }]))).toBe('statement.malformed');
  });
});
