import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `npm run check`: everything that is found without running the product. Exits 0 only if every part held. */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const PARTS_AT_ONCE = 2;

type Outcome = { ok: boolean; said: string };
type Part = { name: string; about: string; check(): Promise<Outcome> };

const PARTS: readonly Part[] = [
  { name: 'types', about: 'tsc, strict', check: () => run('tsc', ['--noEmit', '-p', '.']) },
  {
    name: 'style',
    about: 'Biome: format and lint',
    check: () => run('biome', ['ci', '--colors=off', '--max-diagnostics=100', '--error-on-warnings', '.']),
  },
  { name: 'wire', about: 'buf lint', check: () => run('buf', ['lint']) },
  { name: 'generated', about: 'src/gen is what buf generate makes of proto/', check: generated },
  {
    name: 'dead code',
    about: 'knip: files, exports, dependencies',
    check: () => run('knip', ['--no-progress']),
  },
  { name: 'shell', about: 'sh -n of every shell script', check: shell },
];

const SHELL_SCRIPTS = ['scripts/with-deps', 'scripts/engine', 'pht', 'scripts/package/pht'];

function run(command: string, args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd: ROOT, maxBuffer: OUTPUT_BYTES_MAX }, (failure, stdout, stderr) => {
      const said = `${stdout}${stderr}`.trim();
      resolve({ ok: failure === null, said: said === '' ? (failure?.message ?? '') : said });
    });
  });
}

async function shell(): Promise<Outcome> {
  const outcomes = await Promise.all(SHELL_SCRIPTS.map((path) => run('sh', ['-n', path])));
  return { ok: outcomes.every(({ ok }) => ok), said: outcomes.map(({ said }) => said).join('\n') };
}

async function generated(): Promise<Outcome> {
  const place = mkdtempSync(join(tmpdir(), 'signalbox-generated-'));
  try {
    const made = await run('buf', ['generate', '--output', place]);
    if (!made.ok) return made;
    const [fresh, committed] = [filesBelow(join(place, 'src/gen')), filesBelow(join(ROOT, 'src/gen'))];
    const names = [...new Set([...fresh.keys(), ...committed.keys()])].sort();
    const differing = names.filter((name) => fresh.get(name) !== committed.get(name));
    const said = differing.map((name) => `src/gen/${name} differs; next: npm run generate`).join('\n');
    return { ok: differing.length === 0 && fresh.size > 0, said };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function filesBelow(folder: string): Map<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return new Map(
    entries.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path.slice(folder.length + 1), readFileSync(path, 'utf8')];
    }),
  );
}

async function main(): Promise<void> {
  const failed: string[] = [];
  const waiting = [...PARTS];
  const work = async (): Promise<void> => {
    for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
      const startedMs = Date.now();
      const { ok, said } = await part.check();
      const seconds = ((Date.now() - startedMs) / 1000).toFixed(1);
      if (!ok) failed.push(part.name);
      process.stdout.write(
        `${ok ? 'ok    ' : 'FAILED'} ${part.name.padEnd(10)} ${seconds.padStart(5)} s  ${part.about}\n`,
      );
      if (!ok) process.stdout.write(`${said.replace(/^/gm, '       ')}\n`);
    }
  };
  await Promise.all(Array.from({ length: PARTS_AT_ONCE }, work));
  process.stdout.write(`check: ${PARTS.length - failed.length} passed, ${failed.length} failed\n`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}

await main();
