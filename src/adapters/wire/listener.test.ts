import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { listenUnix, splitAddress } from './listener.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sock-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const conflict = expect.objectContaining({ code: 'conflict' });

test('addresses', () => {
  expect(splitAddress('127.0.0.1:80')).toEqual({ host: '127.0.0.1', port: 80 });
  expect(splitAddress('[::1]:0')).toEqual({ host: '::1', port: 0 });
  for (const wrong of ['', 'host', ':80', 'host:', 'host:65536', 'a b:1', 'http://h:1', '::1:80', 'h:1\n']) {
    expect(() => splitAddress(wrong), wrong).toThrow(expect.objectContaining({ code: 'config.invalid' }));
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      try {
        const { host, port } = splitAddress(text);
        expect(host.length * 0 + port).toBeLessThanOrEqual(65_535);
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(PhtError);
      }
    }),
  );
});

test('the socket is 0600, leaves nothing beside it, and is gone after close', async () => {
  const path = join(directory, 'admin.sock');
  const listener = await listenUnix(path, (socket) => socket.end());
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readdir(directory)).toEqual(['admin.sock']);
  await once(connect(path), 'connect');
  await listener.close();
  expect(await readdir(directory)).toEqual([]);
});

test('a socket on which somebody answers is left alone', async () => {
  const path = join(directory, 'admin.sock');
  const first = await listenUnix(path, (socket) => socket.end());
  await expect(listenUnix(path, () => undefined)).rejects.toThrow(conflict);
  await once(connect(path), 'connect');
  await first.close();
});

test('a socket that a killed process left behind is replaced', async () => {
  const path = join(directory, 'admin.sock');
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect((await stat(path)).isSocket()).toBe(true);
  const listener = await listenUnix(path, (socket) => socket.end());
  await once(connect(path), 'connect');
  await listener.close();
});

test('a file that is no socket, a directory that is missing and a path that is too long are refused', async () => {
  const file = join(directory, 'precious');
  await writeFile(file, 'data');
  await expect(listenUnix(file, () => undefined)).rejects.toThrow(conflict);
  await expect(listenUnix(join(directory, 'x'.repeat(100)), () => undefined)).rejects.toThrow(
    expect.objectContaining({ code: 'config.invalid' }),
  );
  await expect(listenUnix(join(directory, 'none', 's'), () => undefined)).rejects.toThrow(
    expect.objectContaining({ code: 'config.invalid' }),
  );
  await chmod(directory, 0o700);
  expect(await readdir(directory)).toEqual(['precious']);
});
