import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createCommandNotifier } from './command.ts';

/** Real processes: what a station's command is given, and how it ends. */

let dir: string;
const signal = new AbortController().signal;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'notify-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true, force: true });
});

function script(text: string): string {
  const path = join(dir, 'tell');
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}
const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
const isRunning = (pid: number): boolean =>
  existsSync(`/proc/${pid}`) && !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));

test('it gets the lines, its own arguments, one variable, and nothing else', async () => {
  vi.stubEnv('PHT_PASSPHRASE_FILE', '/secret');
  const path = script(
    `cat > ${dir}/in; printf '%s\\n' "$@" > ${dir}/args; env > ${dir}/env; pwd > ${dir}/cwd`,
  );
  const notifier = createCommandNotifier([path, 'a b', '$(touch hacked)', ';']);
  expect(await notifier.run('trn_1 ask\ntrn_2 ask\n', signal)).toEqual({ code: 0, why: '' });
  expect(read('in')).toBe('trn_1 ask\ntrn_2 ask\n');
  expect(read('args')).toBe('a b\n$(touch hacked)\n;\n');
  expect(read('cwd')).toBe('/\n');
  // A shell adds PWD and its like; of the station's environment there is nothing.
  const names = read('env')
    .split('\n')
    .map((line) => line.split('=')[0])
    .filter((name) => name !== '');
  expect(names.filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name ?? ''))).toEqual(['PATH']);
  expect(read('env')).not.toContain('secret');
});

test('what it prints goes nowhere, and its status is told', async () => {
  const path = script('yes | head -c 10000000; yes | head -c 1000000 >&2; exit 3');
  expect(await createCommandNotifier([path]).run('x\n', signal)).toEqual({ code: 3, why: '' });
});

test('one that reads nothing has not failed', async () => {
  const lines = 'trn_0123456789abcdef01234567 ask\n'.repeat(100_000);
  expect(await createCommandNotifier([script('exit 0')]).run(lines, signal)).toEqual({ code: 0, why: '' });
});

test('one that hangs is killed with everything it started', async () => {
  const path = script(`sleep 300 & echo $! > ${dir}/child; echo $$ > ${dir}/self; wait`);
  const { code, why } = await createCommandNotifier([path], 500).run('x\n', signal);
  expect([code, why]).toEqual([null, 'it took longer than 0.5 s']);
  for (const name of ['child', 'self']) await expect.poll(() => isRunning(Number(read(name)))).toBe(false);
});

test('one that is not there, or may not be run, is told', async () => {
  expect((await createCommandNotifier([join(dir, 'nothing')]).run('x\n', signal)).why).toContain('ENOENT');
  const path = script('exit 0');
  chmodSync(path, 0o644);
  expect((await createCommandNotifier([path]).run('x\n', signal)).why).toContain('EACCES');
});

test('it ends with the station', async () => {
  const stop = new AbortController();
  const path = script(`echo $$ > ${dir}/self; sleep 300`);
  const running = createCommandNotifier([path]).run('x\n', stop.signal);
  await expect.poll(() => existsSync(join(dir, 'self'))).toBe(true);
  stop.abort();
  expect(await running).toEqual({ code: null, why: 'the station is stopping' });
  await expect.poll(() => isRunning(Number(read('self')))).toBe(false);
  expect((await createCommandNotifier([path]).run('x\n', stop.signal)).code).toBeNull();
});
