import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `npm run package`: one tarball of compiled JavaScript, which `npm install --global FILE` installs elsewhere. */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const STAGE = join(ROOT, 'dist/package');
/** Beside the code: what its reader may copy from, and what the docs point to. */
const EXAMPLES = ['LICENSE', 'README.md', 'CHANGELOG.md', 'docs', 'trains', 'images', 'stations'];

type Json = Record<string, unknown>;

function readJson(name: string): Json {
  return JSON.parse(readFileSync(join(ROOT, name), 'utf8')) as Json;
}

/** What code opens beside itself (`new URL('./…', import.meta.url)`) is everything that is no TypeScript. */
function copyAssets(): void {
  cpSync(join(ROOT, 'src'), join(STAGE, 'dist'), {
    recursive: true,
    filter: (path) => statSync(path).isDirectory() || !/[.](ts|c|h|sh)$/.test(path),
  });
}

/** @returns what is left of package.json for somebody who installs it */
function shippedPackage(): Json {
  const { private: _, scripts: __, devDependencies: ___, ...kept } = readJson('package.json');
  return {
    ...kept,
    bin: { pht: 'bin/pht' },
    files: ['bin', 'dist', ...EXAMPLES.filter((name) => existsSync(join(ROOT, name)))],
  };
}

/** The same lock without what only development needs, so that a second machine gets the very same packages. */
function shippedLock(shipped: Json): Json {
  const lock = readJson('package-lock.json');
  const packages = Object.entries(lock['packages'] as Record<string, Json>).filter(
    ([, entry]) => entry['dev'] !== true,
  );
  const { files: _, ...root } = shipped;
  return { ...lock, packages: { ...Object.fromEntries(packages), '': root } };
}

function main(): void {
  rmSync(STAGE, { recursive: true, force: true });
  mkdirSync(join(STAGE, 'bin'), { recursive: true });
  execFileSync('tsc', ['-p', 'tsconfig.build.json'], { cwd: ROOT, stdio: ['ignore', 2, 2] });
  copyAssets();
  cpSync(join(ROOT, 'scripts/package/pht'), join(STAGE, 'bin/pht'));
  const shipped = shippedPackage();
  for (const name of EXAMPLES) {
    const from = join(ROOT, name);
    if (existsSync(from)) cpSync(from, join(STAGE, name), { recursive: true });
  }
  writeFileSync(join(STAGE, 'package.json'), `${JSON.stringify(shipped, null, 2)}\n`);
  writeFileSync(join(STAGE, 'npm-shrinkwrap.json'), `${JSON.stringify(shippedLock(shipped), null, 2)}\n`);
  const destination = process.argv[2] ?? ROOT;
  execFileSync('npm', ['pack', STAGE, '--pack-destination', destination, '--loglevel=error'], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 2],
  });
  const name = `signalbox-${String(shipped['version'])}.tgz`;
  const kib = Math.round(statSync(join(destination, name)).size / 1024);
  const files = readdirSync(STAGE, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  ).length;
  process.stdout.write(`${join(destination, name)}: ${files} files, ${kib} KiB\n`);
  process.stdout.write(`Next, on the other machine: npm install --global ${name}\n`);
}

main();
