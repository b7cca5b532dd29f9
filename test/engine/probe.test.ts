import { extract } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cellImage } from '../../src/adapters/executor/cell.ts';
import { createDockerExecutor } from '../../src/adapters/executor/docker.ts';
import { assertSettings } from '../../src/adapters/executor/readback.ts';
import { containerSettings } from '../../src/adapters/executor/settings.ts';
import { judge } from '../../src/adapters/executor/verdict.ts';
import type { LoadedImage } from '../../src/ports/executor.ts';
import {
  docker,
  executorOf,
  leftOf,
  NETWORK_ID,
  never,
  ownerLabel,
  shellImage,
  shellRun,
  untag,
} from './setup.ts';

const executor = executorOf('prober');
let cell: LoadedImage;

beforeAll(async () => {
  const { Architecture } = await docker.info();
  cell = await executor.load(await cellImage(Architecture));
});
afterAll(async () => {
  await executor.settle();
  await executor.sweep();
  expect(await leftOf('prober')).toEqual([]);
  await untag('prober');
});

describe('the probe', () => {
  it('proves the sandbox on this engine, once', async () => {
    const report = await executor.probe();
    expect(report.failures).toEqual([]);
    expect(report.proofs.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['network', 'memory', 'processes', 'user']),
    );
    expect(await executor.probe()).toBe(report);
  });

  it('believes an earlier report only while its fingerprint is the engine’s', async () => {
    const report = await executor.probe();
    const options = { owner: 'prober', networkId: NETWORK_ID, log: () => undefined };
    const remembering = createDockerExecutor({ ...options, remembered: report });
    expect(await remembering.probe()).toBe(report);
    const doubting = createDockerExecutor({
      ...options,
      remembered: { ...report, fingerprint: '0'.repeat(64) },
    });
    expect((await doubting.probe()).fingerprint).toBe(report.fingerprint);
    await Promise.all([remembering.settle(), doubting.settle()]);
  });

  it('sees a container without a sandbox for what it is', async () => {
    const [key = '', value = ''] = ownerLabel('prober').split('=');
    const Labels = { [key]: value };
    const VolumeOptions = { NoCopy: true, Labels, DriverConfig: { Name: 'local', Options: {} } };
    const open = await docker.createContainer({
      Image: cell.engineId,
      Entrypoint: ['/cell', 'probe', '2097152', '2097152', '33554432', '64'],
      Labels,
      HostConfig: {
        NetworkMode: 'host',
        SecurityOpt: ['seccomp=unconfined'],
        Mounts: [{ Type: 'volume', Source: '', Target: '/out', VolumeOptions }],
        Tmpfs: { '/tmp': 'rw,exec' },
        ShmSize: 64 << 20,
      },
    });
    await open.start();
    await open.wait();
    const text = await onlyFile(await open.getArchive({ path: '/out/result.json' }));
    await open.remove({ force: true, v: true });
    const setting = {
      runAs: '65534:65534',
      pidsMax: 32,
      outBytes: 1 << 20,
      scratchBytes: 1 << 20,
      shmBytes: 16 << 20,
    };
    const { failures } = judge(text, setting);
    expect(failures.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'network',
        'root-write',
        'kernel-files',
        'user',
        'capabilities',
        'no-new-privileges',
        'system-calls',
        'processes',
        'output-size',
        'scratch-size',
        'scratch-exec',
        'resource-limits',
        'read-only-data',
      ]),
    );
  });
});

describe('reading settings back from the real engine', () => {
  it('refuses a container whose settings are not those that were asked for', async () => {
    const image = await shellImage();
    const [key = '', value = ''] = ownerLabel('prober').split('=');
    const sandbox = {
      ...shellRun(image, 'true'),
      name: `signalbox-readback-${NETWORK_ID.slice(0, 12)}`,
      engineId: image.engineId,
      labels: { [key]: value },
      outVolume: `signalbox-readback-${NETWORK_ID.slice(0, 12)}`,
    };
    const wanted = containerSettings(sandbox, { apparmor: false, cpus: 2 });
    const made = await docker.createContainer(wanted);
    try {
      const inspected = await made.inspect();
      expect(() => assertSettings(wanted, inspected, ['PATH=/bin'], false)).not.toThrow();
      const asked = containerSettings(
        { ...sandbox, limits: { ...sandbox.limits, pidsMax: 31 } },
        { apparmor: true, cpus: 2 },
      );
      expect(() => assertSettings(asked, inspected, ['PATH=/bin'], true)).toThrow(
        expect.objectContaining({
          code: 'engine.unsafe',
          message: expect.stringMatching(/PidsLimit.*SecurityOpt.*AppArmor/),
        }),
      );
    } finally {
      await made.remove({ force: true, v: true });
      await docker.getVolume(sandbox.outVolume).remove();
    }
  });

  it('runs nothing on an engine that does not answer', async () => {
    const lost = createDockerExecutor({
      owner: 'prober',
      networkId: NETWORK_ID,
      socketPath: '/nonexistent/docker.sock',
      log: () => undefined,
    });
    await expect(lost.probe()).rejects.toMatchObject({ code: 'engine.unreachable' });
    await expect(lost.run(shellRun(cell, 'true'), never)).rejects.toMatchObject({
      code: 'engine.unreachable',
    });
  });
});

async function onlyFile(archive: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const entry of archive.pipe(extract())) {
    for await (const chunk of entry) text += String(chunk);
  }
  return text;
}
