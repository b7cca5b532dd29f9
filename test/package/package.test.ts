import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PRESETS } from '../../src/cli/station-policy-presets.ts';

/** The tarball of `npm run package`, installed on what might be another machine: nothing of the checkout is in reach. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const place = mkdtempSync(join(tmpdir(), 'signalbox-package-'));
const prefix = join(place, 'prefix');
const installed = join(prefix, 'lib/node_modules/signalbox');
/** Nothing that npm or a shell put there for this checkout. */
const ELSEWHERE = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: place };

type Version = { version: string };

function pht(args: readonly string[]): string {
  return execFileSync(join(prefix, 'bin/pht'), args, { cwd: place, env: ELSEWHERE, encoding: 'utf8' });
}

beforeAll(() => {
  const made = execFileSync(process.execPath, [join(ROOT, 'scripts/package.ts'), place], {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${join(ROOT, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}` },
  });
  expect(made).toContain('.tgz');
  const [tarball] = readdirSync(place).filter((name) => name.endsWith('.tgz'));
  mkdirSync(prefix);
  const options = ['--prefix', prefix, '--no-audit', '--no-fund', '--loglevel=error', '--include=optional'];
  execFileSync('npm', ['install', '--global', ...options, join(place, tarball ?? '')], {
    cwd: place,
    stdio: 'pipe',
  });
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

test('it is one command that knows its version', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Version;
  expect(pht(['--version'])).toBe(`${version}\n`);
});

test('it founds a network and makes a home in it, with nothing but itself', () => {
  const network = join(place, 'network');
  pht(['--home', network, 'network', 'init', '--title', 'Elsewhere', '--no-passphrase']);
  const ana = [
    '--role',
    'researcher',
    '--id',
    'ana',
    '--title',
    'Ana',
    '--organisation',
    'Example University',
  ];
  const file = join(network, 'network.json');
  const made: unknown = JSON.parse(
    pht(['--home', join(place, 'ana'), 'init', ...ana, '--network', file, '--no-passphrase', '--json']),
  );
  expect(made).toMatchObject({ id: 'ana', role: 'researcher' });
  const enrolment = join(place, 'ana/enrolment.json');
  const admitted: unknown = JSON.parse(pht(['--home', network, 'network', 'admit', enrolment, '--json']));
  expect(admitted).toMatchObject({ version: 2, admitted: [{ id: 'ana' }] });
});

test('its policies are decided by the schema that came with it', () => {
  const cases = join(installed, 'stations/policies/cases.yaml');
  expect(pht(['station', 'policy', 'test', cases])).toContain('all as expected');
  expect(pht(['station', 'policy', 'preset', 'closed'])).toContain('nothing runs');
});

test('it holds compiled code, its assets and its examples, and nothing that only development needs', () => {
  const files = readdirSync(installed, { recursive: true, encoding: 'utf8' }).filter(
    (name) => !name.startsWith('node_modules/') && statSync(join(installed, name)).isFile(),
  );
  expect(files).toContain('dist/cli/main.js');
  expect(files).toContain('trains/treatment-effect/train.R');
  for (const name of [
    'pht.cedarschema',
    'lists.yaml',
    'cases.yaml',
    ...PRESETS.map((each) => `${each}.cedar`),
  ])
    expect(files).toContain(`stations/policies/${name}`);
  expect(files.filter((name) => /[.]ts$|[.]test[.]|[.]fixture[.]/.test(name))).toEqual([]);
  for (const asset of assetsOf(join(ROOT, 'src'))) expect(files).toContain(`dist/${asset}`);
  const dependencies = readdirSync(join(installed, 'node_modules'));
  expect(dependencies).toContain('commander');
  expect(dependencies).not.toContain('typescript');
  expect(dependencies).not.toContain('vitest');
});

/** Names of the files that code opens beside itself. */
function assetsOf(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const assets = names.filter(
    (name) => statSync(join(folder, name)).isFile() && !/[.](ts|c|h|sh)$/.test(name),
  );
  expect(assets.length).toBeGreaterThan(0);
  return assets;
}
