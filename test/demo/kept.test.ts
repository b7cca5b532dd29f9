import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { leftOvers, networkIn } from '../../scripts/demo/engine.ts';
import { placesIn, STATIONS } from '../../scripts/demo/members.ts';
import { ask, ROOT, run } from '../../scripts/demo/pht.ts';
import { runningIn } from '../../scripts/demo/processes.ts';

/** `npm run demo -- --keep --home DIR`, what it promises to leave running, and `--stop`. */

const demo = async (...args: string[]): Promise<{ stdout: string; stderr: string }> =>
  promisify(execFile)(process.execPath, ['scripts/demo.ts', ...args], { cwd: ROOT, maxBuffer: 1 << 24 });
const home = join(mkdtempSync(join(tmpdir(), 'signalbox-kept-')), 'home');
const places = placesIn(home);

let said = '';
beforeAll(async () => {
  said = (await demo('--keep', '--home', home)).stdout;
});
afterAll(async () => {
  if (existsSync(home)) await demo('--stop', '--home', home);
  rmSync(join(home, '..'), { recursive: true, force: true });
});

test('every check held, in at most 80 columns', () => {
  expect(said).toMatch(/^demo: \d+ passed, 0 failed$/m);
  expect(said.split('\n').filter((line) => [...line].length > 80)).toEqual([]);
});

test('one directory for each member, and five processes', () => {
  const members = [
    'dispatcher',
    'researcher',
    'auditor',
    'network',
    ...STATIONS.map((name) => `stations/${name}`),
  ];
  for (const member of [...members, ...STATIONS.map((name) => `admins/${name}`)]) {
    expect(existsSync(join(home, member, 'member.json')), member).toBe(true);
  }
  const names = runningIn(home).map(({ name }) => name);
  expect(names.sort()).toEqual(['dispatcher', ...STATIONS].sort());
});

test('stations listen on no port', () => {
  const pids = runningIn(home).filter(({ name }) => name !== 'dispatcher');
  expect(pids).toHaveLength(4);
  const listening = readFileSync('/proc/net/tcp', 'utf8') + readFileSync('/proc/net/tcp6', 'utf8');
  const inodes = new Set(
    listening.split('\n').flatMap((line) => (/ 0A /.test(line) ? [line.trim().split(/\s+/)[9]] : [])),
  );
  expect(inodes.size).toBeGreaterThan(0);
  for (const { pid, name } of pids) {
    const sockets = socketsOf(pid);
    expect(sockets.length, name).toBeGreaterThan(0);
    expect(
      sockets.filter((inode) => inodes.has(inode)),
      name,
    ).toEqual([]);
  }
});

test('a further train travels on it', async () => {
  const submit = ['train', 'submit', 'trains/hello', '--stop', 'nih', '--wait'];
  const { released } = await ask<{ released: number }>(places.researcher, submit);
  expect(released).toBe(1);
});

test('a second demo keeps away from it', async () => {
  await expect(demo('--home', home)).rejects.toMatchObject({ code: 1 });
  expect(runningIn(home)).toHaveLength(5);
});

test('stopping leaves nothing', async () => {
  const networkId = networkIn(places.network) ?? '';
  expect(await leftOvers(networkId)).not.toEqual([]); // prepared for the next train
  const { stdout } = await demo('--stop', '--home', home);
  expect(stdout).toMatch(/^demo: 3 passed, 0 failed$/m);
  expect(runningIn(home)).toEqual([]);
  expect(await leftOvers(networkId)).toEqual([]);
  expect(existsSync(home)).toBe(false);
  expect((await run(places.researcher, ['train', 'list'])).status).not.toBe(0);
});

function socketsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap(
    (fd) => /^socket:\[(\d+)\]$/.exec(targetOf(join(folder, fd)))?.[1] ?? [],
  );
}

/** A descriptor may be closed while it is looked at. */
function targetOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
