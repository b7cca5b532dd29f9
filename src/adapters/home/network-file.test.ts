import { createPrivateKey, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { preAuthEncoding } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { digestOf } from '../../model/id.ts';
import type { Member } from '../../model/network.ts';
import { openNetwork } from '../../model/open-network.ts';
import type { Ed25519PublicJwk } from '../../model/schema.ts';
import { type Sign, signStatement } from '../../model/statement.ts';
import { generateKey, publicOf } from './keys.ts';
import type { Home } from './member.ts';
import {
  currentNetwork,
  importNetwork,
  type NetworkFiles,
  networkPath,
  parseNetworkFile,
  storeNetwork,
} from './network-file.ts';

const key = generateKey('root');
const signer: { publicJwk: Ed25519PublicJwk; sign: Sign } = {
  publicJwk: publicOf(key),
  sign: (message) => sign(null, message, createPrivateKey({ key, format: 'jwk' })),
};
const root = signStatement(
  'root',
  { name: 'root key', digest: digestOf('root') },
  { version: 1, title: 'Heart', keys: [signer.publicJwk], tlsAuthority: 'AAAA', createdAtMs: 1 },
  signer,
);
const ana: Member = {
  id: 'ana',
  role: 'researcher',
  title: 'Ana',
  organisation: 'U',
  keys: { statement: publicOf(generateKey('statement')) },
};

function files(version: number, issuedAtMs = 1, members = [ana]): NetworkFiles {
  const predicate = {
    networkId: root.digest,
    networkVersion: version,
    issuer: 'authority',
    issuedAtMs,
    expiresMs: 1000,
    witnessing: { quorum: 'none' },
    members,
  };
  return {
    root: root.envelope,
    members: signStatement('network', { name: 'root', digest: root.digest }, predicate, signer).envelope,
  };
}

let home: Home;
beforeEach(() => {
  const dir = mkdtempSync(join(tmpdir(), 'pht-network-'));
  const member = {
    v: 1,
    id: 'ana',
    role: 'researcher',
    title: 'Ana',
    organisation: 'U',
    networkId: root.digest,
  } as const;
  home = { dir, member };
  storeNetwork(dir, files(2), openNetwork(files(2), null));
});
afterEach(() => rmSync(home.dir, { recursive: true, force: true }));

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    return thrown instanceof PhtError ? thrown.code : `not ours: ${String(thrown)}`;
  }
  return 'accepted';
}

const put = (content: NetworkFiles): void => writeFileSync(networkPath(home), JSON.stringify(content));
/** Another process of the same home knows nothing of this one's cache. */
const restarted = (): Home => ({ ...home });

test('reads once while the file stays, and again when it changes', () => {
  const first = currentNetwork(home);
  expect(first.version).toBe(2);
  expect(currentNetwork(home)).toBe(first);
  put(files(3));
  expect(currentNetwork(home).version).toBe(3);
  expect(codeOf(() => currentNetwork(restarted()))).toBe('accepted');
});

test('an older file put in its place is refused, also after a restart', () => {
  put(files(3));
  currentNetwork(home);
  put(files(2));
  expect(codeOf(() => currentNetwork(home))).toBe('network.rollback');
  expect(codeOf(() => currentNetwork(restarted()))).toBe('network.rollback');
});

test('two files of one version are misconduct', () => {
  put(files(2, 5));
  expect(codeOf(() => currentNetwork(home))).toBe('network.invalid');
  expect(codeOf(() => importNetwork(home, files(2, 6)))).toBe('network.invalid');
});

test('importing goes forward only, and the same again changes nothing', () => {
  expect(importNetwork(home, files(2)).changed).toBe(false);
  const { mtimeNs } = statSync(networkPath(home), { bigint: true });
  expect(importNetwork(home, files(4))).toMatchObject({ changed: true, network: { version: 4 } });
  expect(statSync(networkPath(home), { bigint: true }).mtimeNs).not.toBe(mtimeNs);
  expect(codeOf(() => importNetwork(home, files(3)))).toBe('network.rollback');
  expect(currentNetwork(home).version).toBe(4);
});

test('a fresh home remembers the version that it was made with', () => {
  expect(codeOf(() => importNetwork(home, files(1)))).toBe('network.rollback');
});

test('importing repairs a missing or damaged file', () => {
  writeFileSync(networkPath(home), '{');
  expect(codeOf(() => currentNetwork(home))).toBe('input.malformed');
  expect(importNetwork(home, files(2)).changed).toBe(true);
  rmSync(networkPath(home));
  expect(codeOf(() => currentNetwork(home))).toBe('config.missing');
  expect(importNetwork(home, files(2)).changed).toBe(true);
  expect(currentNetwork(home).version).toBe(2);
});

test('a refused import leaves the file as it was', () => {
  const before = readFileSync(networkPath(home));
  const forged = files(9);
  const sig = Buffer.from(signer.sign(preAuthEncoding('x', Buffer.from('x')))).toString('base64');
  expect(
    codeOf(() => importNetwork(home, { ...forged, members: { ...forged.members, signatures: [{ sig }] } })),
  ).toBe('signature.invalid');
  const other = { ...home, member: { ...home.member, networkId: digestOf('other') } };
  expect(codeOf(() => importNetwork(other, files(9)))).toBe('network.mismatch');
  expect(codeOf(() => importNetwork(home, files(9, 1, [{ ...ana, role: 'auditor' }])))).toBe(
    'network.invalid',
  );
  expect(readFileSync(networkPath(home)).equals(before)).toBe(true);
});

test('a damaged memory of the highest version stops everything', () => {
  writeFileSync(join(home.dir, 'network-seen.json'), '{"v":1,"version":0}');
  utimesSync(networkPath(home), 1, 1);
  expect(codeOf(() => currentNetwork(restarted()))).toBe('config.invalid');
});

test('arbitrary files end in one of our errors', () => {
  const ours = /^(?:input\.(?:malformed|too-large)|statement\.malformed)$/;
  const part = fc.jsonValue();
  fc.assert(
    fc.property(fc.oneof(part, fc.record({ root: part, members: part })), (value) => {
      expect(codeOf(() => parseNetworkFile(Buffer.from(JSON.stringify(value)), 'it'))).toMatch(ours);
    }),
  );
  expect(codeOf(() => parseNetworkFile(Buffer.alloc(2 * 1024 * 1024 + 1, ' '), 'it'))).toBe(
    'input.too-large',
  );
  const extra = { ...files(2), extra: 1 };
  expect(codeOf(() => parseNetworkFile(Buffer.from(JSON.stringify(extra)), 'it'))).toBe('input.malformed');
});
