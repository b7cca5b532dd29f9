import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Desk, errorCode, openDesk, type Run } from '../spawn-pht.ts';

/** Everything a person can get wrong before an engine or a dispatcher is asked: one line, a code, the right status. */

let desk: Desk;
const YAML = `title: T
purpose: { text: A train of the tests. }
dataset: cgd
outputs: { kinds: [Frequencies] }
`;

beforeAll(() => {
  desk = openDesk();
  desk.pht(['--home', 'net', 'network', 'init', '--title', 'Net', '--no-passphrase']);
  desk.init('lee', 'researcher', 'lee', '--dispatcher', '127.0.0.1:1');
  desk.init('north', 'station', 'north');
  desk.init('hub', 'dispatcher', 'hub');
  const enrolments = ['lee', 'north', 'hub'].map((id) => `${id}/enrolment.json`);
  desk.pht(['--home', 'net', 'network', 'admit', ...enrolments]);
  desk.pht(['--home', 'lee', 'network', 'import', 'net/network.json']);
  mkdirSync(join(desk.dir, 'train'));
  desk.write('train/Dockerfile', 'FROM scratch\n');
  desk.write('train/train.yaml', YAML);
});
afterAll(() => desk.clear());

const train = (...args: string[]): Run => desk.pht(['--home', 'lee', 'train', ...args, '--json']);

function refused(run: Run, status: number, code: string): void {
  expect([run.status, run.stdout === '' ? run.stderr : errorCode(run)]).toEqual([status, code]);
  expect(run.stdout + run.stderr).not.toMatch(/^\s+at .*\.ts/m);
}

describe('train.yaml', () => {
  const deep = `parameters: ${'['.repeat(200)}`;
  test.each<[string, string | Uint8Array, string]>([
    ['empty', '', 'input.malformed'],
    ['cut off', YAML.slice(0, 60), 'config.invalid'],
    ['a list', '- 1\n', 'config.invalid'],
    ['of another encoding', Buffer.from([0xff, 0xfe, 0x41, 0]), 'config.invalid'],
    ['with a key twice', `${YAML}title: U\n`, 'config.invalid'],
    ['with an unknown key', `${YAML}colour: red\n`, 'config.invalid'],
    ['with an alias', `${YAML}parameters: { a: &x 1, b: *x }\n`, 'config.invalid'],
    ['with a tag', `${YAML}combine: !!js/function 1\n`, 'config.invalid'],
    ['nested without end', YAML + deep, 'config.invalid'],
    ['too large', `${YAML}# ${'x'.repeat(300_000)}\n`, 'input.too-large'],
    ['of the wrong type', YAML.replace('cgd', '[1]'), 'config.invalid'],
  ])('%s', (_, content, code) => {
    mkdirSync(join(desk.dir, 'bad'), { recursive: true });
    desk.write('bad/Dockerfile', 'FROM scratch\n');
    desk.write('bad/train.yaml', content);
    refused(train('pack', 'bad', '--stop', 'north'), 2, code);
  });

  test('without a Dockerfile or an image', () => {
    mkdirSync(join(desk.dir, 'bare'));
    desk.write('bare/train.yaml', YAML);
    refused(train('check', 'bare'), 2, 'config.missing');
    desk.write('bare/train.yaml', `${YAML}image: registry/some:1\n`);
    expect(train('check', 'bare').stdout).toContain('registry/some:1');
  });
});

describe('flags and arguments', () => {
  test.each<[string, string[], string]>([
    ['pack: no such directory', ['pack', 'nowhere', '--stop', 'north'], 'config.missing'],
    ['pack: a stop that is no station', ['pack', 'train', '--stop', 'lee'], 'usage.invalid'],
    ['pack: two ways to name stops', ['pack', 'train', '--stop', 'north', '--all-stops'], 'usage.invalid'],
    [
      'pack: two expiries',
      ['pack', 'train', '--stop', 'north', '--expires-days', '1', '--expires-in', '1h'],
      'usage.invalid',
    ],
    [
      'pack: an expiry without a unit',
      ['pack', 'train', '--stop', 'north', '--expires-in', '10'],
      'usage.invalid',
    ],
    ['pack: no days', ['pack', 'train', '--stop', 'north', '--expires-days', '0'], 'usage.invalid'],
    [
      'pack: a parameter that is not there',
      ['pack', 'train', '--stop', 'north', '--set', 'a=1'],
      'usage.invalid',
    ],
    ['plan: nothing', ['plan'], 'usage.invalid'],
    ['plan: neither of the three', ['plan', 'nowhere'], 'usage.invalid'],
    ['plan: an unknown id', ['plan', 'trn_0123456789abcdef01234567'], 'not-found'],
    [
      'plan: a choice too late',
      ['plan', 'trn_0123456789abcdef01234567', '--dataset', 'other'],
      'usage.invalid',
    ],
    [
      'plan: columns that have no name',
      ['plan', 'trn_0123456789abcdef01234567', '--columns', 'age,,sex'],
      'usage.invalid',
    ],
    ['submit: nothing', ['submit'], 'usage.invalid'],
    ['submit: neither of the three', ['submit', 'nowhere'], 'usage.invalid'],
    ['submit: an unknown id', ['submit', 'trn_0123456789abcdef01234567'], 'not-found'],
    [
      'submit: a choice too late',
      ['submit', 'trn_0123456789abcdef01234567', '--stop', 'north'],
      'usage.invalid',
    ],
    ['watch: no id', ['watch', '../etc'], 'usage.invalid'],
    ['result: an unknown id', ['result', 'trn_0123456789abcdef01234567'], 'not-found'],
    [
      'cancel: a novel for a reason',
      ['cancel', 'trn_0123456789abcdef01234567', '--reason', 'x'.repeat(501)],
      'usage.invalid',
    ],
    ['test: no data', ['test', 'train'], 'usage.invalid'],
    ['test: a folder that is not there', ['test', 'train', '--data', 'nowhere'], 'usage.invalid'],
    [
      'test: settings that nobody has',
      ['test', 'train', '--data', 'train', '--preset', 'open'],
      'usage.invalid',
    ],
    ['init: a directory in use', ['init', 'train'], 'usage.invalid'],
  ])('%s', (_, args, code) => refused(train(...args), 2, code));

  test('another role than a researcher', () => {
    refused(desk.pht(['--home', 'north', 'train', 'list', '--json']), 2, 'usage.invalid');
  });

  test('no home at all', () => {
    refused(desk.pht(['train', 'list', '--json']), 2, 'usage.invalid');
    expect(desk.pht(['train', 'check', 'train', '--json']).status).toBe(0);
  });
});

describe('a dispatcher that does not answer', () => {
  test('list shows the trains as they were told of last, which is no success', () => {
    const run = train('list');
    expect(run.status, run.stderr).toBe(5);
    expect(JSON.parse(run.stdout)).toEqual({
      ...{ trains: [], dispatcher: 'unreachable', asOfMs: null, exitStatus: 5 },
    });
    expect(run.stderr).toContain('the dispatcher cannot be reached');
  });

  test.each([[['network', 'datasets']], [['train', 'watch', 'trn_0123456789abcdef01234567']]])(
    '%j ends with 5',
    (args) => refused(desk.pht(['--home', 'lee', ...args, '--json']), 5, 'unreachable'),
  );

  test('check says what it could not check', () => {
    const run = train('check', 'train');
    expect(run.status, run.stderr).toBe(0);
    expect(run.stdout).toContain('"not checked"');
  });
});

describe('local files for a trial', () => {
  test.each<[string, string | Uint8Array, string]>([
    ['empty', '', 'input.malformed'],
    ['a header alone', 'a,b\n', 'dataset.unreadable'],
    ['ragged', 'a,b\n1\n', 'dataset.unreadable'],
    ['an open quote', 'a\n"x\n', 'input.malformed'],
    ['of another encoding', Buffer.from([0xff, 0xfe]), 'input.malformed'],
  ])('%s', (_, content, code) => {
    mkdirSync(join(desk.dir, 'data'), { recursive: true });
    desk.write('data/a.csv', content);
    const run = train('test', 'train', '--data', 'data');
    expect(errorCode(run)).toBe(code);
    expect(run.status).not.toBe(0);
  });
});

test('help has an example for each command', () => {
  for (const name of ['init', 'check', 'test', 'pack', 'submit', 'list', 'watch', 'result', 'cancel']) {
    const { status, stdout } = desk.pht(['train', name, '--help']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/Example:\n {2}\$ pht /);
  }
});
