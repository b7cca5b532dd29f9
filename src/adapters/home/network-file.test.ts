import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ed25519, type FakeNetwork, makeNetwork, memberIn, publicOf } from '../../../test/fakes/network.ts';
import { PhtError } from '../../model/error.ts';
import { digestOf } from '../../model/id.ts';
import type { NetworkFiles } from '../../model/network-statements.ts';
import { openNetwork } from '../../model/open-network.ts';
import { issueCertificate } from '../wire/certificates.ts';
import { betterCertificate, ownCertificate } from './certificate.ts';
import type { Home } from './member.ts';
import {
  currentNetwork,
  encodeNetworkFile,
  importNetwork,
  networkPath,
  parseNetworkFile,
  storeNetwork,
} from './network-file.ts';
import { parseRootDraft } from './root-draft.ts';

const NOW = Date.UTC(2026, 0, 15);
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

let home: Home;
let fake: FakeNetwork;
let first: NetworkFiles;
beforeEach(async () => {
  fake = await makeNetwork({ nowMs: NOW });
  first = fake.files;
  const dir = mkdtempSync(join(tmpdir(), 'pht-network-'));
  const member = {
    ...({ v: 1, id: 'rosa', role: 'researcher', title: 'Rosa', organisation: 'U' } as const),
    networkId: fake.network.id,
  };
  home = { dir, member };
  storeNetwork(dir, first, openNetwork(first, null));
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

const put = (content: NetworkFiles): void => writeFileSync(networkPath(home), encodeNetworkFile(content));
/** Another process of the same home knows nothing of this one's cache. */
const restarted = (): Home => ({ ...home });
const later = (hours: number, change = {}): NetworkFiles =>
  fake.next({ issuedAtMs: NOW + hours * HOUR_MS, ...change }).files;

test('reads once while the file stays, and again when it changes', () => {
  const known = currentNetwork(home);
  expect(known.version).toBe(1);
  expect(currentNetwork(home)).toBe(known);
  put(later(1));
  expect(currentNetwork(home).version).toBe(2);
  expect(codeOf(() => currentNetwork(restarted()))).toBe('accepted');
});

test('written and read, a file is the same, and not one signed byte of it has changed', () => {
  const bytes = Buffer.from(encodeNetworkFile(first));
  const read = parseNetworkFile(bytes, 'it');
  expect(encodeNetworkFile(read)).toBe(bytes.toString());
  expect(openNetwork(read, fake.network.id).digest).toBe(fake.network.digest);
});

describe('nothing goes back', () => {
  test('an older file put in its place is refused, also after a restart', () => {
    put(later(1));
    currentNetwork(home);
    put(first);
    expect(codeOf(() => currentNetwork(home))).toBe('network.rollback');
    expect(codeOf(() => currentNetwork(restarted()))).toBe('network.rollback');
  });

  test('nor a file that is frozen: an older word of freshness over the same list', () => {
    put(fake.fresh(NOW + HOUR_MS).files);
    currentNetwork(home);
    put(first);
    expect(codeOf(() => currentNetwork(restarted()))).toBe('network.rollback');
  });

  test('a crash between the file and the memory of it is made good by the next reading', () => {
    put(later(1));
    currentNetwork(restarted());
    put(first);
    expect(codeOf(() => currentNetwork(restarted()))).toBe('network.rollback');
  });

  test('importing goes forward only, and the same again changes nothing', () => {
    expect(importNetwork(home, first)).toMatchObject({ changed: false, membersChanged: false });
    const { mtimeNs } = statSync(networkPath(home), { bigint: true });
    const second = later(1);
    const third = later(2);
    const imported = importNetwork(home, third);
    expect(imported).toMatchObject({ changed: true, membersChanged: true, network: { version: 3 } });
    expect(statSync(networkPath(home), { bigint: true }).mtimeNs).not.toBe(mtimeNs);
    expect(codeOf(() => importNetwork(home, second))).toBe('network.rollback');
    expect(currentNetwork(home).version).toBe(3);
  });

  test('of two files each part is taken from the newer one', () => {
    const fresh = fake.fresh(NOW + 5 * HOUR_MS).files;
    expect(importNetwork(home, fresh)).toMatchObject({ changed: true, membersChanged: false });
    const next = later(1);
    const merged = importNetwork(home, next).network;
    expect(merged.version).toBe(2);
    expect(merged.freshness).toMatchObject({ version: 1, issuedAtMs: NOW + 5 * HOUR_MS });
  });
});

test('two lists of one version are misconduct, in place and imported', async () => {
  importNetwork(home, later(1));
  const twin = fake.next({ issuedAtMs: NOW + HOUR_MS, revoked: [{ id: 'south', reason: 'x' }] });
  const forked = { ...twin.files };
  expect(twin.network.version).toBe(3);
  importNetwork(home, forked);
  const other = await forkOf(3);
  expect(codeOf(() => importNetwork(home, other))).toBe('network.forked');
  put(other);
  expect(codeOf(() => currentNetwork(restarted()))).toBe('network.forked');
});

test('two roots of one version are misconduct; one that nobody signed is only wrong', async () => {
  const { signRoot } = await import('../../journey/authority/sign.ts');
  const { signerOf } = await import('../../../test/fakes/network.ts');
  const { openRoots } = await import('../../model/open-network.ts');
  const { root } = openRoots(first.roots, fake.network.id);
  const after = (title: string, key = fake.roles.root): NetworkFiles => {
    const { digest: previousDigest, predicate } = root;
    const next = { ...predicate, networkId: fake.network.id, version: 2, previousDigest, title };
    return { ...first, roots: [...first.roots, signRoot(next, [signerOf(key)]).envelope] };
  };
  expect(importNetwork(home, after('One')).network).toMatchObject({ rootVersion: 2, title: 'One' });
  expect(codeOf(() => importNetwork(home, after('Two')))).toBe('network.forked');
  expect(codeOf(() => importNetwork(home, after('Two', ed25519())))).toBe('signature.invalid');
  put(first);
  expect(codeOf(() => currentNetwork(restarted()))).toBe('network.rollback');
});

/** Another list of that version, with everything as the authority itself could sign it. */
async function forkOf(version: number): Promise<NetworkFiles> {
  const { firstList } = await import('../../journey/authority/list.ts');
  const { signFreshness, signMembers } = await import('../../journey/authority/sign.ts');
  const { signerOf } = await import('../../../test/fakes/network.ts');
  const issue = {
    ...{ networkId: fake.network.id, rootVersion: 1, issuer: 'authority' },
    ...{ issuedAtMs: NOW + 9 * HOUR_MS, expiresMs: NOW + 10 * HOUR_MS },
  };
  const members = [...fake.network.members.values()].slice(0, 2);
  const list = { ...firstList(members, { quorum: 'none' }), version };
  const signed = signMembers(list, { ...issue, previousDigest: null }, [signerOf(fake.roles.members)]);
  const word = signFreshness({ version, digest: signed.digest }, issue, [signerOf(fake.roles.freshness)]);
  return { ...first, members: signed.envelope, freshness: word.envelope };
}

test('importing repairs a missing or damaged file, and not with an older one', () => {
  importNetwork(home, later(1));
  const second = parseNetworkFile(readFileSync(networkPath(home)), 'it');
  writeFileSync(networkPath(home), '{');
  expect(codeOf(() => currentNetwork(home))).toBe('input.malformed');
  expect(codeOf(() => importNetwork(home, first))).toBe('network.rollback');
  expect(importNetwork(home, second).changed).toBe(true);
  rmSync(networkPath(home));
  expect(codeOf(() => currentNetwork(home))).toBe('config.missing');
  expect(importNetwork(home, second).changed).toBe(true);
  expect(currentNetwork(home).version).toBe(2);
});

test('a refused import leaves the file as it was', async () => {
  const before = readFileSync(networkPath(home));
  const next = later(1);
  const forged = { ...next, members: { ...next.members, signatures: first.members.signatures } };
  expect(codeOf(() => importNetwork(home, forged))).toBe('signature.invalid');
  const other = { ...home, member: { ...home.member, networkId: digestOf('other') } };
  expect(codeOf(() => importNetwork(other, next))).toBe('network.mismatch');
  const stranger = await makeNetwork({ nowMs: NOW + DAY_MS });
  expect(codeOf(() => importNetwork(home, stranger.files))).toBe('network.mismatch');
  const auditor: Home = { ...home, member: { ...home.member, role: 'auditor' } };
  expect(codeOf(() => importNetwork(auditor, next))).toBe('network.invalid');
  expect(readFileSync(networkPath(home)).equals(before)).toBe(true);
});

test('a damaged memory of the highest version stops everything', () => {
  writeFileSync(join(home.dir, 'network-seen.json'), '{"v":1,"version":0}');
  utimesSync(networkPath(home), 1, 1);
  expect(codeOf(() => currentNetwork(restarted()))).toBe('config.invalid');
});

describe('certificates', () => {
  const issued = (change: object = {}): Promise<string> =>
    issueCertificate({
      authority: fake.authority,
      networkId: fake.network.id,
      memberId: 'rosa',
      publicJwk: publicOf(memberIn(fake, 'rosa').keys.tls),
      notBeforeMs: NOW,
      notAfterMs: NOW + 400 * DAY_MS,
      ...change,
    });
  const own = (network = fake.network, nowMs = NOW): string =>
    codeOf(() => ownCertificate(home, network, nowMs));
  const withOwn = (rosa: string | undefined) => {
    const certificates = new Map(fake.network.certificates);
    if (rosa === undefined) certificates.delete('rosa');
    else certificates.set('rosa', rosa);
    return { ...fake.network, certificates };
  };
  const junk = async (): Promise<string[]> => {
    const keys = ed25519();
    const foreign = { ...fake.authority, keys };
    return [
      'AAAA',
      await issued({ publicJwk: publicOf(ed25519()) }),
      await issued({ memberId: 'north' }),
      await issued({ networkId: digestOf('x') }),
      await issued({ authority: foreign }),
    ];
  };

  test('the own one is sound, of this key and within its dates', async () => {
    expect(own()).toBe('accepted');
    for (const wrong of await junk()) expect(own(withOwn(wrong))).toBe('certificate.invalid');
    expect(own(withOwn(undefined))).toBe('certificate.invalid');
    const network = withOwn(await issued({ notAfterMs: NOW + 90 * DAY_MS }));
    expect(own(network, NOW - 1)).toBe('certificate.invalid');
    expect(own(network, NOW + 90 * DAY_MS)).toBe('accepted');
    expect(own(network, NOW + 90 * DAY_MS + 1)).toBe('certificate.invalid');
    expect(ownCertificate(home, network, NOW + 60 * DAY_MS - 1).dueForRenewal).toBe(false);
    expect(ownCertificate(home, network, NOW + 60 * DAY_MS).dueForRenewal).toBe(true);
    expect(own(fake.without('rosa').network)).toBe('signer.unknown');
  });

  test('what a peer made up does not displace it, a younger one does', async () => {
    const held = first.certificates['rosa'];
    for (const [at, wrong] of (await junk()).entries()) {
      const offered = fake.fresh(NOW + (at + 1) * HOUR_MS).files;
      const { network } = importNetwork(home, {
        ...offered,
        certificates: { ...offered.certificates, rosa: wrong },
      });
      expect(network.freshness.issuedAtMs).toBe(NOW + (at + 1) * HOUR_MS);
      expect(network.certificates.get('rosa')).toBe(held);
    }
    const younger = await issued();
    const offered = { ...first, certificates: { rosa: younger, nobody: younger } };
    const { network, changed } = importNetwork(home, offered);
    expect(changed).toBe(true);
    expect(network.certificates.get('rosa')).toBe(younger);
    // Others' come with the parts that are newer, and these were not.
    expect(network.certificates.get('north')).toBe(first.certificates['north']);
    expect(importNetwork(home, first).changed).toBe(false);
  });

  test('those of strangers are not kept', async () => {
    const next = later(1);
    importNetwork(home, { ...next, certificates: { ...next.certificates, nobody: await issued() } });
    expect(currentNetwork(home).certificates.has('nobody')).toBe(false);
  });

  test('the best of several', async () => {
    const [short, long] = [await issued({ notAfterMs: NOW + DAY_MS }), await issued()];
    expect(betterCertificate(fake.network, 'rosa', [short, long, undefined])).toBe(long);
    expect(betterCertificate(fake.network, 'rosa', await junk())).toBeUndefined();
  });
});

test('arbitrary files end in one of our errors', () => {
  const ours = /^(?:input\.(?:malformed|too-large)|statement\.malformed)$/;
  const part = fc.jsonValue();
  const shaped = fc.record({
    v: fc.constant(2),
    roots: fc.array(part, { maxLength: 3 }),
    members: part,
    freshness: part,
    certificates: fc.oneof(part, fc.dictionary(fc.string(), fc.string())),
  });
  fc.assert(
    fc.property(fc.oneof(part, shaped), (value) => {
      expect(codeOf(() => parseNetworkFile(Buffer.from(JSON.stringify(value)), 'it'))).toMatch(ours);
    }),
  );
  const draft = fc.record({ v: fc.constant(1), roots: fc.array(part, { maxLength: 3 }), root: part });
  fc.assert(
    fc.property(fc.oneof(part, draft), (value) => {
      expect(codeOf(() => parseRootDraft(Buffer.from(JSON.stringify(value)), 'it'))).toMatch(ours);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(codeOf(() => parseNetworkFile(bytes, 'it'))).toMatch(ours);
    }),
  );
  const text = encodeNetworkFile(first);
  const parse = (changed: string): string => codeOf(() => parseNetworkFile(Buffer.from(changed), 'it'));
  expect(parse(' '.repeat(16 * 1024 * 1024 + 1))).toBe('input.too-large');
  expect(parse(`{"extra":1,${text.slice(1)}`)).toBe('input.malformed');
  expect(parse(`{"v":2,${text.slice(1)}`)).toBe('input.malformed');
  expect(parse(text.replace('"v":2', '"v":3'))).toBe('input.malformed');
});

test('a file of which any byte was changed is refused, or says the same as before', () => {
  const text = Buffer.from(encodeNetworkFile(first));
  const opened = (bytes: Uint8Array): string =>
    codeOf(() => {
      const network = openNetwork(parseNetworkFile(bytes, 'it'), fake.network.id);
      if (network.digest !== fake.network.digest) throw new Error('another list was accepted');
    });
  fc.assert(
    fc.property(fc.nat(text.byteLength - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const changed = Buffer.from(text);
      changed[at] = (changed[at] ?? 0) ^ by;
      expect(opened(changed)).not.toMatch(/^not ours/);
    }),
    { numRuns: 60 },
  );
});
