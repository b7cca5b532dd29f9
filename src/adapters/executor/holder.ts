import type Docker from 'dockerode';
import { PhtError } from '../../model/error.ts';
import { bounded } from './connect.ts';
import { type Engine, removeContainer, removeVolume } from './engine.ts';
import { createHandOut, type HandOut } from './hand-out.ts';
import { freshName, OWNER_LABEL, PREPARED_LABEL } from './labels.ts';
import { assertSettings } from './readback.ts';
import { containerSettings, outVolumeOptions } from './settings.ts';

const MIB = 1024 * 1024;
const SIZE_CLASSES_BYTES = [MIB, 4 * MIB, 16 * MIB];

/**
 * A volume of fixed size in memory and the running container that keeps it mounted: a tmpfs volume is emptied when the
 * last *running* container that has it ends, so without a holder the result would be gone with the train.
 */
export type Holder = {
  volume: string;
  container: Docker.Container;
  bytes: number;
  runAs: string;
  /** Resolves once the container holds the volume. */
  running: Promise<HandOut>;
};

export function sizeClassBytes(outputBytesMax: number): number {
  const fitting = SIZE_CLASSES_BYTES.find((bytes) => bytes >= outputBytesMax);
  if (fitting === undefined)
    throw new PhtError('usage.invalid', `no output of ${outputBytesMax} bytes can be kept`);
  return fitting;
}

/** The volume exists when this resolves; `running` resolves when the container holds it. */
export async function createHolder(engine: Engine, bytes: number, runAs: string): Promise<Holder> {
  const { docker, ownership } = engine;
  const name = freshName(ownership, 'out');
  const labels = { [OWNER_LABEL]: ownership.label, [PREPARED_LABEL]: '1' };
  const DriverOpts = outVolumeOptions(bytes, runAs);
  await bounded('make a volume', (abortSignal) =>
    docker.createVolume({ Name: name, Driver: 'local', DriverOpts, Labels: labels, abortSignal }),
  );
  const made = await bounded('describe a volume', (abortSignal) =>
    docker.getVolume(name).inspect({ abortSignal }),
  );
  if (
    made.Driver !== 'local' ||
    made.Options?.['o'] !== DriverOpts['o'] ||
    made.Options?.['type'] !== 'tmpfs'
  ) {
    await removeVolume(docker, name);
    throw new PhtError(
      'engine.unsafe',
      'the container engine made a volume without the size limit that was asked for',
    );
  }
  const container = docker.getContainer(name);
  const running = startHolder(engine, name, runAs);
  running.catch(() => undefined); // whoever took the holder awaits it; until then it is nobody's failure
  return { volume: name, container, bytes, runAs, running };
}

async function startHolder(engine: Engine, name: string, runAs: string): Promise<HandOut> {
  const closed = containerSettings(
    {
      name,
      engineId: engine.cell.engineId,
      entrypoint: ['/cell', 'hold'],
      workingDir: '/',
      env: [],
      limits: {
        memoryBytesMax: 16 * MIB,
        cpuMillis: 100,
        pidsMax: 8,
        wallMsMax: 0,
        outputBytesMax: 0,
        scratchBytesMax: MIB,
      },
      runAs,
      files: [],
      labels: { [OWNER_LABEL]: engine.ownership.label, [PREPARED_LABEL]: '1' },
      outVolume: name,
    },
    engine.traits,
  );
  // Asked through its standard input; nothing else of ours or anybody's has one.
  const wanted = { ...closed, OpenStdin: true, AttachStdin: true };
  const container = await bounded('make a container', (abortSignal) =>
    engine.docker.createContainer({ ...wanted, abortSignal }),
  );
  const inspected = await bounded('describe a container', (abortSignal) =>
    container.inspect({ abortSignal }),
  );
  assertSettings(wanted, inspected, [], engine.traits.apparmor);
  const stream = await bounded('connect to a container', (abortSignal) =>
    container.attach({ stream: true, stdin: true, stdout: true, hijack: true, abortSignal }),
  );
  const handOut = createHandOut(stream);
  await bounded('start a container', (abortSignal) => container.start({ abortSignal }));
  return handOut;
}

export async function removeHolder(engine: Engine, holder: Holder): Promise<void> {
  await holder.running.catch(() => undefined); // a start that failed leaves the same two things to remove
  await removeContainer(engine.docker, holder.volume);
  await removeVolume(engine.docker, holder.volume);
}

export type HolderPool = {
  /** The prepared one where it fits, else a fresh one. */
  take(outputBytesMax: number, runAs: string): Promise<Holder>;
  /** Makes one ready for a run like the last, so that the next train need not wait for it. */
  prepare(outputBytesMax: number, runAs: string): void;
  /** Volumes in use or ready, by name. */
  known(): ReadonlySet<string>;
  giveBack(holder: Holder): Promise<void>;
  drain(): Promise<void>;
};

export function holderPool(engine: Engine): HolderPool {
  let prepared: { bytes: number; runAs: string; holder: Promise<Holder> } | undefined;
  const live = new Set<string>();
  const make = async (bytes: number, runAs: string): Promise<Holder> => {
    const holder = await createHolder(engine, bytes, runAs);
    live.add(holder.volume);
    return holder;
  };
  const giveBack = async (holder: Holder): Promise<void> => {
    await removeHolder(engine, holder);
    live.delete(holder.volume);
  };
  const drop = async (holder: Promise<Holder>): Promise<void> => {
    const made = await holder.catch(() => undefined); // what was never made needs no removing
    if (made !== undefined) await giveBack(made);
  };
  return {
    async take(outputBytesMax, runAs): Promise<Holder> {
      const bytes = sizeClassBytes(outputBytesMax);
      const ready = prepared;
      if (ready === undefined || ready.bytes !== bytes || ready.runAs !== runAs) return make(bytes, runAs);
      prepared = undefined;
      const holder = await ready.holder.catch(() => undefined); // preparing was a favour: try again aloud
      return holder !== undefined && (await isHeld(holder)) ? holder : replace(holder, bytes, runAs);
    },
    prepare(outputBytesMax, runAs): void {
      const bytes = sizeClassBytes(outputBytesMax);
      if (prepared?.bytes === bytes && prepared.runAs === runAs) return;
      const old = prepared?.holder;
      if (old !== undefined) engine.background.start('remove a prepared volume', () => drop(old));
      const holder = make(bytes, runAs);
      prepared = { bytes, runAs, holder };
      engine.background.start('prepare a volume', async () => void (await (await holder).running));
    },
    known: () => live,
    giveBack,
    async drain(): Promise<void> {
      const old = prepared?.holder;
      prepared = undefined;
      if (old !== undefined) await drop(old);
    },
  };

  async function replace(old: Holder | undefined, bytes: number, runAs: string): Promise<Holder> {
    if (old !== undefined) engine.background.start('remove a prepared volume', () => giveBack(old));
    return make(bytes, runAs);
  }
}

/** A prepared holder may have been ended since, by an engine's restart or by somebody tidying up. */
async function isHeld(holder: Holder): Promise<boolean> {
  try {
    return !(await holder.running).isOver();
  } catch {
    return false; // whatever is wrong with it, a fresh one says so again
  }
}
