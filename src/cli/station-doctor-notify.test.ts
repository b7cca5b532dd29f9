import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lookAtNotify } from './station-doctor-notify.ts';

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'doctor-'));
  mkdirSync(join(dir, 'bin'), { mode: 0o755 });
  path = join(dir, 'bin/tell');
  writeFileSync(path, '#!/bin/sh\n');
  chmodSync(path, 0o755);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const look = (command = path) =>
  lookAtNotify({
    notify: { command: [command], when: 'daily', at: '08:00', on: ['ask'], remindAfterDays: 3 },
  });

test('nothing is said where nobody is notified', () => {
  expect(lookAtNotify({ notify: undefined })).toEqual([]);
});

test('a private command in private folders is fine', () => {
  expect(look()).toMatchObject([{ level: 'ok' }]);
  expect(look()[0]?.text).toContain('once a day at 08:00 for: ask');
});

test.each<[string, () => void, string, RegExp]>([
  ['is missing', () => rmSync(path), 'fail', /does not exist/],
  ['cannot be run', () => chmodSync(path, 0o644), 'fail', /cannot run/],
  ['can be changed by anybody', () => chmodSync(path, 0o757), 'fail', /anybody can change .*tell$/],
  [
    'can be replaced by anybody',
    () => chmodSync(join(dir, 'bin'), 0o777),
    'fail',
    /anybody can change .*bin$/,
  ],
  ['can be changed by a group', () => chmodSync(path, 0o775), 'warn', /others than root/],
])('one that %s is found', (_, damage, level, text) => {
  damage();
  expect(look()).toMatchObject([{ level, text: expect.stringMatching(text), fix: expect.any(String) }]);
});

test('a folder is no command', () => {
  expect(look(join(dir, 'bin'))).toMatchObject([{ level: 'fail' }]);
});
