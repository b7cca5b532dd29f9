import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { PhtError } from '../../model/error.ts';
import {
  readAdminConfig,
  readAuthorityConfig,
  readDispatcherConfig,
  readStationConfig,
  readVisitorConfig,
} from './config.ts';
import { templateOf } from './config-template.ts';
import { parseYaml } from './yaml.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pht-config-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const write = (text: string | Uint8Array): void => writeFileSync(join(dir, 'config.yaml'), text);
const BASE = "dispatcher: { address: 'localhost:7443' }\n";

function errorOf(run: () => unknown): PhtError {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof PhtError) return thrown;
    throw thrown;
  }
  throw new Error('nothing was thrown');
}

const stationError = (text: string | Uint8Array): PhtError => {
  write(text);
  return errorOf(() => readStationConfig(dir));
};

describe('templates', () => {
  const uncommented = (text: string): string => text.replace(/^# (?=\s*[a-zA-Z]+:)/gm, '');

  test('are valid as they are, with the defaults that they name', () => {
    write(templateOf('station', 'dispatcher.example.org:7443') ?? '');
    const config = readStationConfig(dir);
    expect(config.runAs).toBe('65534:65534');
    expect(config.disclosure.threshold).toBe(10);
    expect(config).toMatchObject({ explanations: 'rules', manifestLifetimeDaysMax: 90, runsAtOnceMax: 1 });
    expect(config.engine.acceptEngineRisks).toStrictEqual([]);
    write(uncommented(templateOf('station', '[::1]:7443') ?? ''));
    const full = readStationConfig(dir);
    expect(full.limits).toStrictEqual(config.limits);
    expect(full.proxy).toBe('http://proxy.example.org:3128');
    expect(full.notify).toMatchObject({
      command: ['/usr/local/bin/tell-the-admins'],
      when: 'daily',
      at: '08:00',
    });
    expect(full.adminSocket).toStrictEqual({ path: '/run/signalbox/admin.sock', group: 'signalbox-admins' });
    expect(full.dispatcher.address).toBe('[::1]:7443');
  });

  test('of the other roles', () => {
    write(templateOf('dispatcher', 'localhost:7443') ?? '');
    const config = readDispatcherConfig(dir);
    write(uncommented(templateOf('dispatcher', 'localhost:7443') ?? ''));
    // Ledgers over HTTP are served where somebody asks for it.
    const logs = { listen: '127.0.0.1:7444', anonymous: false };
    expect(readDispatcherConfig(dir)).toStrictEqual({ ...config, logs });
    for (const role of ['researcher', 'auditor'] as const) {
      write(templateOf(role, 'localhost:7443') ?? '');
      expect(readVisitorConfig(dir).dispatcher.address).toBe('localhost:7443');
    }
    write(templateOf('admin', 'localhost:7443') ?? '');
    expect(readAdminConfig(dir).adminSocket?.path).toBe('/run/signalbox/admin.sock');
    write(templateOf('authority', 'localhost:7443') ?? '');
    expect(readAuthorityConfig(dir)).toStrictEqual({ dispatchers: [] });
    const filled = (templateOf('authority', 'localhost:7443') ?? '').replace(
      'dispatchers: []',
      "dispatchers: [{ id: hub, address: 'hub.example.org:7443' }]",
    );
    write(uncommented(filled));
    const place = { id: 'hub', address: 'hub.example.org:7443' };
    expect(readAuthorityConfig(dir)).toStrictEqual({
      dispatchers: [place],
      proxy: 'http://proxy.example.org:3128',
    });
  });

  test.each(['', 'localhost', 'localhost:', ':1', 'a b:1', "x':1", 'x:1\ny: 2', '-x:1'])(
    'refuse the address %j',
    (address) => {
      expect(errorOf(() => templateOf('station', address)).code).toBe('usage.invalid');
    },
  );
});

test('a preset and single settings, never below the floor', () => {
  write(`${BASE}disclosure: { preset: cms, threshold: 12 }\n`);
  expect(readStationConfig(dir).disclosure).toMatchObject({ threshold: 12, zerosDisclosive: false });
  for (const text of [
    '{ threshold: 4 }',
    '{ preset: none }',
    '{ preset: sacro, thresold: 9 }',
    '{ roundBase: 11 }',
    'off',
  ]) {
    expect(stationError(`${BASE}disclosure: ${text}\n`).code).toBe('config.invalid');
  }
});

describe('notify', () => {
  const notify = (text: string): string => `${BASE}notify: ${text}\n`;

  test('has defaults for all but the command', () => {
    write(notify('{ command: [/usr/local/bin/tell] }'));
    expect(readStationConfig(dir).notify).toStrictEqual({
      command: ['/usr/local/bin/tell'],
      when: 'at-once',
      at: '08:00',
      on: ['ask'],
      remindAfterDays: 3,
    });
    write(notify("{ command: [/bin/a, b], when: daily, at: '23:59', on: [ask, deny], remindAfterDays: 7 }"));
    expect(readStationConfig(dir).notify).toMatchObject({ when: 'daily', on: ['ask', 'deny'] });
  });

  test.each([
    ['no command', '{ when: daily }'],
    ['an empty command', '{ command: [] }'],
    ['a command line', '{ command: /usr/bin/mail anna }'],
    ['a relative command', '{ command: [mail, anna] }'],
    ['a shell in the environment', '{ command: [/bin/sh], shell: true }'],
    ['NUL', '{ command: [/bin/a, "b\\0c"] }'],
    ['too many arguments', `{ command: [/bin/a${', b'.repeat(32)}] }`],
    ['an hour that is none', "{ command: [/bin/a], at: '24:00' }"],
    ['an hour in seconds', '{ command: [/bin/a], at: 8:00 }'],
    ['another time', '{ command: [/bin/a], when: hourly }'],
    ['another verdict', '{ command: [/bin/a], on: [approve] }'],
    ['a verdict twice', '{ command: [/bin/a], on: [ask, ask] }'],
    ['no verdict', '{ command: [/bin/a], on: [] }'],
    ['no reminder', '{ command: [/bin/a], remindAfterDays: 0 }'],
  ])('refuses %s', (_, text) => {
    expect(stationError(notify(text)).code).toBe('config.invalid');
  });
});

test.each([
  ['nothing', ''],
  ['an empty document', '# only a comment\n'],
  ['a list', '- a\n'],
  ['no dispatcher', 'runAs: 1:1\n'],
  ['an unknown member', `${BASE}dispacher: x\n`],
  ['a duplicate key', `${BASE}runAs: '1:1'\nrunAs: '2:2'\n`],
  ['a duplicate key inside', 'dispatcher:\n  address: a:1\n  address: b:1\n'],
  ['root', `${BASE}runAs: '0:0'\n`],
  ['root with leading zeros', `${BASE}runAs: '00:1'\n`],
  ['the root group', `${BASE}runAs: '1000:0'\n`],
  ['a user by name', `${BASE}runAs: 'nobody:nogroup'\n`],
  ['a port that is none', "dispatcher: { address: 'localhost:70000' }\n"],
  ['a proxy over another scheme', `${BASE}proxy: ftp://proxy:1\n`],
  ['a proxy with a path', `${BASE}proxy: http://proxy:1/x\n`],
  ['text where a number belongs', `${BASE}runsAtOnceMax: many\n`],
  ['a fraction', `${BASE}runsAtOnceMax: 1.5\n`],
  ['infinity', `${BASE}runsAtOnceMax: .inf\n`],
  ['a lifetime above the protocol\u2019s', `${BASE}manifestLifetimeDaysMax: 91\n`],
  ['a relative socket', `${BASE}engine: { socket: docker.sock }\n`],
  ['an anchor', `${BASE}explanations: &a full\n`],
  ['an alias', 'dispatcher: &d { address: a:1 }\nengine: *d\n'],
  ['a merge key', `x: &x { a: 1 }\n<<: *x\n${BASE}`],
  ['a custom tag', `${BASE}explanations: !secret full\n`],
  ['a core tag', `${BASE}explanations: !!str full\n`],
  ['two documents', `${BASE}---\n${BASE}`],
  ['a key that is no text', `${BASE}1: x\n`],
  ['a key that is a list', `${BASE}? [a]\n: x\n`],
  ['__proto__', `${BASE}__proto__: { runAs: '1:1' }\n`],
  ['tabs', 'dispatcher:\n\taddress: a:1\n'],
  ['an open quote', "dispatcher: { address: 'a:1 }\n"],
  ['deep nesting', `${BASE}engine: ${'['.repeat(5000)}${']'.repeat(5000)}\n`],
])('refuses %s', (_name, text) => {
  expect(stationError(text).code).toMatch(/^(?:config\.invalid|input\.malformed)$/);
});

test('names the file and the place of what is wrong, on one line', () => {
  const { message } = stationError(`${BASE}limits: { pidsMax: 1 }\n`);
  expect(message).toContain('config.yaml');
  expect(message).toContain('limits.pidsMax');
  expect(message).not.toContain('\n');
  expect(stationError('a: [1\n').message).not.toContain('\n');
});

test('size, encoding, absence', () => {
  expect(stationError(`#${'x'.repeat(256 * 1024)}`).code).toBe('input.too-large');
  expect(stationError(Uint8Array.of(0xff, 0xfe, 0x61, 0)).code).toBe('config.invalid');
  rmSync(join(dir, 'config.yaml'));
  expect(errorOf(() => readStationConfig(dir)).code).toBe('config.missing');
});

test('arbitrary text ends in a value or in one of our errors', () => {
  const fragment = fc.constantFrom(
    'a',
    ': ',
    '\n',
    '  ',
    '- ',
    '[',
    ']',
    '{',
    '}',
    '&x',
    '*x',
    '!t ',
    '"',
    "'",
    '|',
    '>',
    '#',
    '? ',
    '---',
    '%',
    ',',
    '\t',
    '<<',
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fragment, { maxLength: 20 }).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(text, (yaml) => {
      try {
        parseYaml(z.unknown(), Buffer.from(yaml), 'it');
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(PhtError);
        expect((thrown as PhtError).code).toBe('config.invalid');
      }
    }),
    { numRuns: 1500 },
  );
});
