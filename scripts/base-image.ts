import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type Docker from 'dockerode';
import { extract, pack } from 'tar-stream';
import { hostAptSources, RELEASE } from './apt.ts';

export const BASE_TAG = 'debian:bookworm-slim';
const PULL_SILENCE_MS_MAX = 15_000;
const PULL_MS_MAX = 300_000;
const BOOTSTRAP_MS_MAX = 600_000;
const MERGED_HOOK = '/usr/share/mmdebstrap/hooks/merged-usr';

/** The base image: as it is, or pulled, or made from Debian's packages where no registry can be reached. */
export async function ensureBase(docker: Docker, say: (line: string) => void): Promise<void> {
  const there = await docker
    .getImage(BASE_TAG)
    .inspect()
    .catch(() => undefined);
  if (there !== undefined) return;
  say(`${BASE_TAG}: pulling`);
  const refusal = await pull(docker);
  if (refusal === undefined) return;
  say(
    `${BASE_TAG}: cannot be pulled (${refusal.slice(0, 120)}); making it from Debian's packages (about 20 s)`,
  );
  await bootstrap(docker, say);
}

/** @returns why it could not be pulled */
async function pull(docker: Docker): Promise<string | undefined> {
  const bell = new AbortController();
  const whole = AbortSignal.any([bell.signal, AbortSignal.timeout(PULL_MS_MAX)]);
  let silence = setTimeout(() => bell.abort(), PULL_SILENCE_MS_MAX);
  try {
    const answer: NodeJS.ReadableStream = await docker.pull(BASE_TAG, { abortSignal: whole });
    for await (const line of createInterface({ input: answer })) {
      clearTimeout(silence);
      silence = setTimeout(() => bell.abort(), PULL_SILENCE_MS_MAX);
      const failed = /"error":"([^"]*)"/.exec(line);
      if (failed !== null) return failed[1] ?? 'refused';
    }
    const there = await docker
      .getImage(BASE_TAG)
      .inspect()
      .catch(() => undefined);
    return there === undefined ? 'the registry sent no image' : undefined;
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message.replace(/\s+/g, ' ') : String(thrown);
  } finally {
    clearTimeout(silence);
  }
}

async function bootstrap(docker: Docker, say: (line: string) => void): Promise<void> {
  await ensureMmdebstrap(say);
  const sources = await hostAptSources();
  const left = ['doc', 'man', 'info', 'locale'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`);
  const options = [
    '--quiet',
    '--variant=minbase',
    '--dpkgopt=force-unsafe-io',
    '--aptopt=Acquire::Languages "none"',
    ...left,
  ];
  // Without it, the system of merged directories is made by a package that brings all of Perl.
  const merged = existsSync(MERGED_HOOK) ? [`--hook-dir=${MERGED_HOOK}`, '--include=usr-is-merged'] : [];
  const arguments_ = [...options, ...merged, '--format=tar', RELEASE, '-', ...(sources === '' ? [] : ['-'])];
  const making = spawn('mmdebstrap', arguments_, {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: BOOTSTRAP_MS_MAX,
  });
  const ended = new Promise<number | null>((resolve, reject) =>
    making.once('error', reject).once('close', resolve),
  );
  let words = '';
  making.stderr.on('data', (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-2000);
  });
  making.stdin.on('error', () => undefined); // a bootstrap that ended early says why on stderr
  making.stdin.end(`${sources}\n`);
  const archive = new PassThrough();
  const filtering = slimmed(making.stdout, archive);
  const imported = docker.importImage(archive, {
    repo: 'debian',
    tag: 'bookworm-slim',
    changes: ['CMD ["bash"]', 'LABEL signalbox.base=mmdebstrap'],
  });
  const [status] = await Promise.all([ended, filtering]);
  if (status !== 0) throw new Error(`mmdebstrap failed: ${words}`);
  for await (const line of createInterface({ input: (await imported) as NodeJS.ReadableStream })) {
    if (line.includes('"error"')) throw new Error(`the engine refused the base image: ${line.slice(0, 400)}`);
  }
}

/**
 * Device nodes, which every station refuses and every engine makes itself, and what a slim image leaves out: path
 * excludes of dpkg do not reach the packages that mmdebstrap unpacks before dpkg runs.
 */
const LEFT_OUT =
  /^(\.\/)?(dev|usr\/share\/(doc|man|info|locale)|var\/cache\/apt|var\/lib\/apt\/lists|var\/log)\/./;

async function slimmed(from: NodeJS.ReadableStream, to: PassThrough): Promise<void> {
  const kept = pack();
  const reader = extract();
  reader.on('entry', (header, content, next) => {
    if (LEFT_OUT.test(header.name)) {
      content.on('end', next).resume();
      return;
    }
    content.pipe(kept.entry(header, next));
  });
  reader.on('finish', () => kept.finalize());
  await Promise.all([pipeline(from, reader), pipeline(kept, to)]);
}

async function ensureMmdebstrap(say: (line: string) => void): Promise<void> {
  if (spawnSync('mmdebstrap', ['--version']).status === 0) return;
  const debian = spawnSync('apt-get', ['--version']).status === 0;
  if (!debian || process.getuid?.() !== 0) {
    throw new Error(
      `no registry can be reached and mmdebstrap is not installed; as root: apt-get install mmdebstrap`,
    );
  }
  say('installing mmdebstrap');
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  spawnSync('apt-get', ['update', '-q'], { env: environment });
  const packages = ['mmdebstrap', 'debian-archive-keyring'];
  const installed = spawnSync('apt-get', ['install', '-qy', '--no-install-recommends', ...packages], {
    env: environment,
  });
  if (installed.status !== 0)
    throw new Error(`mmdebstrap could not be installed: ${installed.stderr.toString().slice(-1000)}`);
}
