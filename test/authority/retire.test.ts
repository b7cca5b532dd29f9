import { existsSync, readFileSync, renameSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { writeAtomic } from '../../src/adapters/home/files.ts';
import { loadFormerKeys, nextKeys } from '../../src/adapters/home/key-rotation.ts';
import { generateKey, loadKey, storeKey } from '../../src/adapters/home/keys.ts';
import { openHome } from '../../src/adapters/home/member.ts';
import { encodeNetworkFile, readNetworkFile } from '../../src/adapters/home/network-file.ts';
import { keyOf } from '../../src/cli/network-certify.ts';
import { isIssuedBy, readCertificate } from '../../src/model/member-certificate.ts';
import { codeOf, DAY_MS, openRig, type Rig } from './rig.ts';

/** `rotate tls-authority --retire`: the last step of a rotation, which nobody may be able to take too early or twice. */

const START = Date.UTC(2026, 0, 5);
const NEVER = (): Promise<string> => Promise.reject(new Error('asked for a passphrase'));

let rig: Rig;
beforeEach(async () => {
  rig = openRig(START);
  await rig.found();
  await rig.enrol('ber', 'station');
  await rig.admit(['ber']);
});
afterEach(() => rig.close());

const retire = (): Promise<string> => codeOf(() => rig.rotate('tls-authority', { retire: true }));
const authorities = (): (string | undefined)[] => rig.network().tlsAuthorities.map(keyOf);
const file = (): string => readFileSync(rig.at('net', 'network.json'), 'utf8');
const currentKey = async (): Promise<string> => (await loadKey(rig.at('net'), 'tls-authority', NEVER)).x;

/** Both authorities are listed, the new one issues, and everybody has had the time to fetch what it issued. */
async function rotated(): Promise<{ before: string; after: string }> {
  const before = await currentKey();
  await rig.rotate('tls-authority');
  rig.nowMs += 8 * DAY_MS;
  await rig.freshen();
  rig.nowMs += 7 * DAY_MS;
  await rig.freshen();
  return { before, after: await currentKey() };
}

/** Whatever was refused left file and keys as they were. */
async function refused(code: string): Promise<void> {
  const [text, key] = [file(), await currentKey()];
  expect(await retire()).toBe(code);
  expect([file(), await currentKey()]).toEqual([text, key]);
  expect(existsSync(rig.at('net', 'root-draft.json'))).toBe(false);
}

describe('the old TLS authority', () => {
  test('is dropped once, its key is kept, what the new one issued goes on, and so do rotations', async () => {
    const { before, after } = await rotated();
    expect(authorities()).toEqual([before, after]);
    const held = rig.network();
    expect(await retire()).toBe('accepted');
    expect(authorities()).toEqual([after]);
    const network = rig.import('ber');
    expect([network.rootVersion, network.version]).toEqual([held.rootVersion + 1, held.version]);
    expect(network.certificates.get('ber')).toBe(held.certificates.get('ber'));
    const home = openHome(rig.at('net'));
    const former = await loadFormerKeys(home, 'tls-authority', NEVER);
    expect(former.map(({ x }) => x)).toEqual([before]);
    await refused('usage.invalid');
    expect([await currentKey(), nextKeys(home)]).toEqual([after, {}]);
    // And issues what comes later.
    await rig.enrol('ams', 'station');
    await rig.admit(['ams']);
    const issued = readCertificate(rig.network().certificates.get('ams') ?? '');
    expect(issued !== null && isIssuedBy(issued, network.tlsAuthorities[0] ?? '')).toBe(true);
    const again = await rotated();
    expect(again.before).toBe(after);
    expect(await retire()).toBe('accepted');
    expect(authorities()).toEqual([again.after]);
  });

  test('stays where none follows it, while that waits, and while members may not have fetched what it issued', async () => {
    await refused('usage.invalid');
    await rig.rotate('tls-authority');
    await refused('conflict');
    rig.nowMs += 8 * DAY_MS;
    // It is the one that still issues.
    await refused('conflict');
    await rig.freshen();
    await refused('conflict');
    rig.nowMs += 7 * DAY_MS - 1;
    await refused('conflict');
    rig.nowMs += 1;
    expect(await retire()).toBe('accepted');
  });

  test('stays while a certificate that it issued is still listed', async () => {
    const old = rig.network().certificates.get('ber') ?? '';
    await rotated();
    const files = readNetworkFile(rig.at('net', 'network.json'));
    const kept = { ...files, certificates: { ...files.certificates, ber: old } };
    writeAtomic(rig.at('net', 'network.json'), encodeNetworkFile(kept));
    await refused('conflict');
    // Freshening gives ber one of the new authority.
    await rig.freshen();
    expect(await retire()).toBe('accepted');
  });

  test('stays while a file that it takes is missing or another, and goes once that is back', async () => {
    await rotated();
    const text = file();
    const away = rig.at('away');
    for (const names of [['keys', 'root.jwk'], ['keys', 'tls-authority.jwk'], ['network.json']]) {
      const place = rig.at('net', ...names);
      renameSync(place, away);
      expect([names.at(-1), await retire()]).toEqual([names.at(-1), 'config.missing']);
      renameSync(away, place);
    }
    const key = rig.at('net', 'keys', 'tls-authority.jwk');
    renameSync(key, away);
    await storeKey(rig.at('net'), 'tls-authority', generateKey('tls-authority'), null);
    expect(await retire()).toBe('config.invalid');
    renameSync(away, key);
    expect([file(), authorities().length]).toEqual([text, 2]);
    expect(await retire()).toBe('accepted');
  });
});
