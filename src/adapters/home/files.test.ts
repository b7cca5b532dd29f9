import { execFileSync } from 'node:child_process';
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
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { assertPrivate, readBounded, writeAtomic } from './files.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pht-files-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function errorOf(run: () => unknown): PhtError {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof PhtError) return thrown;
    throw thrown;
  }
  throw new Error('nothing was thrown');
}

test('writes whole files with their mode, replaces them, and leaves no draft', () => {
  const path = join(dir, 'key');
  writeAtomic(path, 'one');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const { ino } = statSync(path);
  writeAtomic(path, Buffer.from('two'), 0o640);
  expect(readFileSync(path, 'utf8')).toBe('two');
  expect(statSync(path).mode & 0o777).toBe(0o640);
  expect(statSync(path).ino).not.toBe(ino);
  expect(readdirSync(dir)).toStrictEqual(['key']);
});

test('a failed write leaves what was there, and no draft', () => {
  const path = join(dir, 'folder');
  mkdirSync(path);
  writeFileSync(join(path, 'inside'), 'x');
  expect(errorOf(() => writeAtomic(path, 'new')).code).toBe('config.invalid');
  expect(readdirSync(dir)).toStrictEqual(['folder']);
  expect(errorOf(() => writeAtomic(join(dir, 'absent', 'file'), 'x')).code).toBe('config.missing');
});

test('reads up to the bound and says what is wrong otherwise', () => {
  const path = join(dir, 'file');
  writeFileSync(path, '12345');
  expect(Buffer.from(readBounded(path, 5, 'it')).toString()).toBe('12345');
  expect(errorOf(() => readBounded(path, 4, 'it'))).toMatchObject({ code: 'input.too-large' });
  expect(errorOf(() => readBounded(join(dir, 'no'), 4, 'it'))).toMatchObject({ code: 'config.missing' });
  expect(errorOf(() => readBounded(join(path, 'no'), 4, 'it'))).toMatchObject({ code: 'config.missing' });
  expect(errorOf(() => readBounded(dir, 4, 'it'))).toMatchObject({ code: 'input.malformed' });
  writeFileSync(path, '');
  expect(errorOf(() => readBounded(path, 4, 'the file')).message).toContain('(the file) is empty');
});

test('a pipe is refused instead of waited for, and an endless device is bounded', () => {
  const path = join(dir, 'pipe');
  execFileSync('mkfifo', [path]);
  expect(errorOf(() => readBounded(path, 4, 'it')).code).toBe('input.malformed');
  expect(errorOf(() => readBounded('/dev/zero', 4, 'it')).code).toBe('input.malformed');
});

test.each([0o604, 0o640, 0o660, 0o601, 0o644])(
  'mode %o is not private, and the error says how to close it',
  (mode) => {
    const path = join(dir, 'key');
    writeFileSync(path, 'x');
    chmodSync(path, mode);
    const error = errorOf(() => assertPrivate(path, 'the key'));
    expect(error.code).toBe('config.invalid');
    expect(error.message).toContain(mode.toString(8));
    expect(error.hint).toBe(`close it with: chmod go-rwx '${path}'`);
    chmodSync(path, 0o600);
    expect(() => assertPrivate(path, 'the key')).not.toThrow();
  },
);
