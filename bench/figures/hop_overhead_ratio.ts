import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT, until } from '../../scripts/demo/pht.ts';
import { connectEngine } from '../../src/adapters/executor/connect.ts';
import { identify } from '../../src/adapters/executor/identity.ts';
import { ownership } from '../../src/adapters/executor/labels.ts';
import { containerSettings } from '../../src/adapters/executor/settings.ts';
import { createFrame, type Frame } from '../../src/cli/frame.ts';
import { createOutput } from '../../src/cli/output.ts';
import { type Traveller, travel } from '../../src/cli/train-compose.ts';
import { packDirectory, readTrain } from '../../src/cli/train-pack.ts';
import { arrive } from '../../src/journey/researcher/arrive.ts';
import { follow } from '../../src/journey/researcher/follow.ts';
import { submit } from '../../src/journey/researcher/submit.ts';
import { releasedIn } from '../../src/model/account.ts';
import type { VerifiedManifest } from '../../src/model/train.ts';
import { type Figure, median, timedMs } from '../figure.ts';
import { STATION, type Stage, withStage } from '../stage.ts';

const SAMPLES = 15;
const WARM_UPS = 3;
const TRAIN = join(ROOT, 'trains/hello');
const engine = connectEngine();

/**
 * From submitting to the decrypted result at one connected station, image there, policy permitting; beside creating,
 * starting, awaiting and removing the same container with the same limits.
 */
export const figure: Figure = {
  unit: 'ratio',
  goal: 1.6,
  measure: (say) =>
    withStage((stage) => {
      const frame = silentFrame(stage.places.researcher);
      return travel(frame, {}, (traveller) => compare(stage, traveller, say));
    }),
};

async function compare(stage: Stage, traveller: Traveller, say: (line: string) => void) {
  const [hops, bares]: [number[], number[]] = [[], []];
  const options = { stop: [STATION], set: [] };
  for (let at = 0; at < WARM_UPS + SAMPLES; at++) {
    const packed = await packDirectory(traveller, TRAIN, options);
    const hopMs = await timedMs(() => hop(traveller, packed));
    await settled(stage);
    const bare = await bareContainer(stage, packed);
    const bareMs = await timedMs(bare.run);
    bare.close();
    if (at < WARM_UPS) continue;
    hops.push(hopMs);
    bares.push(bareMs);
  }
  say(`hop ${median(hops).toFixed(0)} ms, bare container ${median(bares).toFixed(0)} ms`);
  const ratios = hops.map((hopMs, at) => hopMs / (bares[at] ?? Number.NaN));
  const floorName = `the bare container, ${median(bares).toFixed(0)} ms`;
  return { value: median(hops) / median(bares), samples: ratios, floor: 1, floorName };
}

async function hop(traveller: Traveller, { trainId }: VerifiedManifest): Promise<void> {
  const { researcher, signal, retry } = traveller;
  const ports = await traveller.submitPorts();
  await submit(trainId, researcher, ports, signal);
  await follow(trainId, researcher, { client: async () => ports.client, retry }, () => undefined, signal);
  const { arrival } = await arrive(trainId, researcher, traveller.arrivePorts(), signal);
  if (releasedIn(arrival).length !== 1) throw new Error(`no result: ${JSON.stringify(arrival)}`);
}

/** What a station removes after a hop must not be paid for by the next sample. */
async function settled({ networkId }: Stage): Promise<void> {
  const { label } = ownership(networkId, STATION);
  const filters = { label: [`signalbox.owner=${label}`, 'signalbox.hop'] };
  await until('the hop to be tidied up', async () => {
    const left = await engine.listContainers({ all: true, filters });
    return left.length === 0 ? true : undefined;
  });
}

type Bare = { run(): Promise<void>; close(): void };

/** The same settings, with `/out` as memory of its own instead of a volume that somebody must hold. */
async function bareContainer({ places, networkId }: Stage, packed: VerifiedManifest): Promise<Bare> {
  const { repository } = ownership(networkId, STATION);
  const tag = `${repository}:${packed.predicate.image.configDigest.slice(0, 12)}`;
  const { Config: config } = await engine.getImage(tag).inspect();
  const folder = mkdtempSync(join(tmpdir(), 'signalbox-bench-'));
  const request = join(folder, 'request.json');
  writeFileSync(
    request,
    JSON.stringify({ train: packed.trainId, round: 1, step: 'run', dataset: 'cgd', parameters: {} }),
  );
  const identity = await identify(engine);
  const settings = containerSettings(
    {
      name: `signalbox-bench-${packed.trainId}`,
      engineId: tag,
      entrypoint: [
        ...(typeof config.Entrypoint === 'string' ? [config.Entrypoint] : (config.Entrypoint ?? [])),
      ],
      workingDir: config.WorkingDir || '/',
      env: [],
      limits: readTrain(TRAIN).file.limits,
      runAs: '65534:65534',
      files: [
        { source: request, target: '/train/request.json' },
        { source: join(places.stations[STATION], 'datasets/cgd.csv'), target: '/data/cgd/cgd.csv' },
      ],
      labels: {},
      outVolume: '',
    },
    { apparmor: identity.apparmor, cpus: identity.cpus },
  );
  const { HostConfig: host } = settings;
  host.Mounts = host.Mounts.filter(({ Type }) => Type === 'bind');
  host.Tmpfs = { ...host.Tmpfs, '/out': 'rw,noexec,nosuid,nodev,mode=0700,uid=65534,gid=65534,size=1048576' };
  return {
    async run() {
      const container = await engine.createContainer(settings);
      await container.start();
      const { StatusCode: status } = (await container.wait()) as { StatusCode: number };
      await container.remove();
      if (status !== 0) throw new Error(`the bare container ended with ${status}`);
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function silentFrame(home: string): Frame {
  const nowhere = { write: () => true };
  const output = createOutput({ json: true, stdout: nowhere, stderr: nowhere, env: {} });
  const never = new AbortController().signal;
  return createFrame({ output, env: {}, home: () => home, signal: () => never });
}
