import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CompactEncrypt } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { encryptedByDefault, generateKey, loadKey, publicOf, storeKey } from './keys.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pht-keys-'));
  mkdirSync(join(dir, 'keys'), { mode: 0o700 });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const never = (): Promise<string> => Promise.reject(new Error('asked for a passphrase'));
const answer = (passphrase: string) => (): Promise<string> => Promise.resolve(passphrase);
const write = (name: string, text: string): void =>
  writeFileSync(join(dir, 'keys', name), text, { mode: 0o600 });

test('a plain key comes back without asking, mode 0600', async () => {
  const jwk = generateKey('statement');
  await storeKey(dir, 'statement', jwk, null);
  expect(readdirSync(join(dir, 'keys'))).toStrictEqual(['statement.jwk']);
  expect(statSync(join(dir, 'keys', 'statement.jwk')).mode & 0o777).toBe(0o600);
  expect(await loadKey(dir, 'statement', never)).toStrictEqual(jwk);
  expect(publicOf(jwk)).toStrictEqual({ kty: 'OKP', crv: 'Ed25519', x: jwk.x });
});

test('an encrypted key opens with its passphrase only, and its file does not hold the secret', async () => {
  const jwk = generateKey('encryption');
  expect(jwk.crv).toBe('X25519');
  await storeKey(dir, 'encryption', jwk, 'correct horse');
  const text = readFileSync(join(dir, 'keys', 'encryption.jwe'), 'utf8');
  expect(text).not.toContain(jwk.d);
  const header = Buffer.from(text.split('.')[0] ?? '', 'base64url').toString();
  expect(JSON.parse(header)).toMatchObject({ alg: 'PBES2-HS512+A256KW', enc: 'A256GCM', p2c: 600_000 });
  expect(await loadKey(dir, 'encryption', answer('correct horse'))).toStrictEqual(jwk);
  await expect(loadKey(dir, 'encryption', answer('wrong horse'))).rejects.toMatchObject({
    code: 'passphrase.wrong',
  });
});

test('a file that would make us count for hours is refused at once', async () => {
  const jwe = await new CompactEncrypt(Buffer.from(JSON.stringify(generateKey('statement'))))
    .setProtectedHeader({ alg: 'PBES2-HS512+A256KW', enc: 'A256GCM' })
    .setKeyManagementParameters({ p2c: 1000 })
    .encrypt(Buffer.from('correct horse'));
  const [header = '', ...rest] = jwe.split('.');
  const costly = { ...JSON.parse(Buffer.from(header, 'base64url').toString()), p2c: 2_000_000_000 } as object;
  write('statement.jwe', [Buffer.from(JSON.stringify(costly)).toString('base64url'), ...rest].join('.'));
  await expect(loadKey(dir, 'statement', answer('correct horse'))).rejects.toMatchObject({
    code: 'passphrase.wrong',
  });
});

test('refuses what is missing, open to others, ambiguous, damaged, or of another use', async () => {
  await expect(loadKey(dir, 'tls', never)).rejects.toMatchObject({ code: 'config.missing' });
  const jwk = generateKey('tls');
  await storeKey(dir, 'tls', jwk, null);
  chmodSync(join(dir, 'keys', 'tls.jwk'), 0o644);
  await expect(loadKey(dir, 'tls', never)).rejects.toMatchObject({ code: 'config.invalid' });
  chmodSync(join(dir, 'keys', 'tls.jwk'), 0o600);
  write('tls.jwe', 'a.b.c.d.e');
  await expect(loadKey(dir, 'tls', never)).rejects.toMatchObject({ code: 'config.invalid' });
  rmSync(join(dir, 'keys', 'tls.jwe'));
  const other = generateKey('log');
  for (const text of [
    JSON.stringify({ ...jwk, x: other.x }),
    JSON.stringify({ ...jwk, use: 'sig' }),
    JSON.stringify(generateKey('encryption')),
    JSON.stringify(publicOf(jwk)),
    JSON.stringify(jwk).slice(0, -5),
    'null',
  ]) {
    write('tls.jwk', text);
    await expect(loadKey(dir, 'tls', never)).rejects.toMatchObject({
      code: expect.stringMatching(/^(?:config\.invalid|input\.malformed)$/),
    });
  }
});

test('people encrypt by default, servers do not, and watching needs no passphrase', () => {
  expect(encryptedByDefault('researcher', 'statement')).toBe(true);
  expect(encryptedByDefault('researcher', 'tls')).toBe(false);
  expect(encryptedByDefault('admin', 'statement')).toBe(true);
  expect(encryptedByDefault('authority', 'root')).toBe(true);
  expect(encryptedByDefault('station', 'statement')).toBe(false);
  expect(encryptedByDefault('dispatcher', 'log')).toBe(false);
});
