import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { lockHome } from './lock.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pht-lock-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function tryLock(): string {
  try {
    lockHome(dir)();
  } catch (thrown) {
    return thrown instanceof PhtError ? thrown.code : String(thrown);
  }
  return 'locked';
}

test('one holder at a time, also within one process', () => {
  const release = lockHome(dir);
  expect(tryLock()).toBe('home.locked');
  expect(tryLock()).toBe('home.locked');
  release();
  expect(tryLock()).toBe('locked');
});

test('another process holds it until it is killed', async () => {
  const lock = new URL('./lock.ts', import.meta.url).href;
  const script = `const { lockHome } = await import(${JSON.stringify(lock)});
    lockHome(${JSON.stringify(dir)}); console.log('held'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(child.stdout, 'data');
    expect(tryLock()).toBe('home.locked');
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  expect(tryLock()).toBe('locked');
});

test('a lock file that is none is not taken for another process', () => {
  writeFileSync(join(dir, 'lock.db'), 'x'.repeat(4096));
  expect(tryLock()).toBe('config.invalid');
});
