import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { connectEngine } from '../../src/adapters/executor/connect.ts';
import { ROOT } from './pht.ts';

/** What the demo asks of the container engine itself: patients out of an R package, and whether anything is left. */

const OWNER_LABEL = 'signalbox.owner';
const engine = connectEngine();

/** @returns the CSV text of each station's patients */
export async function exportCgd(): Promise<Record<string, string>> {
  const script = join(ROOT, 'scripts/export-cgd.R');
  const container = await engine.createContainer({
    Image: 'signalbox/r:1',
    Entrypoint: ['/usr/bin/Rscript', '--vanilla', '/export.R'],
    User: '65534:65534',
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      Binds: [`${script}:/export.R:ro`],
      AutoRemove: true, // even when nobody waits for it any more
      NetworkMode: 'none',
      ReadonlyRootfs: true,
      Tmpfs: { '/tmp': '' },
    },
  });
  const stream = await container.attach({ stream: true, stdout: true, stderr: true });
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  container.modem.demuxStream(stream, stdout, stderr);
  stream.on('end', () => {
    stdout.end();
    stderr.end();
  });
  const read = Promise.all([text(stdout), text(stderr)]);
  await container.start();
  const [out, err] = await read;
  // The engine has removed the container with its status; a script that failed printed no JSON.
  if (!out.startsWith('{')) throw new Error(`scripts/export-cgd.R failed: ${err}`);
  return JSON.parse(out) as Record<string, string>;
}

/** @returns the version of the engine, for people */
export async function engineVersion(): Promise<string> {
  const { Version, Platform } = (await engine.version()) as { Version: string; Platform?: { Name?: string } };
  return `${Platform?.Name || 'engine'} ${Version}`.trim();
}

/** The beginning of every label and repository of this network. */
const prefixOf = (networkId: string): string => networkId.slice(0, 12);

/** @returns containers and volumes that bear this network's label, by name */
export async function leftOvers(networkId: string): Promise<string[]> {
  const mine = (labels: Record<string, string> | null): boolean =>
    labels?.[OWNER_LABEL]?.startsWith(`${prefixOf(networkId)}.`) === true;
  const filters = { label: [OWNER_LABEL] };
  const containers = await engine.listContainers({ all: true, filters });
  const { Volumes } = await engine.listVolumes({ filters });
  return [
    ...containers.filter(({ Labels }) => mine(Labels)).map(({ Names }) => `container ${Names[0] ?? '?'}`),
    ...(Volumes ?? []).filter(({ Labels }) => mine(Labels)).map(({ Name }) => `volume ${Name}`),
  ];
}

/** Takes away what a demo that was killed may have left, and the tags under which its stations keep images. */
export async function sweepEngine(networkId: string): Promise<void> {
  for (const left of await leftOvers(networkId)) {
    const [kind, name = ''] = left.split(' ');
    if (kind === 'container')
      await engine.getContainer(name.replace(/^\//, '')).remove({ force: true, v: true });
    else await engine.getVolume(name).remove({ force: true });
  }
  for (const { RepoTags } of await engine.listImages()) {
    for (const tag of RepoTags ?? []) {
      if (tag.startsWith(`signalbox/${prefixOf(networkId)}/`))
        await engine.getImage(tag).remove({ noprune: false });
    }
  }
}

/** The network of a demo's home, or undefined where none was founded yet. */
export function networkIn(networkHome: string): string | undefined {
  try {
    const member = JSON.parse(readFileSync(join(networkHome, 'member.json'), 'utf8')) as {
      networkId: string;
    };
    return member.networkId;
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return undefined;
    throw thrown;
  }
}
