import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  ed25519,
  type FakeNetwork,
  makeNetwork,
  memberIn,
  publicOf,
  signerOf,
} from '../../../test/fakes/network.ts';
import { nextList } from '../../journey/authority/list.ts';
import { signFreshness, signMembers, signRoot } from '../../journey/authority/sign.ts';
import { PhtError } from '../../model/error.ts';
import { digestOf } from '../../model/id.ts';
import { readCertificate } from '../../model/member-certificate.ts';
import { assertFresh } from '../../model/network.ts';
import type { NetworkFiles } from '../../model/network-statements.ts';
import { openNetwork, openRoots } from '../../model/open-network.ts';
import { issueCertificate } from '../wire/certificates.ts';
import { memberBehind } from '../wire/identity.ts';
import { betterCertificate, ownCertificate } from './certificate.ts';
import type { Home } from './member.ts';
import { createNetworkCopy, lastGoodNetwork } from './network-copy.ts';
import { parseDraft } from './network-draft.ts';
import {
  currentNetwork,
  encodeNetworkFile,
  importNetwork,
  networkPath,
  parseNetworkFile,
  storeNetwork,
} from './network-file.ts';

const NOW = Date.UTC(2026, 0, 15);
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/** Which file cannot be written: the process dies before. */
const failing = vi.hoisted(() => ({ path: '' }));
vi.mock(import('./files.ts'), async (original) => {
  const real = await original();
  return {
    ...real,
    writeAtomic: (...parameters: Parameters<typeof real.writeAtomic>) => {
      if (parameters[0] === failing.path) throw new Error('the power went');
      real.writeAtomic(...parameters);
    },
  };
});

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

describe('a thief of a role', () => {
  const FAR_MS = Date.UTC(9999, 0, 1);
  const issue = { rootVersion: 1, issuer: 'authority' };
  type Key = ReturnType<typeof ed25519>;

  /** The authority's next root, which names other keys, and what it signs under it. */
  function recovered(
    keys: { members?: Key; freshness?: Key },
    from: NetworkFiles = fake.files,
  ): NetworkFiles {
    const { id } = fake.network;
    const { root } = openRoots(from.roots, id);
    const held = openNetwork(from, id);
    const role = (key: Key) => ({ keys: [publicOf(key)], threshold: 1 });
    const roles = {
      ...root.predicate.roles,
      ...(keys.members === undefined ? {} : { members: role(keys.members) }),
      ...(keys.freshness === undefined ? {} : { freshness: role(keys.freshness) }),
    };
    const version = root.predicate.version + 1;
    const next = { ...root.predicate, networkId: id, version, previousDigest: root.digest, roles };
    const roots = [...from.roots, signRoot(next, [signerOf(fake.roles.root)]).envelope];
    const times = { issuedAtMs: NOW + 2 * HOUR_MS, expiresMs: NOW + DAY_MS };
    const by = { ...issue, networkId: id, rootVersion: version, ...times };
    const list = { ...nextList(held, {}, times.issuedAtMs) };
    const signed =
      keys.members === undefined
        ? { envelope: from.members, digest: held.digest }
        : signMembers(list, { ...by, previousDigest: held.digest }, [signerOf(keys.members)]);
    const newest = {
      version: keys.members === undefined ? held.version : list.version,
      digest: signed.digest,
    };
    const freshness = signFreshness(newest, by, [signerOf(keys.freshness ?? fake.roles.freshness)]).envelope;
    return { ...from, roots, members: signed.envelope, freshness };
  }

  /** What a thief of the members key signs, as far ahead as it likes. */
  function stolenList(version: number, issuedAtMs = NOW + HOUR_MS, since = version): NetworkFiles {
    const list = nextList(fake.network, { revoked: [{ id: 'south', reason: 'by a thief' }] }, NOW);
    const members = list.members.map((each) =>
      each.ended === undefined ? each : { ...each, ended: { ...each.ended, version: since } },
    );
    const by = { ...issue, networkId: fake.network.id, issuedAtMs, expiresMs: FAR_MS };
    const signed = signMembers(
      { ...list, members, version },
      { ...by, previousDigest: fake.network.digest },
      [signerOf(fake.roles.members)],
    );
    return { ...first, members: signed.envelope };
  }

  const wordOf = (key: Key, version: number, issuedAtMs: number): NetworkFiles => {
    const by = { ...issue, networkId: fake.network.id, issuedAtMs, expiresMs: issuedAtMs + HOUR_MS };
    const { digest } = fake.network;
    return { ...first, freshness: signFreshness({ version, digest }, by, [signerOf(key)]).envelope };
  };

  test.each([2, 1_000_000])(
    'of the members key does not outlast the root that names another: a list of version %i',
    (version) => {
      expect(importNetwork(home, stolenList(version)).network.version).toBe(version);
      const file = recovered({ members: ed25519() });
      expect(importNetwork(home, file).network).toMatchObject({ version: 2, rootVersion: 2 });
      expect(currentNetwork(restarted()).members.has('south')).toBe(true);
      expect(codeOf(() => importNetwork(home, stolenList(version + (version === 2 ? 1 : 0))))).toBe(
        'signature.invalid',
      );
      expect(importNetwork(home, file).changed).toBe(false);
    },
  );

  /** What the authority goes on to publish under its newest root, signed by that members key. */
  function further(from: NetworkFiles, members: Key, rootVersion = from.roots.length): NetworkFiles {
    const { id } = fake.network;
    const held = openNetwork(from, id);
    const issuedAtMs = NOW + 3 * HOUR_MS;
    const by = { ...issue, networkId: id, rootVersion, issuedAtMs, expiresMs: NOW + DAY_MS };
    const list = nextList(held, {}, issuedAtMs);
    const signed = signMembers(list, { ...by, previousDigest: held.digest }, [signerOf(members)]);
    const newest = { version: list.version, digest: signed.digest };
    const word = signFreshness(newest, by, [signerOf(fake.roles.freshness)]);
    return { ...from, members: signed.envelope, freshness: word.envelope };
  }

  describe('of the members key, whose list a home took, while the authority went on beyond it', () => {
    test('is left behind with the root that disowns it, by hand and by a process at work', () => {
      const stolen = importNetwork(home, stolenList(2)).network;
      const members = ed25519();
      const file = further(further(recovered({ members }), members), members);
      expect(openNetwork(file, null).version).toBe(4);
      const told: unknown[] = [];
      const network = lastGoodNetwork(restarted(), (thrown) => told.push(thrown));
      const before = readFileSync(networkPath(home));
      const seen = readFileSync(join(home.dir, 'network-seen.json'));
      expect(importNetwork(home, file)).toMatchObject({
        ...{ changed: true, membersChanged: true, network: { version: 4, rootVersion: 2 } },
        disowned: { version: 2, digest: stolen.digest },
      });
      expect(network().version).toBe(4);
      expect(told).toStrictEqual([]);
      writeFileSync(networkPath(home), before);
      writeFileSync(join(home.dir, 'network-seen.json'), seen);
      const copy = createNetworkCopy(restarted());
      expect(copy.take(Buffer.from(encodeNetworkFile(file)))).toMatchObject({ network: { version: 4 } });
      // And the thief's does not come back.
      expect(codeOf(() => importNetwork(home, stolenList(2)))).toBe('network.rollback');
      expect(codeOf(() => importNetwork(home, stolenList(5, NOW + 9 * HOUR_MS)))).toBe('signature.invalid');
    });

    test('and a crash in between leaves nothing of the thief in force', () => {
      importNetwork(home, stolenList(2));
      const members = ed25519();
      const file = further(recovered({ members }), members);
      failing.path = networkPath(home);
      expect(codeOf(() => importNetwork(home, file))).toContain('the power went');
      failing.path = '';
      expect(codeOf(() => currentNetwork(restarted()))).toBe('network.rollback');
      expect(importNetwork(restarted(), file).network.version).toBe(3);
    });

    test('stays a fork under a root that leaves the key as it is', () => {
      importNetwork(home, stolenList(2));
      const { members } = fake.roles;
      const ours = further(further(fake.files, members), members);
      expect(codeOf(() => importNetwork(home, ours))).toBe('network.forked');
      const { roots, freshness } = recovered({}, ours);
      expect(roots).toHaveLength(2);
      expect(codeOf(() => importNetwork(home, { ...ours, roots, freshness }))).toBe('network.forked');
      const signedAnew = further({ ...ours, roots, freshness }, members);
      expect(codeOf(() => importNetwork(home, signedAnew))).toBe('network.forked');
      expect(currentNetwork(restarted()).version).toBe(2);
    });

    test('opens no way for a thief: an honest list gives way to none of the key that a root disowns', () => {
      const members = ed25519();
      const ours = recovered({ members });
      const stolen = stolenList(7, NOW + 9 * HOUR_MS);
      expect(codeOf(() => importNetwork(home, { ...stolen, roots: ours.roots }))).toBe('signature.invalid');
      expect(codeOf(() => importNetwork(home, { ...ours, members: stolen.members }))).toBe(
        'signature.invalid',
      );
      // A root that nobody of the root signed disowns nothing.
      const [first, second] = ours.roots;
      const forged = { ...second, signatures: stolen.members.signatures } as typeof stolen.members;
      const roots = first === undefined ? [] : [first, forged];
      expect(codeOf(() => importNetwork(home, { ...ours, roots }))).toBe('signature.invalid');
      expect(currentNetwork(restarted())).toMatchObject({ version: 1, rootVersion: 1 });
      // Replaced as a matter of routine, the key takes nothing back, and nobody is told of a thief.
      expect(importNetwork(home, ours)).toMatchObject({ network: { version: 2 }, disowned: null });
    });

    test('gets no list in that the key of a later root signed under an earlier one', () => {
      const members = ed25519();
      const again = fake.roles.members;
      const second = recovered({ members });
      importNetwork(home, further(second, members));
      const third = recovered({ members: again }, further(second, members));
      // Signed while it was in force at first; it is so once more. Its own past is another one.
      const old = stolenList(9, NOW + 9 * HOUR_MS, 2);
      expect(codeOf(() => importNetwork(home, { ...third, members: old.members }))).toBe('network.forked');
      expect(currentNetwork(restarted())).toMatchObject({ version: 3, rootVersion: 2 });
    });
  });

  test('gets no list back in with a root that leaves the key as it is', () => {
    importNetwork(home, later(1));
    const old = { ...recovered({}, first), members: first.members };
    const { network } = importNetwork(home, old);
    expect(network).toMatchObject({ version: 2, rootVersion: 2 });
  });

  test('gets no old list back in with a root that names its key again', () => {
    const { members } = fake.roles;
    importNetwork(home, recovered({ members: ed25519() }));
    const held = parseNetworkFile(readFileSync(networkPath(home)), 'it');
    const again = recovered({ members }, held);
    expect(codeOf(() => importNetwork(home, { ...again, members: first.members }))).toBe('signature.invalid');
    expect(importNetwork(home, again).network).toMatchObject({ version: 3, rootVersion: 3 });
  });

  test('of the freshness key does not outlast the root that names another', () => {
    const stolen = importNetwork(home, wordOf(fake.roles.freshness, 1_000_000, FAR_MS)).network;
    expect(codeOf(() => assertFresh(stolen, NOW))).toBe('network.stale');
    expect(codeOf(() => assertFresh(stolen, FAR_MS))).toBe('network.expired');
    const { network } = importNetwork(home, recovered({ freshness: ed25519() }));
    expect(codeOf(() => assertFresh(network, NOW + 3 * HOUR_MS))).toBe('accepted');
    expect(codeOf(() => importNetwork(home, wordOf(fake.roles.freshness, 1, FAR_MS + 1)))).toBe(
      'signature.invalid',
    );
  });

  test('an older word does not come back with a root that leaves its key as it is', () => {
    const told = importNetwork(home, wordOf(fake.roles.freshness, 7, NOW + 3 * HOUR_MS)).network;
    expect(codeOf(() => assertFresh(told, NOW + 3 * HOUR_MS))).toBe('network.behind');
    const { network } = importNetwork(home, recovered({}));
    expect(network).toMatchObject({ rootVersion: 2, freshness: { version: 7 } });
    expect(codeOf(() => assertFresh(network, NOW + 3 * HOUR_MS))).toBe('network.behind');
  });

  test('a crash while a list is taken back leaves nothing of the thief in force', () => {
    importNetwork(home, stolenList(1_000_000));
    const before = readFileSync(networkPath(home));
    const file = recovered({ members: ed25519() });
    importNetwork(home, file);
    writeFileSync(networkPath(home), before);
    expect(codeOf(() => currentNetwork(restarted()))).toBe('network.rollback');
    expect(importNetwork(restarted(), file).network.version).toBe(2);
  });

  test.each([
    ['is gone', () => rmSync(networkPath(home))],
    ['was put back from a copy of before', () => put(first)],
    ['is damaged', () => writeFileSync(networkPath(home), '{')],
  ])('does not lock a home whose file %s', (_, spoil) => {
    importNetwork(home, stolenList(1_000_000));
    spoil();
    const third = { ...stolenList(7), roots: recovered({}).roots };
    // A root that leaves the key as it is disowns nothing.
    expect(codeOf(() => importNetwork(restarted(), third))).toBe('network.rollback');
    expect(codeOf(() => importNetwork(restarted(), recovered({})))).toBe('network.rollback');
    const members = ed25519();
    const file = recovered({ members });
    // What the new key signed before that root is no answer to the thief.
    expect(codeOf(() => importNetwork(restarted(), further(file, members, 1)))).toBe('network.rollback');
    failing.path = networkPath(home);
    expect(codeOf(() => importNetwork(restarted(), file))).toContain('the power went');
    failing.path = '';
    put(stolenList(1_000_000));
    expect(codeOf(() => currentNetwork(restarted()))).toBe('network.rollback');
    expect(importNetwork(restarted(), file).network).toMatchObject({ version: 2, rootVersion: 2 });
    expect(codeOf(() => importNetwork(restarted(), stolenList(1_000_000)))).toBe('signature.invalid');
    expect(currentNetwork(restarted()).version).toBe(2);
  });

  test('nor one before the file is written, which then is imported once more', () => {
    importNetwork(home, stolenList(1_000_000));
    const file = recovered({ members: ed25519() });
    failing.path = networkPath(home);
    expect(codeOf(() => importNetwork(home, file))).toContain('the power went');
    failing.path = '';
    expect(codeOf(() => currentNetwork(restarted()))).toBe('network.rollback');
    expect(importNetwork(restarted(), file).network.version).toBe(2);
  });
});

test('a list of some versions on does not tell another past', async () => {
  importNetwork(home, later(1));
  const other = await forkOf(4);
  expect(codeOf(() => importNetwork(home, other))).toBe('network.forked');
  expect(currentNetwork(home).version).toBe(2);
});

test('a list of members of any length that is read ends in no error but ours', () => {
  const members = { ...first.members, payload: 'A'.repeat(14 * 1024 * 1024) };
  const parsed = parseNetworkFile(Buffer.from(encodeNetworkFile({ ...first, members })), 'it');
  expect(codeOf(() => importNetwork(home, parsed))).toBe('input.malformed');
});

test('what a stranger adds to signed parts cannot make a file that nobody reads any more', () => {
  /** Longer than any list of members, whose own length is bounded when it is read. */
  const padded = (files: NetworkFiles, part: 'members' | 'freshness'): NetworkFiles => {
    const { signatures } = files[part];
    const padding = { sig: 'A'.repeat(9 * 1024 * 1024) };
    return { ...files, [part]: { ...files[part], signatures: [...signatures, padding] } };
  };
  const offer = (files: NetworkFiles): string =>
    codeOf(() => importNetwork(home, parseNetworkFile(Buffer.from(encodeNetworkFile(files)), 'it')));
  expect(offer(padded(fake.fresh(NOW + HOUR_MS).files, 'freshness'))).toBe('statement.malformed');
  // As two files would that are each within their bounds.
  const before = readFileSync(networkPath(home));
  const both = padded(padded(later(2), 'members'), 'freshness');
  expect(codeOf(() => importNetwork(home, both))).toBe('input.too-large');
  expect(readFileSync(networkPath(home)).equals(before)).toBe(true);
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

  test('one of a key of no kind that is known here displaces nothing and stops nothing', async () => {
    const own = fake.files.certificates['rosa'] ?? '';
    const der = Buffer.from(await issued({ notAfterMs: NOW + 900 * DAY_MS }), 'base64');
    // The algorithm of the subject's key (RFC 8410), before its 32 bytes.
    const at = der.indexOf(Buffer.from('06032b6570032100', 'hex'));
    der[at + 4] = 0x01;
    const odd = der.toString('base64');
    expect(readCertificate(odd)?.subjectAltName).toContain('rosa');
    const { network } = importNetwork(home, {
      ...later(1),
      certificates: { ...first.certificates, rosa: odd },
    });
    expect(network.version).toBe(2);
    expect(network.certificates.get('rosa')).toBe(own);
    expect(codeOf(() => memberBehind(der, network, NOW))).toBe('forbidden');
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
  const list = fc.record({ before: part, next: part }, { requiredKeys: ['next'] });
  const draft = fc.record(
    { v: fc.constant(1), roots: fc.array(part, { maxLength: 3 }), root: part, list },
    { requiredKeys: ['v', 'roots'] },
  );
  fc.assert(
    fc.property(fc.oneof(part, draft), (value) => {
      expect(codeOf(() => parseDraft(Buffer.from(JSON.stringify(value)), 'it'))).toMatch(ours);
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
