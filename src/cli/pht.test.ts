import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorCode, openDesk, PHT } from '../../test/spawn-pht.ts';

const { dir, pht, init, write, clear } = openDesk();
afterAll(clear);

beforeAll(() => {
  expect(pht(['--home', 'net', 'network', 'init', '--title', 'Heart', '--no-passphrase']).status).toBe(0);
  copyFileSync(join(dir, 'net/network.json'), join(dir, 'v1.json'));
  for (const [home, role] of [
    ['ana', 'researcher'],
    ['disp', 'dispatcher'],
    ['ams', 'station'],
  ] as const) {
    expect(init(home, role, home).status).toBe(0);
  }
});

describe('wrong use', () => {
  test.each([
    [['nonsense']],
    [['network', 'nonsense']],
    [['network', 'admit']],
    [['network', 'show', '--nonsense']],
    [['network', 'show', 'operand']],
    [['init']],
    [['init', '--role', 'king']],
    [['network', 'init', '--title', 'X', '--expires-days', '0', '--no-passphrase', '--home', 'new']],
    [['network', 'init', '--title', 'a\x1bb', '--no-passphrase', '--home', 'new']],
    [['network', 'init', '--title', '', '--no-passphrase', '--home', 'new']],
    [['network', 'verify', 'v1.json', '--id', 'short']],
    [['network', 'show']],
    [['--home', 'nowhere', 'network', 'show']],
    [['--home', 'ana', 'network', 'admit', 'ams/enrolment.json']],
    [['--home']],
  ])('%j ends with 2, one line for people and JSON for programs', (args) => {
    const people = pht(args);
    expect(people.status).toBe(2);
    expect(people.stdout).toBe('');
    expect(people.stderr).not.toMatch(/\n\s+at /);
    expect(people.stderr).toMatch(/^pht: .+ \[(?:usage\.invalid|home\.missing)\]$/m);
    const program = pht(['--json', ...args]);
    expect(program.status).toBe(2);
    expect(errorCode(program)).toMatch(/^(?:usage\.invalid|home\.missing)$/);
    expect(existsSync(join(dir, 'new'))).toBe(false);
  });

  test.each([
    ['an admin without a station', ['--role', 'admin', '--id', 'x']],
    ['a station of a researcher', ['--role', 'researcher', '--id', 'x', '--station', 'ams']],
    ['a person of a station', ['--role', 'station', '--id', 'x', '--person', 'y']],
    ['an id that is a path', ['--role', 'auditor', '--id', '../x']],
    ['an id that is taken', ['--role', 'auditor', '--id', 'authority']],
    ['an address that is none', ['--role', 'station', '--id', 'x', '--dispatcher', 'nowhere']],
  ])('%s', (_name, args) => {
    const rest = ['--title', 'X', '--organisation', 'O', '--network', 'v1.json', '--no-passphrase', '--json'];
    const run = pht(['--home', 'new', 'init', ...args, ...rest]);
    expect([run.status, errorCode(run)]).toStrictEqual([2, 'usage.invalid']);
    expect(existsSync(join(dir, 'new'))).toBe(false);
  });
});

test('a home that others can read is refused with the command that closes it', () => {
  chmodSync(join(dir, 'disp'), 0o755);
  const run = pht(['--home', 'disp', 'network', 'show']);
  expect(run.status).toBe(2);
  expect(run.stderr).toContain("chmod go-rwx 'disp'");
  chmodSync(join(dir, 'disp'), 0o700);
  chmodSync(join(dir, 'disp/keys'), 0o750);
  expect(pht(['--home', 'disp', 'network', 'show']).status).toBe(2);
  chmodSync(join(dir, 'disp/keys'), 0o700);
  expect(pht(['--home', 'disp', 'network', 'show']).status).toBe(0);
});

test('an error says what happened, what it means and what to do next; --debug adds the stack', () => {
  const plain = pht(['--home', 'nowhere', 'network', 'show']);
  expect(plain.stderr.split('\n').length).toBe(4);
  expect(plain.stderr).toMatch(
    /^pht: nowhere is not a member's home.*\[home\.missing\]\n {5}Nothing was done.*\n {5}Next: /,
  );
  expect(pht(['--debug', '--home', 'nowhere', 'network', 'show']).stderr).toMatch(/\n\s+at /);
});

test('help and version, through a link too', () => {
  const version = pht(['--version']);
  expect(version).toMatchObject({ status: 0, stderr: '' });
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect(pht(['network', '--version']).stdout).toBe(version.stdout);
  mkdirSync(join(dir, 'bin'));
  symlinkSync(PHT, join(dir, 'bin/pht'));
  symlinkSync('pht', join(dir, 'bin/again'));
  expect(spawnSync(join(dir, 'bin/again'), ['--version'], { encoding: 'utf8' }).stdout).toBe(version.stdout);
  expect(pht([])).toMatchObject({ status: 2, stdout: '' });
  for (const args of [
    ['--help'],
    ['network', 'admit', '--help'],
    ['init', '--help'],
    ['help', 'network'],
    ['station', 'init', '--help'],
  ]) {
    const help = pht(args);
    expect(help).toMatchObject({ status: 0, stderr: '' });
    expect(help.stdout).toContain('Usage: pht');
  }
  for (const command of ['init', 'admit', 'import', 'show', 'verify']) {
    expect(pht(['network', command, '--help']).stdout).toContain('Example:');
  }
});

test('Ctrl-C while a home is made ends with 130 and leaves nothing behind', async () => {
  write('pass', 'correct horse battery\n', 0o600);
  const child = spawn(PHT, ['--home', 'stopped', 'network', 'init', '--title', 'X'], {
    cwd: dir,
    env: { ...process.env, PHT_PASSPHRASE_FILE: join(dir, 'pass') },
    stdio: 'ignore',
  });
  const drafts = (): string[] => readdirSync(dir).filter((name) => name.startsWith('.stopped.'));
  while (drafts().length === 0 && child.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 5));
  expect(drafts().length).toBe(1);
  child.kill('SIGINT');
  const [status] = (await once(child, 'exit')) as [number | null];
  expect(status).toBe(130);
  expect(drafts()).toStrictEqual([]);
  expect(existsSync(join(dir, 'stopped'))).toBe(false);
});

test('a reader that goes away is no error', async () => {
  const child: ChildProcess = spawn('sh', ['-c', `'${PHT}' network --help; echo "status $?" >&2`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout?.destroy();
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  await once(child, 'close');
  expect(stderr).toBe('status 0\n');
});
