import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { shareSocket } from './station-socket.ts';

let dir: string;
let path: string;
const server = createServer();

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'pht-socket-'));
  path = join(dir, 's');
  await new Promise<void>((resolve) => server.listen(path, resolve));
});

afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(dir, { recursive: true });
});

test('a group reaches the socket, and nobody else does', () => {
  // Only root may give a file to a group that it is no member of.
  const group =
    process.getuid?.() === 0 ? 'daemon' : execFileSync('id', ['-gn'], { encoding: 'utf8' }).trim();
  const gid = execFileSync('getent', ['group', group], { encoding: 'utf8' }).split(':')[2];
  shareSocket(path, group);
  expect(statSync(path).mode & 0o777).toBe(0o660);
  expect(String(statSync(path).gid)).toBe(gid);
});

test('a group that does not exist is named', () => {
  expect(() => shareSocket(path, 'no-such-group-here')).toThrow(
    expect.objectContaining({
      code: 'config.invalid',
      message: expect.stringContaining('no-such-group-here'),
    }),
  );
});

test('a group that only looks like an option is no group', () => {
  expect(() => shareSocket(path, '--help')).toThrow(expect.objectContaining({ code: 'config.invalid' }));
});
