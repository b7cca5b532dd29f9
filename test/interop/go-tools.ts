import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { failed, Outcome, passed } from './outcome.ts';
import { type Ran, run } from './run.ts';

const SOURCE = fileURLToPath(new URL('go', import.meta.url));
const FSCK = 'github.com/transparency-dev/tessera/cmd/fsck';
const BUILD_MS = 600_000;
const JUDGE_MS = 300_000;

/** Paths of the programs, or why there are none: `skipped` where this machine lacks something, else a fault of ours. */
export type Built = { interop: string; fsck: string } | { skipped: string } | { failed: string };

/** Exactly the versions and sums that go.mod and go.sum name, with the Go that is here. */
function goEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, GOFLAGS: '-mod=readonly -buildvcs=false', GOTOOLCHAIN: 'local', GOWORK: 'off' };
}

function go(args: readonly string[]): Promise<Ran> {
  return run('go', args, { cwd: SOURCE, env: goEnvironment(), timeoutMs: BUILD_MS });
}

/** Builds the program in `go/` and Tessera's fsck into `folder`. */
export async function buildTools(folder: string): Promise<Built> {
  const built = await go(['build', '-o', `${folder}/`, '.', FSCK]);
  if (built.ok) return { interop: join(folder, 'interop'), fsck: join(folder, 'fsck') };
  if (built.absent) return { skipped: 'there is no go here' };
  if (/requires go >= /.test(built.stderr)) return { skipped: lastLine(built.stderr) };
  const fetched = await go(['mod', 'download']);
  if (fetched.ok || /checksum mismatch|SECURITY ERROR|go\.sum/.test(fetched.stderr + built.stderr))
    return { failed: built.stderr.trim() };
  return { skipped: `the Go modules cannot be had: ${lastLine(fetched.stderr)}` };
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}

export async function checkSource(): Promise<Outcome[]> {
  const [vetted, formatted] = await Promise.all([
    go(['vet', './...']),
    run('gofmt', ['-l', SOURCE], { timeoutMs: BUILD_MS }),
  ]);
  const unformatted = formatted.ok ? formatted.stdout.trim() : formatted.stderr;
  return [
    vetted.ok ? passed('go vet', 1) : failed('go vet', 1, vetted.stderr.trim()),
    unformatted === '' ? passed('gofmt', 1) : failed('gofmt', 1, unformatted),
  ];
}

/** What the Go program says of the claims in a file. Its exit status counts too: it may have ended half-way. */
export async function judgeWithGo(interop: string, claims: string): Promise<Outcome[]> {
  const judged = await run(interop, ['check', claims], { timeoutMs: JUDGE_MS });
  const lines = judged.stdout.split('\n').filter((line) => line !== '');
  const outcomes = lines.map((line) => Outcome.parse(JSON.parse(line)));
  if (judged.ok || outcomes.some(({ ok }) => !ok)) return outcomes;
  return [...outcomes, failed('the Go program', 1, judged.stderr.trim())];
}

/** Go's logs and claims.json about them in `folder`. @throws Error */
export async function makeWithGo(interop: string, folder: string): Promise<void> {
  const made = await run(interop, ['make', folder], { timeoutMs: JUDGE_MS });
  if (!made.ok) throw new Error(`the Go program made no logs: ${made.stderr.trim()}`);
}
