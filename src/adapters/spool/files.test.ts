import {
  existsSync,
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
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSpool } from './files.ts';
import { createRunLogs } from './run-logs.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'spool-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const modeOf = (path: string): number => statSync(path).mode & 0o777;

test('a file is readable through a bind mount, in a folder that is closed, whatever the umask', async () => {
  const before = process.umask(0o077);
  try {
    const runs = join(dir, 'runs');
    const path = await createSpool(runs).write('hop_1', 'request.json', Buffer.from('{}'));
    expect(readFileSync(path, 'utf8')).toBe('{}');
    expect([modeOf(path), modeOf(runs)]).toEqual([0o644, 0o700]);
  } finally {
    process.umask(before);
  }
});

test('nothing stays after removal, and nothing of an earlier process', async () => {
  const runs = join(dir, 'runs');
  mkdirSync(join(runs, 'hop_0'), { recursive: true });
  writeFileSync(join(runs, 'hop_0', 'request.json'), '{}');
  const spool = createSpool(runs);
  expect(existsSync(join(runs, 'hop_0'))).toBe(false);
  await spool.write('hop_1', 'request.json', Buffer.from('{}'));
  await spool.write('hop_2', 'request.json', Buffer.from('{}'));
  await spool.remove('hop_1');
  await spool.remove('hop_1');
  expect(readdirSync(runs)).toEqual(['hop_2']);
});

test.each([
  ['..', 'request.json'],
  ['hop/../../x', 'request.json'],
  ['hop', '../request.json'],
  ['hop', ''],
  ['hop', 'a/b'],
])('a name that could lead elsewhere is refused: %s/%s', async (hop, name) => {
  await expect(createSpool(join(dir, 'runs')).write(hop, name, Buffer.from('x'))).rejects.toThrow(TypeError);
});

test('a train prints into a bounded file for the admin alone', async () => {
  const logs = createRunLogs(join(dir, 'logs'), (line) => expect.fail(line));
  expect(await logs.read('hop_1')).toEqual(new Uint8Array());
  const write = logs.write('hop_1');
  for (let megabyte = 0; megabyte < 3; megabyte++) write(Buffer.alloc(1024 * 1024, 'a'));
  expect(statSync(join(dir, 'logs', 'hop_1.log')).size).toBe(1024 * 1024);
  expect(modeOf(join(dir, 'logs', 'hop_1.log'))).toBe(0o600);
  expect((await logs.read('hop_1')).byteLength).toBe(64 * 1024);
});

test('a log that cannot be written is told once and ends nothing', () => {
  const told: string[] = [];
  const logs = createRunLogs(join(dir, 'logs'), (line) => told.push(line));
  mkdirSync(join(dir, 'logs', 'hop_1.log'));
  const write = logs.write('hop_1');
  write(Buffer.from('a'));
  write(Buffer.from('b'));
  expect(told).toEqual([expect.stringContaining('hop_1')]);
});
