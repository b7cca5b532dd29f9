import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PHT } from '../spawn-pht.ts';

/** Homes of every role in one folder, copied for each case so that many can be damaged at once. */

export type Ran = { status: number | null; stdout: string; stderr: string };

/** Longer than any bad input may take: what hangs is killed and has no status. */
const MS_MAX = 10_000;

export function run(
  cwd: string,
  args: readonly string[],
  options: { env?: Record<string, string>; shell?: string } = {},
): Promise<Ran> {
  const { PATH = '', HOME = '' } = process.env;
  const env = { PATH, HOME, ...options.env };
  const script = options.shell ?? 'exec "$@"';
  return new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', script, 'sh', PHT, ...args], {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: MS_MAX,
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}

const POLICY = '@id("any") @explain("any train")\npermit (principal, action == Action::"Run", resource);\n';
const DATASET = `title: Test data
file: ../cgd.csv
format: csv
columns:
  - { name: treat, type: category, levels: [a, b] }
`;
/** Nothing listens there (RFC 863's port), and nothing has to. */
const DISPATCHER = '127.0.0.1:9';

/** Homes `net`, `disp`, `ams`, `adm`, `lee` and `dpo`, a train directory `tr`, and cases of a policy. */
export async function makeHomes(): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'pht-bad-'));
  const ok = async (...args: string[]): Promise<void> => {
    const ran = await run(dir, args);
    if (ran.status !== 0) throw new Error(`${args.join(' ')}: ${ran.stderr}`);
  };
  await ok('--home', 'net', 'network', 'init', '--title', 'Test', '--no-passphrase');
  const init = (role: string, id: string, ...more: string[]): Promise<void> =>
    ok(
      ...['--home', id, 'init', '--role', role, '--id', id, '--title', id, '--organisation', 'Org'],
      ...['--network', 'net/network.json', '--no-passphrase', ...more],
    );
  const dispatcher = ['--dispatcher', DISPATCHER];
  await Promise.all([
    init('dispatcher', 'disp', '--dispatcher', '127.0.0.1:0'),
    init('station', 'ams', ...dispatcher),
    init('admin', 'adm', '--station', 'ams'),
    init('researcher', 'lee', ...dispatcher),
    init('auditor', 'dpo', ...dispatcher),
    ok('train', 'init', 'tr'),
  ]);
  const members = ['disp', 'ams', 'adm', 'lee', 'dpo'];
  await ok('--home', 'net', 'network', 'admit', ...members.map((id) => `${id}/enrolment.json`));
  await Promise.all(members.map((id) => ok('--home', id, 'network', 'import', 'net/network.json')));
  writeFileSync(join(dir, 'ams/policy.cedar'), POLICY);
  writeFileSync(join(dir, 'cases.yaml'), '- { name: any train runs, expect: { verdict: permit } }\n');
  writeFileSync(join(dir, 'ams/datasets/cgd.yaml'), DATASET);
  writeFileSync(join(dir, 'ams/cgd.csv'), 'treat\na\nb\n', { mode: 0o644 });
  return dir;
}

/** A copy in which one case may do what it likes. */
export async function inCopy<T>(dir: string, work: (copy: string) => Promise<T>): Promise<T> {
  const copy = mkdtempSync(join(tmpdir(), 'pht-bad-'));
  try {
    // With its modes: a home that is open to others is refused before anything in it is read.
    execFileSync('cp', ['-a', `${dir}/.`, copy]);
    return await work(copy);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** Every file below a folder with its bytes, to see whether anything was changed. */
export function filesOf(dir: string): Record<string, string> {
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(files.map((path) => [path, readFileSync(path, 'latin1')]));
}
