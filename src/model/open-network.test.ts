import { describe, expect, test } from 'vitest';
import { ed25519, publicOf, signerOf } from '../../test/fakes/network.ts';
import { firstList, type MembersList, nextList } from '../journey/authority/list.ts';
import { signFreshness, signMembers, signRoot } from '../journey/authority/sign.ts';
import type { Envelope } from './dsse.ts';
import { PhtError } from './error.ts';
import { type Digest, digestOf } from './id.ts';
import type { Member, Network, Span } from './network.ts';
import type { NetworkFiles, RoleKeys, RootPredicate } from './network-statements.ts';
import { openNetwork } from './open-network.ts';
import { assertSamePast } from './same-past.ts';
import { signStatement } from './statement.ts';

const DAY_MS = 86_400_000;
const NOW = Date.UTC(2026, 0, 15);
type Key = ReturnType<typeof ed25519>;
const [root, second, third, members, freshness, stranger] = Array.from({ length: 6 }, () => ed25519()) as [
  ...[Key, Key, Key, Key, Key, Key],
];

const roleOf = (threshold: number, ...keys: Key[]): RoleKeys => ({ keys: keys.map(publicOf), threshold });
type Signers = [ReturnType<typeof signerOf>, ...ReturnType<typeof signerOf>[]];
const signers = (...keys: Key[]): Signers => keys.map(signerOf) as Signers;

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    return thrown instanceof PhtError ? thrown.code : `not ours: ${String(thrown)}`;
  }
  return 'accepted';
}

const FIRST: RootPredicate = {
  networkId: null,
  version: 1,
  previousDigest: null,
  title: 'Heart',
  roles: { root: roleOf(1, root), members: roleOf(1, members), freshness: roleOf(1, freshness) },
  freshnessMsMax: 2 * DAY_MS,
  tlsAuthorities: ['AAAA'],
  issuedAtMs: NOW,
  expiresMs: NOW + 100 * DAY_MS,
};
const first = signRoot(FIRST, signers(root));
const id = first.digest;

function rootAfter(
  before: { digest: Digest },
  version: number,
  change: Partial<RootPredicate>,
  ...keys: Key[]
): { envelope: Envelope; digest: Digest } {
  return signRoot(
    { ...FIRST, networkId: id, version, previousDigest: before.digest, ...change },
    signers(...keys),
  );
}

const member = (name: string, role: Member['role'] = 'station', keys = {}): Member => ({
  id: name,
  role,
  title: name,
  organisation: 'Org',
  keys: { statement: publicOf(ed25519()), ...keys },
});
const ams = member('amsterdam');
const ana = member('ana', 'researcher');

type Change = Partial<{
  rootVersion: number;
  networkId: Digest;
  signed: Key;
  previousDigest: Digest | null;
  issuedAtMs: number;
}>;

function listed(list: MembersList, change: Change = {}): { envelope: Envelope; digest: Digest } {
  const { signed = members, ...issue } = change;
  return signMembers(
    list,
    {
      ...{
        networkId: id,
        rootVersion: 1,
        issuer: 'authority',
        issuedAtMs: NOW,
        expiresMs: NOW + 30 * DAY_MS,
      },
      previousDigest: null,
      ...issue,
    },
    signers(signed),
  );
}

type Word = Partial<{ signed: Key; networkId: Digest; rootVersion: number; forMs: number; version: number }>;

function word(newest: { digest: Digest }, version: number, change: Word = {}): Envelope {
  const { signed = freshness, forMs = DAY_MS, ...issue } = change;
  return signFreshness(
    { version: change.version ?? version, digest: newest.digest },
    {
      ...{ networkId: id, rootVersion: 1, issuer: 'authority', issuedAtMs: NOW, expiresMs: NOW + forMs },
      ...issue,
    },
    signers(signed),
  ).envelope;
}

const spansOf = (...spans: Span[]): MembersList => ({
  version: 9,
  members: spans,
  witnessing: [{ since: 1, rule: { quorum: 'none' } }],
});

function fileOf(list: MembersList, change: Change = {}, say: Word = {}): NetworkFiles {
  const made = listed(list, change);
  return {
    roots: [first.envelope],
    members: made.envelope,
    freshness: word(made, list.version, say),
    certificates: {},
  };
}

const plain = fileOf(firstList([ams, ana], { quorum: 'none' }));
const code = (files: NetworkFiles, pinned: string | null = id): string =>
  codeOf(() => openNetwork(files, pinned));
const codeOfSpans = (...spans: Span[]): string => code(fileOf(spansOf(...spans)));

test('a sound file opens, and its id is the digest of the first root', () => {
  const network = openNetwork(plain, id);
  expect(network).toMatchObject({ id, version: 1, rootVersion: 1, title: 'Heart' });
  expect(network.expiresMs).toBe(NOW + 30 * DAY_MS);
  expect(network.freshness).toEqual({ version: 1, issuedAtMs: NOW, expiresMs: NOW + DAY_MS });
  expect([...network.members.keys()]).toStrictEqual(['amsterdam', 'ana']);
  expect(openNetwork(plain, null).id).toBe(id);
});

describe('roots', () => {
  const walk = (...roots: Envelope[]): string => code({ ...plain, roots: [first.envelope, ...roots] });

  test('are walked through, each signed by the one before and by its own keys', () => {
    const two = rootAfter(
      first,
      2,
      { roles: { ...FIRST.roles, root: roleOf(2, second, third) } },
      root,
      second,
      third,
    );
    const three = rootAfter(two, 3, { title: 'New' }, second, third);
    // The third goes back to the first's keys, with the threshold of the second.
    expect(walk(two.envelope)).toBe('accepted');
    const renewed = rootAfter(
      two,
      3,
      { roles: { ...FIRST.roles, root: roleOf(2, second, third) } },
      second,
      third,
    );
    expect(walk(two.envelope, renewed.envelope)).toBe('accepted');
    expect(walk(two.envelope, three.envelope)).toBe('signature.invalid');
    expect(walk(renewed.envelope)).toBe('signature.invalid');
    expect(walk(two.envelope, two.envelope)).toBe('network.invalid');
  });

  test('need the old threshold, the new one, and distinct keys to reach it', () => {
    const roles = { ...FIRST.roles, root: roleOf(2, root, second, third) };
    const enough = rootAfter(first, 2, { roles }, root, second);
    expect(walk(enough.envelope)).toBe('accepted');
    expect(walk(rootAfter(first, 2, { roles }, second, third).envelope)).toBe('signature.invalid');
    expect(walk(rootAfter(first, 2, { roles }, root).envelope)).toBe('signature.invalid');
    expect(walk(rootAfter(first, 2, { roles }, root, root).envelope)).toBe('signature.invalid');
    expect(walk(rootAfter(first, 2, {}, stranger).envelope)).toBe('signature.invalid');
    const three = rootAfter(enough, 3, { roles }, root);
    expect(walk(enough.envelope, three.envelope)).toBe('signature.invalid');
  });

  test('are in order, of this network, and begin with version 1', () => {
    expect(walk(rootAfter(first, 3, {}, root).envelope)).toBe('network.invalid');
    expect(walk(rootAfter({ digest: digestOf('x') }, 2, {}, root).envelope)).toBe('network.invalid');
    expect(walk(rootAfter(first, 2, { networkId: digestOf('x') }, root).envelope)).toBe('network.mismatch');
    const two = rootAfter(first, 2, {}, root);
    expect(code({ ...plain, roots: [two.envelope] }, null)).toBe('network.invalid');
    expect(code({ ...plain, roots: [] })).toBe('network.invalid');
    expect(code({ ...plain, roots: Array(101).fill(first.envelope) })).toBe('network.invalid');
    expect(code({ ...plain, roots: [signRoot(FIRST, signers(stranger)).envelope] }, null)).toBe(
      'signature.invalid',
    );
  });

  test('a new one takes the old keys out of force', () => {
    const two = rootAfter(first, 2, { roles: { ...FIRST.roles, members: roleOf(1, second) } }, root);
    const roots = [first.envelope, two.envelope];
    expect(code({ ...plain, roots })).toBe('signature.invalid');
    const renewed = listed(firstList([ams], { quorum: 'none' }), { rootVersion: 2, signed: second });
    const say = word(renewed, 1, { rootVersion: 2 });
    expect(code({ ...plain, roots, members: renewed.envelope, freshness: say })).toBe('accepted');
    // What names a root that is not here.
    expect(code(fileOf(firstList([ams], { quorum: 'none' }), { rootVersion: 2 }))).toBe('network.invalid');
    expect(code(fileOf(firstList([ams], { quorum: 'none' }), {}, { rootVersion: 2 }))).toBe('network.behind');
  });

  test('another network than the pinned one', () => {
    expect(code(plain, digestOf('other'))).toBe('network.mismatch');
    const twin = signRoot({ ...FIRST, title: 'Twin' }, signers(root));
    expect(code({ ...plain, roots: [twin.envelope] }, null)).toBe('network.mismatch');
    expect(code(fileOf(firstList([ams], { quorum: 'none' }), { networkId: twin.digest }))).toBe(
      'network.mismatch',
    );
    expect(code(fileOf(firstList([ams], { quorum: 'none' }), {}, { networkId: twin.digest }))).toBe(
      'network.mismatch',
    );
  });
});

describe('freshness', () => {
  const list = firstList([ams], { quorum: 'none' });
  test('is of this list, by its own key, for no longer than the root allows', () => {
    expect(code(fileOf(list, {}, { forMs: 2 * DAY_MS }))).toBe('accepted');
    expect(code(fileOf(list, {}, { forMs: 2 * DAY_MS + 1 }))).toBe('network.invalid');
    expect(code(fileOf(list, {}, { forMs: 0 }))).toBe('network.invalid');
    expect(code(fileOf(list, {}, { signed: members }))).toBe('signature.invalid');
    expect(code(fileOf(list, {}, { signed: root }))).toBe('signature.invalid');
    const other = listed(firstList([ana], { quorum: 'none' }));
    expect(code({ ...fileOf(list), freshness: word(other, 1) })).toBe('network.forked');
    // Of a newer list, which is not here: that file opens, and nothing runs on it.
    const behind = openNetwork({ ...fileOf(list), freshness: word(other, 2) }, id);
    expect(behind.freshness.version).toBe(2);
  });
});

describe('the list', () => {
  test('is signed with the members key and no other, and each statement stands in its own place', () => {
    const list = firstList([ams], { quorum: 'none' });
    for (const signed of [root, freshness, stranger])
      expect(code(fileOf(list, { signed }))).toBe('signature.invalid');
    expect(code({ ...plain, members: plain.freshness })).toBe('signature.invalid');
    expect(code({ ...plain, freshness: plain.members })).toBe('signature.invalid');
    const asMembers = signStatement('freshness', { name: 'x', digest: id }, {}, signerOf(members)).envelope;
    expect(code({ ...plain, members: asMembers })).toBe('statement.type');
    const { predicate } = JSON.parse(Buffer.from(plain.members.payload, 'base64').toString()) as {
      predicate: object;
    };
    const about = (digest: Digest): NetworkFiles => {
      const made = signStatement('members', { name: 'network', digest }, predicate, signerOf(members));
      return { ...plain, members: made.envelope, freshness: word(made, 1, {}) };
    };
    expect([code(about(id)), code(about(digestOf('another')))]).toEqual(['accepted', 'network.mismatch']);
  });

  test('names each member once at a time', () => {
    const one = { ...ams, since: 1 };
    const again = { ...member('amsterdam'), since: 5 };
    const ended = { version: 5, atMs: 1 };
    const renewed: Span = { ...one, ended: { ...ended, why: 'renewed' } };
    const revoked: Span = { ...one, ended: { ...ended, why: 'revoked' } };
    expect(codeOfSpans(renewed, again)).toBe('accepted');
    expect(codeOfSpans(revoked, again)).toBe('accepted');
    expect(codeOfSpans(revoked)).toBe('accepted');
    expect(codeOfSpans(one, again)).toBe('network.invalid');
    expect(codeOfSpans(revoked, { ...again, since: 4 })).toBe('network.invalid');
    expect(codeOfSpans(renewed, { ...again, since: 6 })).toBe('network.invalid');
    expect(codeOfSpans(renewed, { ...again, role: 'auditor' })).toBe('network.invalid');
    expect(codeOfSpans(renewed)).toBe('network.invalid');
    expect(codeOfSpans(again, revoked)).toBe('network.invalid');
    expect(codeOfSpans({ ...one, since: 10 })).toBe('network.invalid');
    expect(codeOfSpans({ ...revoked, ended: { version: 10, atMs: 1, why: 'revoked' } })).toBe(
      'network.invalid',
    );
    expect(codeOfSpans({ ...revoked, since: 5 })).toBe('network.invalid');
  });

  test('names each key once', () => {
    const key = { statement: ana.keys.statement };
    expect(codeOfSpans({ ...ana, since: 1 }, { ...member('eve', 'auditor', key), since: 1 })).toBe(
      'network.invalid',
    );
    expect(
      codeOfSpans({ ...member('x', 'station', { log: ana.keys.statement }), since: 1 }, { ...ana, since: 2 }),
    ).toBe('network.invalid');
    for (const role of [root, members, freshness])
      expect(codeOfSpans({ ...member('x', 'station', { statement: publicOf(role) }), since: 1 })).toBe(
        'network.invalid',
      );
    const two = { ...FIRST, roles: { ...FIRST.roles, freshness: roleOf(1, members) } };
    const twice = signRoot(two, signers(root));
    const made = listed(firstList([ams], { quorum: 'none' }), { networkId: twice.digest });
    const wrong = {
      ...plain,
      roots: [twice.envelope],
      members: made.envelope,
      freshness: word(made, 1, { networkId: twice.digest, signed: members }),
    };
    expect(code(wrong, null)).toBe('network.invalid');
    expect(
      codeOf(() =>
        signRoot({ ...FIRST, roles: { ...FIRST.roles, root: roleOf(1, root, root) } }, signers(root)),
      ),
    ).toBe('network.invalid');
  });

  test('does not bring back a key that has ended', () => {
    const gone: Span = { ...ams, since: 1, ended: { version: 3, atMs: 1, why: 'revoked' } };
    expect(codeOfSpans(gone, { ...ams, since: 5 })).toBe('network.invalid');
    const old: Span = { ...ams, since: 1, ended: { version: 3, atMs: 1, why: 'renewed' } };
    const retitled: Span = { ...ams, title: 'Ams', since: 3 };
    expect(codeOfSpans(old, retitled)).toBe('accepted');
    const between: Span = {
      ...member('amsterdam'),
      since: 3,
      ended: { version: 4, atMs: 1, why: 'renewed' },
    };
    expect(codeOfSpans(old, between, { ...ams, since: 4 })).toBe('network.invalid');
  });

  test('has its rules of witnessing in order', () => {
    const rules = (...since: number[]): string =>
      code(
        fileOf({
          ...spansOf({ ...ams, since: 1 }),
          witnessing: since.map((at) => ({ since: at, rule: { quorum: 'none' } as const })),
        }),
      );
    expect(rules(1, 4, 9)).toBe('accepted');
    expect(rules(2)).toBe('network.invalid');
    expect(rules(1, 1)).toBe('network.invalid');
    expect(rules(1, 5, 4)).toBe('network.invalid');
    expect(rules(1, 10)).toBe('network.invalid');
  });

  test('has no unknown members, roles or spellings', () => {
    const raw = (each: object): string => {
      const predicate = {
        ...{ networkId: id, networkVersion: 1, issuer: 'authority', rootVersion: 1, previousDigest: null },
        ...{ issuedAtMs: NOW, expiresMs: NOW + 1, witnessing: [{ since: 1, rule: { quorum: 'none' } }] },
        members: [each],
      };
      const subject = { name: 'network', digest: id };
      return code({
        ...plain,
        members: signStatement('members', subject, predicate, signerOf(members)).envelope,
      });
    };
    const one = { ...ana, since: 1 };
    expect(raw({ ...one, extra: 1 })).toBe('statement.malformed');
    expect(raw({ ...one, role: 'king' })).toBe('statement.malformed');
    expect(raw({ ...one, id: '../ana' })).toBe('statement.malformed');
    expect(raw({ ...one, title: 'a\u202eb' })).toBe('statement.malformed');
    const { x } = ana.keys.statement;
    const spare = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const respelled = x.slice(0, -1) + (spare[spare.indexOf(x.slice(-1)) + 1] ?? '');
    expect(Buffer.from(respelled, 'base64url').equals(Buffer.from(x, 'base64url'))).toBe(true);
    expect(raw({ ...one, keys: { statement: { ...ana.keys.statement, x: respelled } } })).toBe(
      'statement.malformed',
    );
  });
});

describe('the past', () => {
  const open = (list: MembersList, change: Change = {}): Network => openNetwork(fileOf(list, change), id);
  const one = open(firstList([ams, ana], { quorum: 'none' }));
  const openNext = (list: MembersList): Network => open(list, { previousDigest: two.digest });
  const grown = nextList(one, { admitted: [member('ber')], revoked: [{ id: 'ana', reason: 'left' }] }, NOW);
  const two = open(grown, { previousDigest: one.digest });
  const rewritten = (change: (spans: readonly Span[]) => Span[]): string =>
    codeOf(() => assertSamePast(two, openNext({ ...grown, version: 3, members: change(grown.members) })));

  test('stays as it was told', () => {
    expect(codeOf(() => assertSamePast(one, two))).toBe('accepted');
    expect(codeOf(() => assertSamePast(two, two))).toBe('accepted');
    expect(rewritten((spans) => [...spans])).toBe('accepted');
    expect(rewritten((spans) => [...spans, { ...member('new'), since: 3 }])).toBe('accepted');
    // Some versions on, the digest of the one before says nothing of the one that is known.
    const far = open({ ...grown, version: 7 }, { previousDigest: digestOf('six') });
    expect(codeOf(() => assertSamePast(two, far))).toBe('accepted');
  });

  test('is not told otherwise', () => {
    expect(rewritten((spans) => spans.filter(({ id: name }) => name !== 'ana'))).toBe('network.forked');
    expect(rewritten((spans) => [...spans, { ...member('new'), since: 2 }])).toBe('network.forked');
    expect(rewritten((spans) => spans.map((each) => ({ ...each, title: 'Other' })))).toBe('network.forked');
    const keys = { statement: publicOf(ed25519()) };
    expect(rewritten((spans) => spans.map((each) => (each.id === 'ber' ? { ...each, keys } : each)))).toBe(
      'network.forked',
    );
    const endedAt = (id: string, ended: Span['ended']) => (spans: readonly Span[]) =>
      spans.map((each) => {
        const { ended: _before, ...rest } = each;
        return each.id !== id ? each : { ...rest, ...(ended === undefined ? {} : { ended }) };
      });
    expect(rewritten(endedAt('ana', undefined))).toBe('network.forked');
    expect(rewritten(endedAt('ana', { version: 2, atMs: NOW + 1, why: 'revoked' }))).toBe('network.forked');
    expect(rewritten(endedAt('ber', { version: 3, atMs: NOW, why: 'revoked' }))).toBe('accepted');
    expect(rewritten(endedAt('amsterdam', { version: 2, atMs: NOW, why: 'revoked' }))).toBe('network.forked');
    const later = { version: 2, atMs: NOW, why: 'revoked', reason: 'left', invalidAfterMs: 5 } as const;
    expect(rewritten(endedAt('ana', later))).toBe('accepted');
  });

  test('does not give back a key that was in other hands', () => {
    const stolen = (invalidAfterMs?: number): MembersList => ({
      ...grown,
      version: 3,
      members: grown.members.map((each) => {
        if (each.id !== 'ana') return each;
        const ended = { version: 2, atMs: NOW, why: 'revoked', reason: 'left' } as const;
        return { ...each, ended: { ...ended, ...(invalidAfterMs === undefined ? {} : { invalidAfterMs }) } };
      }),
    });
    const three = openNext(stolen(5));
    const then = (invalidAfterMs?: number): string => {
      const list = { ...stolen(invalidAfterMs), version: 4 };
      return codeOf(() => assertSamePast(three, open(list, { previousDigest: three.digest })));
    };
    expect([then(5), then(4), then(6), then()]).toEqual([
      'accepted',
      'accepted',
      'network.forked',
      'network.forked',
    ]);
  });

  test('one version with two lists, and other witnesses than before', () => {
    const twin = open(firstList([ams], { quorum: 'none' }));
    expect(codeOf(() => assertSamePast(one, twin))).toBe('network.forked');
    const astray = open({ ...grown, version: 3 }, { previousDigest: digestOf('x') });
    expect(codeOf(() => assertSamePast(two, astray))).toBe('network.forked');
    const rules = (...since: number[]) => ({
      ...grown,
      version: 3,
      witnessing: since.map((at) => ({ since: at, rule: { quorum: 'none' } as const })),
    });
    expect(codeOf(() => assertSamePast(two, openNext(rules(1, 3))))).toBe('accepted');
    expect(codeOf(() => assertSamePast(two, openNext(rules(1, 2))))).toBe('network.forked');
    const [, ...later] = rules(1, 3).witnessing;
    const rule = { quorum: 2, faulty: 1, witnesses: ['a', 'b', 'c'] };
    const otherFirst = { ...rules(1), witnessing: [{ since: 1, rule }, ...later] };
    expect(codeOf(() => assertSamePast(two, openNext(otherFirst)))).toBe('network.forked');
    expect(codeOf(() => assertSamePast(open(rules(1, 3)), open({ ...rules(1), version: 4 })))).toBe(
      'network.forked',
    );
  });
});

test('a thousand members, each with a renewal behind it, open', () => {
  const spans = Array.from({ length: 1000 }, (_, at): Span[] => {
    const name = `m-${at}`;
    const all = (): object => ({
      tls: publicOf(ed25519()),
      log: publicOf(ed25519()),
      witness: publicOf(ed25519()),
    });
    return [
      { ...member(name, 'station', all()), since: 1, ended: { version: 2, atMs: 1, why: 'renewed' } },
      { ...member(name, 'station', all()), since: 2 },
    ];
  }).flat();
  const files = fileOf(spansOf(...spans));
  const network = openNetwork(files, id);
  expect(network.members.size).toBe(1000);
  expect(codeOf(() => assertSamePast(network, network))).toBe('accepted');
});
