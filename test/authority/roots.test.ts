import { copyFileSync, existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openHome } from '../../src/adapters/home/member.ts';
import { importNetwork, readNetworkFile } from '../../src/adapters/home/network-file.ts';
import { importDraft, signDraft } from '../../src/cli/network-draft.ts';
import { makeRoleKey } from '../../src/cli/network-role-key.ts';
import { openNetwork, openRoots } from '../../src/model/open-network.ts';
import { codeOf, DAY_MS, openRig, type Rig, textOf } from './rig.ts';

const NOW = Date.UTC(2026, 0, 15);
let rig: Rig;
beforeEach(() => {
  rig = openRig(NOW);
});
afterEach(() => rig.close());

const rootNow = () => openRoots(readNetworkFile(rig.at('net', 'network.json')).roots, null).root.predicate;

test('everything but a new root works without the root key', async () => {
  await rig.found();
  expect(rig.told['offline']).toStrictEqual([rig.at('net', 'keys', 'root.jwk')]);
  renameSync(rig.at('net', 'keys', 'root.jwk'), rig.at('stick.jwk'));
  await rig.enrol('hub', 'dispatcher');
  await rig.enrol('ana', 'researcher');
  await rig.admit(['hub', 'ana']);
  await rig.freshen();
  await rig.revoke('ana');
  expect(rig.network().version).toBe(3);
  for (const what of ['root', 'members', 'freshness', 'tls-authority'] as const)
    expect(await codeOf(() => rig.rotate(what))).toBe('config.missing');
  expect(existsSync(rig.at('net', 'root-draft.json'))).toBe(false);
  expect(existsSync(rig.at('net', 'keys', 'next'))).toBe(false);
  copyFileSync(rig.at('stick.jwk'), rig.at('net', 'keys', 'root.jwk'));
  await rig.rotate('members');
  expect(rig.network()).toMatchObject({ rootVersion: 2, version: 4 });
});

test('the root says how long a word of freshness is good', async () => {
  await rig.found({ freshnessDays: '2', rootExpiresDays: '100' });
  const { issuedAtMs, expiresMs } = rig.network().freshness;
  expect(expiresMs - issuedAtMs).toBe(2 * DAY_MS);
  expect(rootNow()).toMatchObject({ expiresMs: NOW + 100 * DAY_MS, freshnessMsMax: 2 * DAY_MS });
  for (const freshnessDays of ['0', '8', 'two'])
    expect(await codeOf(() => rig.found({ freshnessDays }, 'other'))).toBe('usage.invalid');
  expect(existsSync(rig.at('other'))).toBe(false);
});

describe('two of three', () => {
  const sign = (who: string): Promise<string> =>
    codeOf(() => signDraft(rig.frame(who), rig.at('root-draft.json'), { yes: true }));
  const fetchDraft = (): void => copyFileSync(rig.at('net', 'root-draft.json'), rig.at('root-draft.json'));
  const takeOver = (): Promise<string> =>
    codeOf(() => importDraft(rig.frame('net'), rig.at('root-draft.json')));
  beforeEach(async () => {
    for (const holder of ['bea', 'cem', 'eve'])
      await makeRoleKey(rig.frame(holder), 'root', { out: rig.at(holder), passphrase: false });
    const rootKey = ['bea', 'cem'].map((holder) => rig.at(holder, 'root-key.json'));
    await rig.found({ rootKey, rootThreshold: '2' });
  });

  test('found a network together, and nothing begins before', async () => {
    expect(rig.told).toMatchObject({ rootDraft: rig.at('net', 'root-draft.json') });
    expect(existsSync(rig.at('net', 'network.json'))).toBe(false);
    expect(await codeOf(() => rig.freshen())).toBe('config.missing');
    fetchDraft();
    expect(await takeOver()).toBe('signature.invalid');
    expect(await sign('net')).toBe('conflict');
    expect(await takeOver()).toBe('signature.invalid');
    expect(await sign('eve')).toBe('signer.unknown');
    expect(await sign('bea')).toBe('accepted');
    expect(await takeOver()).toBe('accepted');
    expect(rig.network()).toMatchObject({ version: 1, rootVersion: 1 });
    expect(existsSync(rig.at('net', 'root-draft.json'))).toBe(false);
    expect(rootNow().roles.root).toMatchObject({ threshold: 2 });
  });

  test('and agree to each further root; a draft of another network is none of it', async () => {
    fetchDraft();
    await sign('cem');
    await takeOver();
    await rig.rotate('root');
    expect(rig.told).toMatchObject({ inForce: false });
    expect(rig.network().rootVersion).toBe(1);
    fetchDraft();
    expect(await takeOver()).toBe('signature.invalid');
    await sign('cem');
    expect(await takeOver()).toBe('accepted');
    expect(rig.network().rootVersion).toBe(2);
    expect(rootNow().roles.root.keys).toHaveLength(3);
    // The same again changes nothing, and an older one does not come back.
    expect(await takeOver()).toBe('accepted');
    const second = textOf(rig.at('root-draft.json'));
    await rig.rotate('freshness');
    fetchDraft();
    await sign('bea');
    expect(await takeOver()).toBe('accepted');
    writeFileSync(rig.at('root-draft.json'), second);
    expect(await takeOver()).toBe('network.rollback');
    expect(rig.network().rootVersion).toBe(3);

    await rig.found({ rootKey: [rig.at('bea', 'root-key.json')], rootThreshold: '2' }, 'other');
    copyFileSync(rig.at('other', 'root-draft.json'), rig.at('root-draft.json'));
    await sign('bea');
    expect(await takeOver()).toBe('network.mismatch');
  });

  test('stay the holders they are where only the threshold is said, and the threshold where only they are', async () => {
    fetchDraft();
    await sign('bea');
    await takeOver();
    const before = rootNow().roles.root;
    await rig.rotate('root', { rootThreshold: '3' });
    fetchDraft();
    await sign('bea');
    await sign('cem');
    expect(await takeOver()).toBe('accepted');
    expect(rootNow().roles.root.threshold).toBe(3);
    expect(rootNow().roles.root.keys.slice(1)).toEqual(before.keys.slice(1));
    const rootKey = ['bea', 'cem'].map((holder) => rig.at(holder, 'root-key.json'));
    await rig.rotate('root', { rootKey });
    fetchDraft();
    await sign('bea');
    await sign('cem');
    expect(await takeOver()).toBe('accepted');
    expect(rootNow().roles.root.threshold).toBe(3);
  });

  test('replace the third, whose key is lost', async () => {
    fetchDraft();
    await sign('cem');
    await takeOver();
    rmSync(rig.at('net', 'keys', 'root.jwk'));
    const rootKey = ['bea', 'cem'].map((holder) => rig.at(holder, 'root-key.json'));
    expect(await codeOf(() => rig.rotate('root'))).toBe('config.missing');
    expect(await codeOf(() => rig.rotate('root', { lost: true }))).toBe('usage.invalid');
    expect(await codeOf(() => rig.rotate('members', { lost: true }))).toBe('usage.invalid');
    await rig.rotate('root', { lost: true, rootKey, rootThreshold: '2' });
    fetchDraft();
    await sign('bea');
    // The new key and one old one: enough for the new root, too few for the old.
    expect(await takeOver()).toBe('signature.invalid');
    await sign('cem');
    expect(await takeOver()).toBe('accepted');
    expect(existsSync(rig.at('net', 'keys', 'root.jwk'))).toBe(true);
    await rig.rotate('freshness');
    expect(rig.network().rootVersion).toBe(2);
  });

  test('keep working while a draft goes round, and after a crash just as it came into force', async () => {
    fetchDraft();
    await sign('cem');
    await takeOver();
    await rig.enrol('ana', 'researcher');
    await rig.rotate('members');
    expect(readdirSync(rig.at('net', 'keys', 'next')).sort()).toStrictEqual(['members.jwk', 'public.json']);
    await rig.admit(['ana']);
    await rig.freshen();
    // The draft that was given up is followed by another one.
    await rig.rotate('members');
    fetchDraft();
    await sign('bea');
    rig.copy('net/keys', 'before');
    expect(await takeOver()).toBe('accepted');
    rmSync(rig.at('net', 'keys'), { recursive: true });
    renameSync(rig.at('before'), rig.at('net', 'keys'));
    await rig.revoke('ana');
    expect(rig.network()).toMatchObject({ rootVersion: 2, version: 4 });
    expect(existsSync(rig.at('net', 'keys', 'next'))).toBe(false);
  });

  test('a changed draft is signed by nobody', async () => {
    fetchDraft();
    const text = textOf(rig.at('root-draft.json'));
    const changed = text.replace(/"payload":"([^"]+)"/, (_all, payload: string) => {
      const statement = Buffer.from(payload, 'base64').toString().replace('Heart', 'Smart');
      return `"payload":"${Buffer.from(statement).toString('base64')}"`;
    });
    writeFileSync(rig.at('root-draft.json'), changed);
    await sign('bea');
    await sign('cem');
    expect(await takeOver()).not.toBe('accepted');
    expect(existsSync(rig.at('net', 'network.json'))).toBe(false);
  });
});

test('a threshold that its keys cannot reach, and a key that is none, found nothing', async () => {
  await makeRoleKey(rig.frame('bea'), 'root', { out: rig.at('bea'), passphrase: false });
  const rootKey = [rig.at('bea', 'root-key.json')];
  for (const options of [
    { rootKey, rootThreshold: '3' },
    { rootKey, rootThreshold: '0' },
    { rootKey, rootThreshold: '99999999999' },
    { rootKey: [...rootKey, ...rootKey], rootThreshold: '2' },
    { rootKey, rootThreshold: 'all' },
  ])
    expect(await codeOf(() => rig.found(options))).toBe('usage.invalid');
  expect(await codeOf(() => rig.found({ rootKey: [rig.at('bea', 'keys', 'root.jwk')] }))).toBe(
    'input.malformed',
  );
  expect(await codeOf(() => rig.found({ rootKey: [rig.at('nowhere')] }))).toBe('config.missing');
  // A key of the other role: its holder could never sign with it.
  expect(await codeOf(() => rig.found({ membersKey: rootKey, membersThreshold: '2' }))).toBe('usage.invalid');
  expect(readdirSync(rig.dir)).toStrictEqual(['bea']);
});

describe('rotating', () => {
  beforeEach(async () => {
    await rig.found();
    await rig.enrol('ana', 'researcher');
    await rig.admit(['ana']);
    rig.import('ana');
  });

  test('each role gets a new key, the old one counts no more, and members follow', async () => {
    rig.copy('net', 'before');
    for (const what of ['members', 'freshness', 'root'] as const) {
      const old = rootNow().roles[what].keys[0]?.x;
      await rig.rotate(what);
      expect(rootNow().roles[what].keys.map(({ x }) => x)).not.toContain(old);
      expect(rig.import('ana').rootVersion).toBe(rig.network().rootVersion);
      await rig.freshen();
    }
    expect(readdirSync(rig.at('net', 'keys', 'former')).sort()).toStrictEqual(['2', '3', '4']);
    expect(statSync(rig.at('net', 'keys', 'former', '4', 'root.jwk')).mode & 0o777).toBe(0o600);
    // What somebody signs with the keys of before.
    const stolen = rig.at('before', 'network.json');
    rig.nowMs += DAY_MS;
    const { freshen } = await import('../../src/cli/network-freshen.ts');
    await freshen(rig.frame('before'), { certificateDays: '90' });
    const old = readNetworkFile(stolen);
    const now = readNetworkFile(rig.at('net', 'network.json'));
    expect(await codeOf(() => openNetwork({ ...now, freshness: old.freshness }, null))).toBe(
      'signature.invalid',
    );
    expect(await codeOf(() => openNetwork({ ...now, members: old.members }, null))).toBe('signature.invalid');
    const ana = openHome(rig.at('ana'));
    expect(await codeOf(() => importNetwork(ana, { ...now, freshness: old.freshness }))).toBe(
      'signature.invalid',
    );
    rig.import('ana');
    expect(rig.network('ana').freshness.issuedAtMs).toBe(rig.network().freshness.issuedAtMs);
  });

  test('a root that nobody of the old one signed is refused', async () => {
    rig.copy('net', 'thief');
    rmSync(rig.at('thief', 'keys', 'root.jwk'));
    const { rotateRole } = await import('../../src/cli/network-rotate.ts');
    const { generateKey, storeKey } = await import('../../src/adapters/home/keys.ts');
    await storeKey(rig.at('thief'), 'root', generateKey('root'), null);
    const options = { rootExpiresDays: '9' };
    expect(await codeOf(() => rotateRole(rig.frame('thief'), 'root', options))).toBe('config.invalid');
  });

  test('options that go with another key are refused', async () => {
    expect(await codeOf(() => rig.rotate('members', { rootThreshold: '2' }))).toBe('usage.invalid');
    expect(await codeOf(() => rig.rotate('root', { retire: true }))).toBe('usage.invalid');
    expect(await codeOf(() => rig.rotate('tls-authority', { retire: true }))).toBe('usage.invalid');
    expect(rig.network().rootVersion).toBe(1);
  });
});
