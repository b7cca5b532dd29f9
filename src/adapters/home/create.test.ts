import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createHome } from './create.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pht-create-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const fill = (draft: string): Promise<void> =>
  Promise.resolve(writeFileSync(join(draft, 'member.json'), '{}'));

test('makes the home and the folders above it, closed to others', async () => {
  const home = join(dir, 'stations', 'amsterdam');
  await createHome(home, fill);
  expect(readdirSync(home)).toStrictEqual(['member.json']);
  expect(statSync(home).mode & 0o777).toBe(0o700);
  expect(readdirSync(join(dir, 'stations'))).toStrictEqual(['amsterdam']);
});

test('an empty folder may become a home', async () => {
  mkdirSync(join(dir, 'home'));
  await createHome(join(dir, 'home'), fill);
  expect(statSync(join(dir, 'home')).mode & 0o777).toBe(0o700);
});

test('nothing that is there is overwritten, also when it appears in the last moment', async () => {
  const home = join(dir, 'home');
  await expect(createHome(join(dir), fill)).resolves.toBeUndefined();
  writeFileSync(home, 'a file');
  await expect(createHome(home, fill)).rejects.toMatchObject({ code: 'home.exists' });
  rmSync(home);
  const race = async (draft: string): Promise<void> => {
    await fill(draft);
    mkdirSync(home);
    writeFileSync(join(home, 'other'), 'x');
  };
  await expect(createHome(home, race)).rejects.toMatchObject({ code: 'home.exists' });
  await expect(createHome(home, fill)).rejects.toMatchObject({ code: 'home.exists' });
  expect(readdirSync(home)).toStrictEqual(['other']);
  expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toStrictEqual([]);
});

test('an error while filling leaves nothing', async () => {
  const failing = (): Promise<void> => Promise.reject(new Error('disk full'));
  await expect(createHome(join(dir, 'home'), failing)).rejects.toThrow();
  expect(readdirSync(dir)).toStrictEqual([]);
});
