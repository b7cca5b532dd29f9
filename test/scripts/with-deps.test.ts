import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { self } from '../../scripts/demo/processes.ts';

/** scripts/with-deps in a checkout of its own, with an npm that only notes that it was called. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NPM = `#!/bin/sh
[ "$1" = ci ] || exit 9
[ -n "\${NPM_FAILS:-}" ] && { echo 'the registry is away'; exit 1; }
rm -rf node_modules && mkdir node_modules && echo run >> npm-runs
`;
let place = '';

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'signalbox-deps-'));
  for (const folder of ['scripts', 'path']) mkdirSync(join(place, folder));
  copyFileSync(join(ROOT, 'scripts/with-deps'), join(place, 'scripts/with-deps'));
  writeFileSync(join(place, 'package-lock.json'), '{"lock":1}\n');
  writeFileSync(join(place, 'path/npm'), NPM);
  chmodSync(join(place, 'path/npm'), 0o755);
  symlinkSync(process.execPath, join(place, 'path/node'));
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

type Ended = { status: number | null; stdout: string; stderr: string };

function withDeps(args: readonly string[], env: Record<string, string> = {}): Ended {
  const PATH = `${join(place, 'path')}:/usr/bin:/bin`;
  const options = { encoding: 'utf8', cwd: tmpdir(), env: { PATH, ...env } } as const;
  return spawnSync('sh', [join(place, 'scripts/with-deps'), '-p', '"ran"', ...args], options);
}

function installs(): number {
  const notes = join(place, 'npm-runs');
  return existsSync(notes) ? execFileSync('cat', [notes], { encoding: 'utf8' }).split('\n').length - 1 : 0;
}

function keep(startedAt: string): void {
  mkdirSync(join(place, '.state/running'), { recursive: true });
  const server = { ...self(), startedAt, name: 'nih', home: '/home of/a demo' };
  writeFileSync(join(place, `.state/running/${server.pid}.json`), `${JSON.stringify(server)}\n`);
}

test('installs where nothing is, once, and again when the lock file changes', () => {
  expect(withDeps([])).toMatchObject({ status: 0, stdout: 'ran\n' });
  expect(withDeps([])).toMatchObject({ status: 0, stdout: 'ran\n', stderr: '' });
  expect(installs()).toBe(1);
  writeFileSync(join(place, 'package-lock.json'), '{"lock":2}\n');
  expect(withDeps([]).status).toBe(0);
  expect(installs()).toBe(2);
});

test("says npm's own words when it fails, and tries again the next time", () => {
  const failed = withDeps([], { NPM_FAILS: '1' });
  expect(failed).toMatchObject({ status: 1, stdout: '' });
  expect(failed.stderr).toContain('the registry is away');
  expect(withDeps([]).status).toBe(0);
  expect(installs()).toBe(1);
});

test('refuses to replace what a kept demo runs from, but lets it be stopped', () => {
  expect(withDeps([]).status).toBe(0);
  keep(self().startedAt);
  expect(withDeps([]).status).toBe(0); // nothing to install, nothing to refuse
  writeFileSync(join(place, 'package-lock.json'), '{"lock":2}\n');
  const refused = withDeps([]);
  expect(refused).toMatchObject({ status: 1, stdout: '' });
  expect(refused.stderr).toContain("--stop --home '/home of/a demo'");
  expect(withDeps(['--', '--stop'])).toMatchObject({ status: 0, stdout: 'ran\n' });
  expect(installs()).toBe(1);
});

test('a process id that was given to somebody else does not count as a kept demo', () => {
  keep('1');
  expect(withDeps([])).toMatchObject({ status: 0, stdout: 'ran\n' });
  expect(installs()).toBe(1);
});
