import { describe, expect, test } from 'vitest';
import { run } from './rig.ts';

/** What `--help` promises, for each command there is. */

const COMMANDS = [
  'init',
  ...['init', 'root-key', 'members-key', 'sign', 'admit', 'revoke', 'freshen'].map(
    (name) => `network ${name}`,
  ),
  ...['timer', 'rotate', 'import', 'show', 'datasets'].map((name) => `network ${name}`),
  ...['witnesses', 'verify'].map((name) => `network ${name}`),
  ...['serve', 'forget'].map((name) => `dispatcher ${name}`),
  ...['init', 'serve', 'doctor', 'restore'].map((name) => `station ${name}`),
  ...['check', 'preset', 'test', 'explain', 'replay', 'diff'].map((name) => `station policy ${name}`),
  ...['inbox', 'show', 'approve', 'reject', 'proof'].map((name) => `station ${name}`),
  ...['standing', 'withdraw'].map((name) => `station ${name}`),
  ...['conflicts', 'trust', 'disclose', 'forget'].map((name) => `station ${name}`),
  ...['init', 'check', 'test', 'pack', 'plan', 'submit'].map((name) => `train ${name}`),
  ...['list', 'watch', 'result', 'cancel'].map((name) => `train ${name}`),
  ...['verify', 'show', 'proof', 'bundle', 'witness', 'misconduct'].map((name) => `audit ${name}`),
];

const groups = [...new Set(COMMANDS.map((command) => command.split(' ').slice(0, -1).join(' ')))];

async function help(command: string): Promise<string> {
  const { status, stdout, stderr } = await run('.', [...command.split(' '), '--help'].filter(Boolean));
  expect({ status, stderr }).toStrictEqual({ status: 0, stderr: '' });
  return stdout;
}

test.concurrent.each(COMMANDS)('%s shows an example and fits a terminal', async (command) => {
  const text = await help(command);
  expect(text).toContain('Example');
  expect(text).toContain(`pht`);
  for (const line of text.split('\n')) expect([...line].length).toBeLessThanOrEqual(80);
});

test.concurrent.each(groups)('the group "%s" lists exactly what is there', async (group) => {
  const text = await help(group);
  const listed = [...(text.split('Commands:')[1] ?? '').matchAll(/^ {2}([a-z-]+)/gm)].map(([, name]) => name);
  const depth = group === '' ? 0 : group.split(' ').length;
  const inside = COMMANDS.filter((command) => group === '' || command.startsWith(`${group} `));
  const expected = [...new Set(inside.map((command) => command.split(' ')[depth]))];
  expect(listed.filter((name) => name !== 'help').sort()).toStrictEqual(expected.sort());
});

/** Tells each module that is loaded, on standard error. */
const SPY = `data:text/javascript,${encodeURIComponent(
  "import { registerHooks } from 'node:module';" +
    'registerHooks({ resolve(name, context, next) { const found = next(name, context);' +
    " process.stderr.write('LOADED ' + found.url + '\\n'); return found; } });",
)}`;

describe('a command loads what it needs', () => {
  const heavy = ['dockerode', '@grpc/grpc-js', 'cedar-wasm', '@peculiar/x509', 'pino'];
  test.concurrent.each([
    ['station --help', heavy],
    ['train --help', heavy],
    ['audit --help', heavy],
    ['dispatcher --help', heavy],
    ['network --help', heavy],
    ['--home nowhere station init --id a --title A --organisation O --network nowhere.json', heavy],
    ['--home nowhere station inbox', ['dockerode', 'cedar-wasm', '@peculiar/x509', 'pino']],
    ['station policy preset', heavy],
    ['station policy check nowhere', ['dockerode', '@grpc/grpc-js', '@peculiar/x509', 'pino']],
    ['--home nowhere network show', heavy],
  ])('%s', async (command, not) => {
    const { stderr } = await run('.', command.split(' '), { env: { NODE_OPTIONS: `--import=${SPY}` } });
    const loaded = stderr.split('\n').filter((line) => line.startsWith('LOADED '));
    expect(loaded.length).toBeGreaterThan(5);
    for (const name of not) {
      expect(
        loaded.filter((line) => line.includes(`/node_modules/${name}/`) || line.includes(`/${name}/`)),
      ).toStrictEqual([]);
    }
  });
});
