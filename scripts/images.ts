import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { connectEngine } from '../src/adapters/executor/connect.ts';
import { buildImage } from '../src/adapters/image/build.ts';
import { hostAptSources, hostProxy } from './apt.ts';
import { ensureBase } from './base-image.ts';

/** Builds `signalbox/{r,python,shell}:1` where they are absent or older than their Dockerfile. */

const IMAGES = ['shell', 'python', 'r'];
const LABEL = 'signalbox.dockerfile';
const IMPORTANT = /^(Step |Setting up r-base-core|Setting up python3|Fetched )/;

const say = (line: string): void => {
  process.stderr.write(`images: ${line}\n`);
};

async function main(): Promise<void> {
  const docker = connectEngine();
  const wanted = IMAGES.map((name) => {
    const directory = fileURLToPath(new URL(`../images/${name}/`, import.meta.url));
    const digest = createHash('sha256')
      .update(readFileSync(`${directory}/Dockerfile`))
      .digest('hex');
    return { tag: `signalbox/${name}:1`, directory, digest };
  });
  const present = await Promise.all(wanted.map(({ tag, digest }) => isCurrent(docker, tag, digest)));
  const missing = wanted.filter((_, at) => present[at] !== true);
  if (missing.length === 0) return;
  await ensureBase(docker, say);
  const [sources, proxy] = [await hostAptSources(), await hostProxy()];
  for (const { tag, directory, digest } of missing) {
    const startedMs = Date.now();
    say(`${tag}: building`);
    await buildImage(docker, {
      directory,
      tag,
      labels: { [LABEL]: digest },
      buildArgs: { ...proxy, ...(sources === '' ? {} : { APT_SOURCES: sources }) },
      progress: (line) => {
        if (IMPORTANT.test(line) || process.env['PHT_DEBUG'] === '1') say(`${tag}: ${line.slice(0, 110)}`);
      },
    });
    // Stages that nothing stands on would otherwise stay as nameless images.
    await docker.pruneImages({ filters: { dangling: ['true'], label: ['signalbox.stage'] } });
    say(`${tag}: ready after ${((Date.now() - startedMs) / 1000).toFixed(1)} s`);
  }
}

async function isCurrent(
  docker: ReturnType<typeof connectEngine>,
  tag: string,
  digest: string,
): Promise<boolean> {
  const found = await docker
    .getImage(tag)
    .inspect()
    .catch((thrown: { statusCode?: number }) => {
      if (thrown.statusCode === 404) return undefined;
      throw thrown;
    });
  return found?.Config.Labels?.[LABEL] === digest;
}

main().catch((thrown: unknown) => {
  say(thrown instanceof Error ? thrown.message : String(thrown));
  process.exitCode = 1;
});
