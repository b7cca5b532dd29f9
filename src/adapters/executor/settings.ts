import type Docker from 'dockerode';
import type { Limits } from '../../model/train.ts';
import type { RunSpec } from '../../ports/executor.ts';
import { SECCOMP_PROFILE } from './seccomp.ts';

/** Every setting of a container, in one place; `readback.ts` compares what the engine made of it. */

export const OUT_PATH = '/out';
const SCRATCH_PATH = '/tmp';
export const SHM_BYTES = 16 * 1024 * 1024;
export const OPEN_FILES_MAX = 1024;

/** What differs from engine to engine. */
export type EngineTraits = { apparmor: boolean; cpus: number };

export type Labels = Record<string, string>;

export type ContainerSettings = Docker.ContainerCreateOptions & {
  Entrypoint: string[];
  Env: string[];
  Labels: Labels;
  HostConfig: Docker.HostConfig & { Mounts: Docker.MountConfig; CgroupnsMode: 'private' };
};

export type Sandbox = Pick<RunSpec, 'entrypoint' | 'workingDir' | 'env' | 'limits' | 'runAs' | 'files'> & {
  name: string;
  engineId: string;
  labels: Labels;
  outVolume: string;
};

/** The one profile that trains, probes and holders alike run under. */
export function containerSettings(sandbox: Sandbox, traits: EngineTraits): ContainerSettings {
  const { limits } = sandbox;
  return {
    name: sandbox.name,
    Image: sandbox.engineId,
    Entrypoint: sandbox.entrypoint,
    Env: sandbox.env,
    WorkingDir: sandbox.workingDir,
    User: sandbox.runAs,
    Hostname: 'train',
    NetworkDisabled: true,
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    OpenStdin: false,
    Tty: false,
    Healthcheck: { Test: ['NONE'] },
    StopTimeout: 1,
    Labels: sandbox.labels,
    HostConfig: {
      NetworkMode: 'none',
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      Privileged: false,
      AutoRemove: false,
      Init: false,
      SecurityOpt: [
        'no-new-privileges:true',
        `seccomp=${SECCOMP_PROFILE}`,
        ...(traits.apparmor ? ['apparmor=docker-default'] : []),
      ],
      Memory: limits.memoryBytesMax,
      MemorySwap: limits.memoryBytesMax, // equal means none
      NanoCpus: nanoCpus(limits, traits),
      PidsLimit: limits.pidsMax,
      OomKillDisable: false,
      IpcMode: 'private',
      CgroupnsMode: 'private',
      ShmSize: SHM_BYTES,
      Ulimits: [
        { Name: 'nofile', Soft: OPEN_FILES_MAX, Hard: OPEN_FILES_MAX },
        { Name: 'core', Soft: 0, Hard: 0 },
      ],
      LogConfig: { Type: 'none', Config: {} },
      RestartPolicy: { Name: 'no' },
      Tmpfs: { [SCRATCH_PATH]: `rw,noexec,nosuid,nodev,mode=1777,size=${limits.scratchBytesMax}` },
      Mounts: [
        ...sandbox.files.map(({ source, target }) => ({
          Type: 'bind' as const,
          Source: source,
          Target: target,
          ReadOnly: true,
          BindOptions: { Propagation: 'rprivate' as const },
        })),
        {
          Type: 'volume',
          Source: sandbox.outVolume,
          Target: OUT_PATH,
          ReadOnly: false,
          VolumeOptions: noCopy,
        },
      ],
    },
  };
}

/** Without copying: what the image has at `/out` is not the train's output. */
const noCopy = { NoCopy: true, Labels: {}, DriverConfig: { Name: 'local', Options: {} } };

/** An engine refuses more CPUs than its machine has; fewer is a slower train, not an error. */
function nanoCpus(limits: Limits, traits: EngineTraits): number {
  return Math.min(limits.cpuMillis, traits.cpus * 1000) * 1_000_000;
}

/** The options of the `/out` volume: memory of fixed size and file count that only `runAs` may open. */
export function outVolumeOptions(bytes: number, runAs: string): Record<string, string> {
  const [uid, gid] = runAs.split(':');
  return {
    type: 'tmpfs',
    device: 'tmpfs',
    o: `size=${bytes},nr_inodes=64,mode=0700,uid=${uid},gid=${gid},noexec,nosuid,nodev`,
  };
}
