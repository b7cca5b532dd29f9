import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Desk, openDesk } from '../../test/spawn-pht.ts';

type Finding = { check: string; level: string; text: string; fix?: string; code?: string };

let desk: Desk;
const policy = '@id("any") permit (principal == Researcher::"lee", action == Action::"Run", resource);\n';

beforeAll(() => {
  desk = openDesk();
  desk.pht(['--home', 'net', 'network', 'init', '--title', 'Test', '--no-passphrase']);
  desk.init('dispatcher', 'dispatcher', 'dispatcher');
  desk.init('north', 'station', 'north', '--dispatcher', '127.0.0.1:1');
  desk.pht(['--home', 'net', 'network', 'admit', 'dispatcher/enrolment.json', 'north/enrolment.json']);
  desk.pht(['--home', 'north', 'network', 'import', 'net/network.json']);
  mkdirSync(join(desk.dir, 'north', 'datasets'), { recursive: true });
});
afterAll(() => desk.clear());

const at = (...path: string[]): string => join(desk.dir, ...path);

beforeEach(() => {
  writeFileSync(at('north', 'policy.cedar'), policy);
  writeFileSync(
    at('north', 'datasets', 'cgd.yaml'),
    `title: Test\nfile: ${at('cgd.csv')}\nformat: csv\ncolumns:\n  - { name: status, type: integer }\n`,
  );
  desk.write('cgd.csv', 'status\n1\n');
  chmodSync(at('north'), 0o700);
});

function doctor(): { status: number | null; findings: Finding[] } {
  const run = desk.pht(['--home', 'north', '--json', 'station', 'doctor', '--no-engine']);
  expect(run.stderr).toBe('');
  return { status: run.status, findings: (JSON.parse(run.stdout) as { findings: Finding[] }).findings };
}

const failures = (findings: Finding[]): string[] =>
  findings.filter(({ level }) => level === 'fail').map(({ check }) => check);

test('a sound station fails at nothing but the dispatcher that is away', () => {
  const { status, findings } = doctor();
  expect(failures(findings)).toEqual(['connection (TCP)']);
  expect(status).toBe(5);
  expect(findings.find(({ check }) => check === 'agent')?.level).toBe('warn');
});

describe.each([
  [0o600, false],
  [0o640, false],
  [0o604, true],
  [0o644, true],
])('a dataset of mode %o', (mode, readable) => {
  test(readable ? 'can be read by the train' : 'is named with file, mode and fix', () => {
    chmodSync(at('cgd.csv'), mode);
    const { status, findings } = doctor();
    const found = findings.find(({ check }) => check === 'dataset cgd');
    expect(found?.level).toBe(readable ? 'ok' : 'fail');
    if (readable) return;
    expect(status).toBe(1);
    expect(found?.text).toContain(`${at('cgd.csv')} (mode 0${mode.toString(8)})`);
    expect(found?.fix).toContain(`setfacl -m u:65534:r ${at('cgd.csv')}`);
    expect(JSON.stringify(findings)).not.toMatch(/777|chmod [oa]\+/);
  });
});

test.each<[string, string, string, () => void]>([
  ['no policy', 'policy', 'policy.missing', () => rmSync(at('north', 'policy.cedar'))],
  [
    'a policy that is none',
    'policy',
    'policy.error',
    () => writeFileSync(at('north', 'policy.cedar'), 'permit all;'),
  ],
  ['a dataset without its file', 'dataset cgd', 'dataset.unreadable', () => rmSync(at('cgd.csv'))],
  [
    'a description that is none',
    'dataset cgd',
    'config.invalid',
    () => writeFileSync(at('north', 'datasets', 'cgd.yaml'), 'title: [\n'),
  ],
])('%s fails the check of it', (_name, check, code, spoil) => {
  spoil();
  const { status, findings } = doctor();
  expect(findings.find((finding) => finding.check === check)).toMatchObject({ level: 'fail', code });
  expect(status).not.toBe(0);
});

describe('a policy and its lists', () => {
  const inLists = '@id("known") permit (principal in List::"knwon", action == Action::"Run", resource);\n';
  const looked = (): Finding[] =>
    doctor().findings.filter(({ check }) => check === 'policy' || check === 'lists');
  afterEach(() => rmSync(at('north', 'lists.yaml'), { force: true }));

  test('a list that the station does not have is warned of, with its line and the command that says more', () => {
    writeFileSync(at('north', 'policy.cedar'), `${policy}${inLists}`);
    writeFileSync(at('north', 'lists.yaml'), 'researchers:\n  known: [lee]\n');
    expect(looked()).toEqual([
      {
        check: 'policy',
        level: 'warn',
        text: 'line 2: rule known: List::"knwon" is not among the `researchers` of lists.yaml; there are: known',
        fix: 'pht --home north station policy check',
      },
      { check: 'policy', level: 'ok', text: 'valid, 2 rules' },
    ]);
    const { stdout } = desk.pht(['--home', 'north', 'station', 'policy', 'check']);
    expect(stdout).toContain('List::"knwon" is not among');
  });

  test('a station without lists has none of them', () => {
    writeFileSync(at('north', 'policy.cedar'), inLists);
    expect(looked()[0]).toMatchObject({ level: 'warn', text: expect.stringContaining('there is none') });
  });

  test('a list that is there is not worth a word', () => {
    writeFileSync(at('north', 'policy.cedar'), inLists);
    writeFileSync(at('north', 'lists.yaml'), 'researchers:\n  knwon: [lee]\n');
    expect(looked().map(({ level }) => level)).toEqual(['ok']);
  });

  test('what the policy itself is warned of is told too', () => {
    const forbids = '@id("a") forbid (principal, action == Action::"Run", resource);\n';
    writeFileSync(at('north', 'policy.cedar'), `${policy}${forbids}`);
    expect(looked()).toMatchObject([
      { level: 'warn', text: expect.stringMatching(/^line 2: rule a: /) },
      { level: 'ok' },
    ]);
  });

  test('lists that cannot be read fail, since nothing runs', () => {
    writeFileSync(at('north', 'lists.yaml'), 'researchers: [\n');
    expect(looked()).toMatchObject([
      { check: 'lists', level: 'fail', code: 'config.invalid' },
      { level: 'ok' },
    ]);
  });
});

test('a home that is open to others is the first thing to close', () => {
  chmodSync(at('north'), 0o755);
  const { status, findings } = doctor();
  expect(findings).toMatchObject([{ check: 'home', level: 'fail', code: 'config.invalid' }]);
  expect(findings[0]?.fix).toContain('chmod go-rwx');
  expect(status).toBe(2);
});

test('a key that is not the enrolled one', () => {
  const path = at('north', 'keys', 'log.jwk');
  const own = desk.read('north/keys/log.jwk');
  writeFileSync(path, desk.read('dispatcher/keys/log.jwk'));
  const { status, findings } = doctor();
  expect(findings.find(({ check }) => check === 'keys')).toMatchObject({
    level: 'fail',
    code: 'signer.unknown',
  });
  expect(status).toBe(4);
  writeFileSync(path, own);
});

test('no home is wrong use, and people get lines with fixes', () => {
  expect(desk.pht(['--home', 'nowhere', 'station', 'doctor']).status).toBe(2);
  chmodSync(at('cgd.csv'), 0o600);
  const { stdout } = desk.pht(['--home', 'north', 'station', 'doctor', '--no-engine']);
  expect(stdout).toMatch(/^FAIL {2}dataset cgd: /m);
  expect(stdout).toMatch(/^ {6}fix: setfacl -m u:65534:r /m);
  expect(stdout).toMatch(/2 of \d+ checks fail/);
});

describe('station policy check', () => {
  const check = (file: string, ...flags: string[]) =>
    desk.pht([...flags, 'station', 'policy', 'check', file]);

  test('a valid policy', () => {
    const run = check(desk.write('good.cedar', policy));
    expect([run.status, run.stdout]).toEqual([0, 'good.cedar is valid (1 rule).\n']);
  });

  test('every problem with its line; exit status 2', () => {
    const file = desk.write(
      'bad.cedar',
      `${policy}\n${policy}permit (principal, action, resource) when { context.x };\n`,
    );
    const run = check(file);
    expect(run.status).toBe(2);
    expect(run.stdout).toMatch(/line 3: .*already used in line 1/);
    const answer = JSON.parse(check(file, '--json').stdout) as { ok: boolean; problems: { line?: number }[] };
    expect(answer.ok).toBe(false);
    expect(answer.problems.map(({ line }) => line)).toContain(3);
  });

  test.each([
    ['is not there', null],
    ['is empty', ''],
    ['is too large', '/'.repeat(256 * 1024 + 1)],
  ])('a file that %s: exit status 2', (_name, content) => {
    const file = content === null ? 'absent.cedar' : desk.write('odd.cedar', content);
    expect(check(file).status).toBe(2);
  });
});
