import { randomBytes } from 'node:crypto';
import type Docker from 'dockerode';
import { connectEngine } from '../../src/adapters/executor/connect.ts';
import { createDockerExecutor } from '../../src/adapters/executor/docker.ts';
import type { Executor, LoadedImage, RunSpec } from '../../src/ports/executor.ts';

const MIB = 1024 * 1024;

export const docker: Docker = connectEngine();

/** Owners of these tests alone: the engine is shared with whatever else runs on the machine. */
export const NETWORK_ID: string = randomBytes(32).toString('hex');

export function executorOf(owner: string): Executor {
  return createDockerExecutor({
    owner,
    networkId: NETWORK_ID,
    log: (event, fields) => process.stderr.write(`${owner}: ${event} ${JSON.stringify(fields)}\n`),
  });
}

export const ownerLabel = (owner: string): string => `signalbox.owner=${NETWORK_ID.slice(0, 12)}.${owner}`;

/** Everything of one owner that the engine has. */
export async function leftOf(owner: string): Promise<string[]> {
  const filters = { label: [ownerLabel(owner)] };
  const containers = await docker.listContainers({ all: true, filters });
  const { Volumes } = await docker.listVolumes({ filters });
  return [...containers.flatMap(({ Names }) => Names), ...(Volumes ?? []).map(({ Name }) => Name)];
}

/** The owner's trains that run at this moment. */
export async function runningOf(owner: string): Promise<number> {
  const filters = { label: [ownerLabel(owner), 'signalbox.hop'], status: ['running'] };
  const running = await docker.listContainers({ filters });
  return running.filter(({ Labels }) => Labels['signalbox.hop'] !== 'probe').length;
}

/** Takes back the tags that these tests' executors gave; images of others keep theirs. */
export async function untag(owner: string): Promise<void> {
  const reference = `signalbox/${NETWORK_ID.slice(0, 12)}/${owner}`;
  for (const { RepoTags } of await docker.listImages({ filters: { reference: [reference] } })) {
    for (const tag of RepoTags ?? [])
      if (tag.startsWith(`${reference}:`)) await docker.getImage(tag).remove();
  }
}

export async function shellImage(): Promise<LoadedImage> {
  return { engineId: (await docker.getImage('signalbox/shell:1').inspect()).Id, alreadyThere: true };
}

/** A run of one line of shell. */
export function shellRun(image: LoadedImage, line: string, more: Partial<RunSpec> = {}): RunSpec {
  return {
    hop: 'hop_test',
    epoch: 1,
    image,
    entrypoint: ['/bin/sh', '-c', line],
    workingDir: '/',
    env: ['PATH=/bin'],
    limits: {
      memoryBytesMax: 64 * MIB,
      cpuMillis: 1000,
      pidsMax: 32,
      wallMsMax: 20_000,
      outputBytesMax: 4096,
      scratchBytesMax: MIB,
    },
    runAs: '65534:65534',
    files: [],
    log: () => undefined,
    ...more,
  };
}

export const never: AbortSignal = new AbortController().signal;
