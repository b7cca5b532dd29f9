import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadKey } from '../../src/adapters/home/keys.ts';
import { encodeDraft, readDraft } from '../../src/adapters/home/network-draft.ts';
import { readNetworkFile } from '../../src/adapters/home/network-file.ts';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import { register } from '../../src/cli/network.ts';
import { importDraft, signDraft } from '../../src/cli/network-draft.ts';
import { type HeldRole, makeRoleKey } from '../../src/cli/network-role-key.ts';
import { listWords } from '../../src/journey/authority/list.ts';
import { rootWords } from '../../src/journey/authority/root.ts';
import type { Envelope } from '../../src/model/dsse.ts';
import { type NetworkDraft, openDraft } from '../../src/model/network-draft.ts';
import type { MembersPredicate, RootPredicate } from '../../src/model/network-statements.ts';
import { openNetwork, openRoots } from '../../src/model/open-network.ts';
import { cosignStatement, signStatement } from '../../src/model/statement.ts';
import { codeOf, DAY_MS, openRig, type Rig, textOf } from './rig.ts';

const NOW = Date.UTC(2026, 0, 15);
const NEVER = (): Promise<string> => Promise.reject(new Error('asked for a passphrase'));
let rig: Rig;
beforeEach(() => {
  rig = openRig(NOW);
});
afterEach(() => rig.close());

const holder = (who: string, role: HeldRole = 'members'): Promise<void> =>
  makeRoleKey(rig.frame(who), role, { out: rig.at(who), passphrase: false });
const keyFile = (who: string, role: HeldRole = 'members'): string => rig.at(who, `${role}-key.json`);
const rootNow = (): RootPredicate =>
  openRoots(readNetworkFile(rig.at('net', 'network.json')).roots, null).root.predicate;

/** Takes the authority's draft out of its home, as it would travel. */
function fetchDraft(name: 'root' | 'members' = 'members', to = 'draft.json'): void {
  copyFileSync(rig.at('net', `${name}-draft.json`), rig.at(to));
}
const draftIn = (file = 'draft.json'): NetworkDraft => readDraft(rig.at(file));
const put = (draft: NetworkDraft): void => writeFileSync(rig.at('draft.json'), encodeDraft(draft));
const sign = (who: string, file = 'draft.json'): Promise<string> =>
  codeOf(() => signDraft(rig.frame(who), rig.at(file), { yes: true }));
const takeOver = (file = 'draft.json'): Promise<string> =>
  codeOf(() => importDraft(rig.frame('net'), rig.at(file)));
const listOf = (draft: NetworkDraft): Envelope => {
  if (draft.list === undefined) throw new Error('the draft has no list');
  return draft.list.next;
};
const withList = (draft: NetworkDraft, next: Envelope): NetworkDraft => ({
  ...draft,
  list: { ...draft.list, next },
});

describe('a list of members that two of three have to sign', () => {
  beforeEach(async () => {
    for (const who of ['bea', 'cem', 'eve']) await holder(who);
    await rig.found({ membersKey: ['bea', 'cem'].map((who) => keyFile(who)), membersThreshold: '2' });
  });

  async function begin(): Promise<void> {
    fetchDraft('root');
    expect(await sign('cem')).toBe('accepted');
    expect(await takeOver()).toBe('accepted');
  }

  async function draftAna(): Promise<void> {
    await begin();
    await rig.enrol('ana', 'researcher');
    await rig.admit(['ana']);
    fetchDraft();
  }

  test('begins with them', async () => {
    expect(await codeOf(() => rig.freshen())).toBe('config.missing');
    fetchDraft('root');
    expect(await takeOver()).toBe('signature.invalid');
    expect(await sign('net')).toBe('conflict');
    expect(await sign('eve')).toBe('signer.unknown');
    await begin();
    expect(rig.network()).toMatchObject({ version: 1, rootVersion: 1 });
    expect(rootNow().roles.members).toMatchObject({ threshold: 2 });
    expect(rootNow().roles.members.keys).toHaveLength(3);
  });

  test('changes when they have signed, and not before', async () => {
    await draftAna();
    expect(rig.told).toMatchObject({
      inForce: false,
      version: 1,
      draft: rig.at('net', 'members-draft.json'),
    });
    expect(await takeOver()).toBe('signature.invalid');
    expect(rig.network().version).toBe(1);
    await rig.freshen();
    expect(await sign('bea')).toBe('accepted');
    expect(rig.told).toMatchObject({ version: 2, complete: true });
    expect(await takeOver()).toBe('accepted');
    expect(rig.network().members.has('ana')).toBe(true);
    expect(rig.network().certificates.has('ana')).toBe(true);
    expect(await codeOf(() => readDraft(rig.at('net', 'members-draft.json')))).toBe('config.missing');
    expect(rig.import('ana').version).toBe(2);
    // The same again changes nothing.
    expect(await takeOver()).toBe('accepted');
    expect(rig.network().version).toBe(2);
    await rig.revoke('ana');
    expect(rig.network().members.has('ana')).toBe(true);
    fetchDraft();
    await sign('cem');
    expect(await takeOver()).toBe('accepted');
    expect(rig.network().members.has('ana')).toBe(false);
    expect(rig.network().version).toBe(3);
  });

  test('takes each key once, and whoever signs twice is told', async () => {
    await draftAna();
    const own = createSigner(await loadKey(rig.at('net'), 'members', NEVER));
    const draft = draftIn();
    put(withList(draft, cosignStatement(listOf(draft), own)));
    expect(await takeOver()).toBe('signature.invalid');
    expect(await sign('bea')).toBe('signature.invalid');
    const files = readNetworkFile(rig.at('net', 'network.json'));
    const twice = cosignStatement(listOf(draft), own);
    expect(await codeOf(() => openNetwork({ ...files, members: twice }, null))).toBe('signature.invalid');
    put(draft);
    expect(await sign('bea')).toBe('accepted');
    expect(await sign('bea')).toBe('conflict');
  });

  test('takes no key of the root, no key of others, and nothing else than a draft', async () => {
    await draftAna();
    await holder('dan', 'root');
    mkdirSync(rig.at('bare'));
    expect(await sign('dan')).toBe('signer.unknown');
    expect(await sign('eve')).toBe('signer.unknown');
    expect(await sign('bare')).toBe('config.missing');
    expect(await sign('bea', 'ana/enrolment.json')).toBe('input.malformed');
    expect(await sign('bea', 'net/network.json')).toBe('input.malformed');
    const draft = draftIn();
    for (const [who, role] of [
      ['net', 'root'],
      ['dan', 'root'],
      ['eve', 'members'],
    ] as const) {
      const signer = createSigner(await loadKey(rig.at(who), role, NEVER));
      put(withList(draft, cosignStatement(listOf(draft), signer)));
      expect(await takeOver()).toBe('signature.invalid');
      expect(await sign('bea')).toBe('signature.invalid');
    }
    expect(rig.network().version).toBe(1);
  });

  /** The list of a draft with something else in it. */
  const changed = (draft: NetworkDraft, change: (list: MembersPredicate) => object): object => {
    const text = Buffer.from(listOf(draft).payload, 'base64').toString();
    const statement = JSON.parse(text) as { predicate: MembersPredicate };
    return { ...statement, predicate: { ...statement.predicate, ...change(statement.predicate) } };
  };

  test('is signed by nobody once the draft was changed on its way', async () => {
    await draftAna();
    const draft = draftIn();
    const statement = changed(draft, ({ members }) => ({
      members: members.map((member) => ({ ...member, organisation: 'Evil' })),
    }));
    const payload = Buffer.from(JSON.stringify(statement)).toString('base64');
    const other = changed(draft, ({ members }) => ({
      members: members.map((member) => (member.id === 'ana' ? { ...member, title: 'Eve' } : member)),
    }));
    for (const [to, code] of [
      [payload, 'network.forked'],
      [Buffer.from(JSON.stringify(other)).toString('base64'), 'signature.invalid'],
    ] as const) {
      put(withList(draft, { ...listOf(draft), payload: to }));
      expect(await sign('bea')).toBe(code);
      expect(await takeOver()).toBe(code);
    }
    expect(rig.network().version).toBe(1);
  });

  test('tells no other past, names no other root and skips no version, whoever signed', async () => {
    await draftAna();
    const draft = draftIn();
    const own = createSigner(await loadKey(rig.at('net'), 'members', NEVER));
    const drafted = (change: (list: MembersPredicate) => object): void => {
      const { predicate } = changed(draft, change) as { predicate: object };
      const subject = { name: 'network', digest: rig.network().id };
      put(withList(draft, signStatement('members', subject, predicate, own).envelope));
    };
    const wrong: [(list: MembersPredicate) => object, string][] = [
      [({ members }) => ({ members: members.slice(1) }), 'network.forked'],
      [() => ({ previousDigest: 'a'.repeat(64) }), 'network.forked'],
      [() => ({ networkVersion: 3 }), 'network.invalid'],
      [() => ({ rootVersion: 2 }), 'network.invalid'],
      [() => ({ networkId: 'a'.repeat(64) }), 'network.mismatch'],
      [({ members }) => ({ members: [...members, members[0]] }), 'network.invalid'],
      [() => ({}), 'accepted'],
    ];
    for (const [change, code] of wrong) {
      drafted(change);
      expect(await sign('bea')).toBe(code);
    }
    const { list, ...rest } = draft;
    put({ ...rest, list: { next: listOf(draft) } });
    expect(await sign('bea')).toBe('network.invalid');
    put({ roots: [], ...(list && { list }) });
    expect(await sign('bea')).toBe('network.invalid');
  });

  test('follows the list in force: a draft that is based on an older one is given up', async () => {
    await draftAna();
    expect(rig.warnings.filter((line) => line.includes('given up'))).toStrictEqual([]);
    copyFileSync(rig.at('draft.json'), rig.at('first.json'));
    await rig.enrol('ber', 'station');
    await rig.admit(['ber']);
    expect(rig.warnings.filter((line) => line.includes('given up'))).toHaveLength(1);
    fetchDraft();
    await sign('bea');
    await sign('bea', 'first.json');
    expect(await takeOver()).toBe('accepted');
    expect(await takeOver('first.json')).toBe('network.rollback');
    expect([...rig.network().members.keys()]).toStrictEqual(['authority', 'ber']);
  });

  test('is not begun beside a root that waits with a list, without a word about it', async () => {
    await begin();
    await rig.rotate('members', { membersKey: [keyFile('bea'), keyFile('eve')], membersThreshold: '2' });
    const other = (): string[] => rig.warnings.filter((line) => line.includes('a list waits in'));
    expect(other()).toStrictEqual([]);
    await rig.enrol('ana', 'researcher');
    await rig.admit(['ana']);
    expect(other()).toStrictEqual([expect.stringContaining(rig.at('net', 'root-draft.json'))]);
  });

  test('is no network file, and says so', async () => {
    await draftAna();
    const tried = (home: string, what: string): Promise<unknown> => {
      const program = new Command().exitOverride();
      register(program, rig.frame(home));
      return program.parseAsync(['network', what, rig.at('draft.json')], { from: 'user' });
    };
    const refused = { code: 'input.malformed', message: expect.stringContaining('is a draft') };
    await expect(tried('net', 'verify')).rejects.toMatchObject(refused);
    await expect(tried('ana', 'import')).rejects.toMatchObject(refused);
  });

  test('names what is next: another holder, or the authority once enough have signed', async () => {
    fetchDraft('root');
    expect(await sign('cem')).toBe('accepted');
    expect(rig.lines.join(' ')).toContain('back to the authority: pht --home NET network import');
    await expect(signDraft(rig.frame('cem'), rig.at('draft.json'), { yes: true })).rejects.toMatchObject({
      code: 'conflict',
      hint: expect.stringContaining('the next holder'),
    });
  });

  test('is not signed after its own end', async () => {
    await begin();
    await rig.enrol('ana', 'researcher');
    await rig.admit(['ana'], { expiresDays: '1' });
    fetchDraft();
    copyFileSync(rig.at('draft.json'), rig.at('late.json'));
    await sign('bea');
    // A list is younger than the word before it, by a millisecond at least.
    rig.nowMs += DAY_MS + 1;
    expect(await sign('bea', 'late.json')).toBe('network.expired');
    expect(await takeOver()).toBe('network.expired');
    expect(rig.network().version).toBe(1);
  });

  test('keeps its holders while the own key is replaced, also when that is lost', async () => {
    await begin();
    const before = rootNow().roles.members;
    await rig.rotate('members');
    expect(rig.told).toMatchObject({ inForce: false, draft: rig.at('net', 'root-draft.json') });
    fetchDraft('root');
    expect(await takeOver()).toBe('signature.invalid');
    await sign('bea');
    expect(await takeOver()).toBe('accepted');
    expect(rig.network()).toMatchObject({ version: 2, rootVersion: 2 });
    expect(rootNow().roles.members.keys.slice(1)).toEqual(before.keys.slice(1));
    expect(rootNow().roles.members.keys[0]).not.toEqual(before.keys[0]);
    rmSync(rig.at('net', 'keys', 'members.jwk'));
    expect(await codeOf(() => rig.rotate('members'))).toBe('config.missing');
    await rig.rotate('members', { membersKey: [keyFile('bea'), keyFile('cem')] });
    fetchDraft('root');
    await sign('cem');
    expect(await takeOver()).toBe('accepted');
    // And is one person's again, once the root says so.
    await rig.rotate('members', { membersKey: [keyFile('bea')], membersThreshold: '1' });
    expect(rig.told).toMatchObject({ inForce: true });
    await rig.enrol('ana', 'researcher');
    await rig.admit(['ana']);
    expect(rig.told).toMatchObject({ inForce: true, version: 5 });
  });

  test('shows a holder what it says of keys that ended before', async () => {
    await draftAna();
    await sign('bea');
    await takeOver();
    await rig.revoke('ana', { reason: 'left us' });
    fetchDraft();
    await sign('bea');
    await takeOver();
    await rig.admit([], { renew: true });
    fetchDraft();
    const own = createSigner(await loadKey(rig.at('net'), 'members', NEVER));
    const draft = draftIn();
    const { predicate } = changed(draft, ({ members }) => ({
      members: members.map(({ ended, ...member }) =>
        ended === undefined ? member : { ...member, ended: { ...ended, invalidAfterMs: 1000 } },
      ),
    })) as { predicate: object };
    const subject = { name: 'network', digest: rig.network().id };
    put(withList(draft, signStatement('members', subject, predicate, own).envelope));
    expect(await sign('bea')).toBe('accepted');
    expect(rig.lines).not.toContain('  nobody is new or gone');
    expect(rig.lines).toContain('  earlier keys of researcher ana');
    expect(rig.lines).toContain('    in other hands since 1970-01-01T00:00:01.000Z');
  });

  test('shows a holder what it changes', async () => {
    await draftAna();
    const { id, title, list } = openDraft(draftIn());
    const words = list === null ? [] : listWords(list.next, { title, id });
    expect(words.slice(0, 5)).toStrictEqual([
      'version 2 of the list of members of Heart',
      `  network id ${rig.network().id}`,
      '  under root 1',
      '  good until 2027-01-15',
      '  admits researcher ana: Title of ana, Org',
    ]);
    expect(words[5]).toMatch(/^ {4}statement {2}[0-9a-f]{64}$/);
    await sign('bea');
    expect(rig.lines).toContain('  admits researcher ana: Title of ana, Org');
    expect(rig.lines).toContain('signed the list of members');
    expect(rig.lines).toContain('  the list of members has 2 signatures: enough');
    await takeOver();
    await rig.revoke('ana', { reason: 'left us', compromisedSince: '2026-01-01' });
    const revoked = openDraft(readDraft(rig.at('net', 'members-draft.json'))).list;
    expect(revoked && listWords(revoked.next, { title, id }).slice(4)).toStrictEqual([
      '  revokes researcher ana: left us',
      '    in other hands since 2026-01-01T00:00:00.000Z',
    ]);
    await rig.admit([], { renew: true });
    const renewed = openDraft(readDraft(rig.at('net', 'members-draft.json'))).list;
    expect(renewed && listWords(renewed.next, { title, id }).slice(4)).toStrictEqual([
      '  nobody is new or gone',
    ]);
    expect(rootWords(rootNow(), null, id)).toContain(
      '  members (admits and revokes): 2 of 3 keys must sign each list',
    );
  });
});

describe('one holder becomes two', () => {
  test('with a root and a list that they sign in one draft, and members follow', async () => {
    for (const who of ['bea', 'cem']) await holder(who);
    await rig.found();
    await rig.enrol('ana', 'researcher');
    await rig.admit(['ana']);
    rig.import('ana');
    await rig.rotate('members', { membersKey: [keyFile('bea')], membersThreshold: '2' });
    expect(rig.network()).toMatchObject({ version: 2, rootVersion: 1 });
    fetchDraft('root');
    // A list that comes into force meanwhile is not undone.
    await rig.enrol('eve', 'auditor');
    await rig.admit(['eve']);
    await sign('bea');
    expect(await takeOver()).toBe('network.rollback');
    await rig.rotate('members', { membersKey: [keyFile('bea')], membersThreshold: '2' });
    fetchDraft('root');
    expect(await sign('cem')).toBe('signer.unknown');
    await sign('bea');
    expect(await takeOver()).toBe('accepted');
    expect(rig.network()).toMatchObject({ version: 4, rootVersion: 2 });
    expect(rig.import('ana')).toMatchObject({ version: 4, rootVersion: 2 });
    // One signature alone makes no list any more.
    const files = readNetworkFile(rig.at('net', 'network.json'));
    const [one] = files.members.signatures;
    const alone = { ...files.members, signatures: one === undefined ? [] : [one] };
    expect(await codeOf(() => openNetwork({ ...files, members: alone }, null))).toBe('signature.invalid');
  });

  test('not with a threshold out of reach, a key of the root, or on another word', async () => {
    await holder('bea');
    await holder('dan', 'root');
    await rig.found();
    for (const options of [
      { membersKey: [keyFile('bea')], membersThreshold: '3' },
      { membersKey: [keyFile('bea'), keyFile('bea')], membersThreshold: '2' },
      { membersThreshold: '0' },
    ])
      expect(await codeOf(() => rig.rotate('members', options))).toBe('usage.invalid');
    expect(await codeOf(() => rig.rotate('root', { membersThreshold: '2' }))).toBe('usage.invalid');
    expect(await codeOf(() => rig.rotate('members', { rootThreshold: '2' }))).toBe('usage.invalid');
    const posing = textOf(keyFile('dan', 'root')).replace('"root"', '"members"');
    writeFileSync(rig.at('posing.json'), posing);
    const both = { rootKey: [keyFile('dan', 'root')], membersKey: [rig.at('posing.json')] };
    expect(await codeOf(() => rig.found(both, 'other'))).toBe('network.invalid');
    expect(await codeOf(() => textOf(rig.at('other', 'member.json')))).not.toBe('accepted');
    expect(await codeOf(() => rig.admit([]))).toBe('usage.invalid');
    expect(rig.network()).toMatchObject({ version: 1, rootVersion: 1 });
  });
});
