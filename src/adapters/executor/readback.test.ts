import type Docker from 'dockerode';
import { describe, expect, it } from 'vitest';
import { assertSettings, mergedEnv } from './readback.ts';
import { type ContainerSettings, containerSettings } from './settings.ts';

const WANTED = containerSettings(
  {
    name: 'signalbox-x',
    engineId: 'sha256:00',
    entrypoint: ['/bin/sh', '/train/run.sh'],
    workingDir: '/',
    env: ['A=1'],
    limits: {
      memoryBytesMax: 64 << 20,
      cpuMillis: 1000,
      pidsMax: 32,
      wallMsMax: 1000,
      outputBytesMax: 1 << 20,
      scratchBytesMax: 1 << 20,
    },
    runAs: '65534:65534',
    files: [{ source: '/srv/data.csv', target: '/data/x/data.csv' }],
    labels: { 'signalbox.owner': 'n.o' },
    outVolume: 'vol',
  },
  { apparmor: false, cpus: 2 },
);

/** As a sound engine answers: the same settings, its own order of ulimit keys, empty things as null. */
function answer(change: (inspected: Mutable) => void = () => undefined): Docker.ContainerInspectInfo {
  const { HostConfig, ...config } = structuredClone(WANTED) as ContainerSettings;
  const inspected: Mutable = {
    Path: '/bin/sh',
    Args: ['/train/run.sh'],
    AppArmorProfile: '',
    Config: { ...config, Labels: { ...config.Labels, other: 'x' }, Env: ['PATH=/bin', 'A=1'], Volumes: null },
    HostConfig: {
      ...HostConfig,
      Ulimits: HostConfig.Ulimits?.toReversed(),
      CapAdd: null,
      Binds: null,
      Init: false,
    },
    Mounts: [
      { Type: 'volume', Name: 'vol', Source: '/x', Destination: '/out', RW: true },
      { Type: 'bind', Source: '/srv/data.csv', Destination: '/data/x/data.csv', RW: false },
    ],
    NetworkSettings: { Networks: {} },
  };
  change(inspected);
  return inspected as unknown as Docker.ContainerInspectInfo;
}

type Fields = Record<string, unknown>;
type Mutable = {
  Path: string;
  Args: string[];
  AppArmorProfile: string;
  Config: Fields;
  HostConfig: Fields;
  Mounts: Fields[];
  NetworkSettings: { Networks: Fields };
};

const check = (inspected: Docker.ContainerInspectInfo, apparmor = false): void =>
  assertSettings(WANTED, inspected, ['PATH=/bin', 'A=2'], apparmor);

describe('comparing what the engine made', () => {
  it('is content with a sound answer', () => {
    expect(() => check(answer())).not.toThrow();
  });

  it.each<[string, (inspected: Mutable) => void]>([
    [
      'User',
      ({ Config }) => {
        Config['User'] = '';
      },
    ],
    [
      'Env',
      ({ Config }) => {
        Config['Env'] = ['PATH=/bin', 'A=1', 'LD_PRELOAD=/x'];
      },
    ],
    [
      'Labels',
      ({ Config }) => {
        Config['Labels'] = {};
      },
    ],
    [
      'Entrypoint',
      (inspected) => {
        inspected.Args = [];
      },
    ],
    [
      'ReadonlyRootfs',
      ({ HostConfig }) => {
        HostConfig['ReadonlyRootfs'] = false;
      },
    ],
    [
      'CapDrop',
      ({ HostConfig }) => {
        HostConfig['CapDrop'] = null;
      },
    ],
    [
      'CapAdd',
      ({ HostConfig }) => {
        HostConfig['CapAdd'] = ['NET_RAW'];
      },
    ],
    [
      'SecurityOpt',
      ({ HostConfig }) => {
        HostConfig['SecurityOpt'] = ['no-new-privileges:true'];
      },
    ],
    [
      'Memory',
      ({ HostConfig }) => {
        HostConfig['Memory'] = 0;
      },
    ],
    [
      'MemorySwap',
      ({ HostConfig }) => {
        HostConfig['MemorySwap'] = -1;
      },
    ],
    [
      'PidsLimit',
      ({ HostConfig }) => {
        HostConfig['PidsLimit'] = null;
      },
    ],
    [
      'NanoCpus',
      ({ HostConfig }) => {
        HostConfig['NanoCpus'] = 0;
      },
    ],
    [
      'NetworkMode',
      ({ HostConfig }) => {
        HostConfig['NetworkMode'] = 'bridge';
      },
    ],
    [
      'Privileged',
      ({ HostConfig }) => {
        HostConfig['Privileged'] = true;
      },
    ],
    [
      'Ulimits',
      ({ HostConfig }) => {
        HostConfig['Ulimits'] = [];
      },
    ],
    [
      'ShmSize',
      ({ HostConfig }) => {
        HostConfig['ShmSize'] = 1 << 30;
      },
    ],
    [
      'Tmpfs',
      ({ HostConfig }) => {
        HostConfig['Tmpfs'] = { '/tmp': 'rw' };
      },
    ],
    [
      'Binds',
      ({ HostConfig }) => {
        HostConfig['Binds'] = ['/:/host'];
      },
    ],
    [
      'Devices',
      ({ HostConfig }) => {
        HostConfig['Devices'] = [{ PathOnHost: '/dev/sda' }];
      },
    ],
    [
      'PidMode',
      ({ HostConfig }) => {
        HostConfig['PidMode'] = 'host';
      },
    ],
    [
      'Mounts',
      ({ Mounts }) => {
        Mounts[1] = { ...Mounts[1], RW: true };
      },
    ],
    ['Mounts', ({ Mounts }) => void Mounts.push({ Type: 'volume', Name: 'v2', Destination: '/v', RW: true })],
    ['Mounts', ({ Mounts }) => void Mounts.pop()],
    [
      'Networks',
      ({ NetworkSettings }) => {
        NetworkSettings.Networks['bridge'] = {};
      },
    ],
  ])('refuses when %s differs', (field, change) => {
    const refusal = expect.objectContaining({
      code: 'engine.unsafe',
      message: expect.stringContaining(field),
    });
    expect(() => check(answer(change))).toThrow(refusal);
  });

  it('believes in AppArmor only when the container has its profile', () => {
    expect(() => check(answer(), true)).toThrow(expect.objectContaining({ code: 'engine.unsafe' }));
    const confined = answer((inspected) => {
      inspected.AppArmorProfile = 'docker-default';
    });
    expect(() => check(confined, true)).not.toThrow();
  });

  it('merges the image’s environment as engines do', () => {
    expect(mergedEnv(['PATH=/bin', 'A=2'], ['A=1'])).toEqual(['A=1', 'PATH=/bin']);
  });
});
