import { PhtError } from '../../model/error.ts';
import { hopEntryHead } from '../../model/hop.ts';
import { verifyImageConfig } from '../../model/image-config.ts';
import type { TrainImage } from '../../model/train.ts';
import type { Depot } from '../../ports/depot.ts';
import type { Executor, ImageSource, LoadedImage } from '../../ports/executor.ts';
import type { BlobSource } from '../../ports/spool.ts';
import type { HopStore } from '../../ports/station-store.ts';
import type { Leases } from '../../ports/track.ts';
import { beforeDeadline } from './deadline.ts';
import { configBytes } from './image-config.ts';
import { type Cleared, type Loaded, type Station, stage } from './stages.ts';

/** @throws PhtError `image.unsafe` for a layer that could write outside its root, make devices, or burst */
export type CheckLayer = (chunks: AsyncIterable<Uint8Array>) => Promise<unknown>;

/**
 * The verified image into the engine. Only the config always travels; layers are fetched when the engine does not hold
 * an image of this identity yet, and each blob was hashed while it streamed in.
 */
export function createLoad(
  station: Station,
  ports: {
    hops: HopStore;
    executor: Executor;
    depot: Depot;
    blobs: BlobSource;
    leases: Leases;
    checkLayer: CheckLayer;
  },
): (cleared: Cleared, signal: AbortSignal) => Promise<Loaded> {
  return async (cleared, signal) => {
    const { hop } = cleared;
    const { image } = cleared.decided.inspected.manifest.predicate;
    const inTime = beforeDeadline(signal, cleared.deadlineAtMs - station.clock.nowMs());
    // None of these starts anything, so none has to wait for another.
    const { loaded, start } = await together(inTime, (either) => [
      intoEngine(cleared, ports, either),
      assertSandbox(ports.executor, station.acceptEngineRisks),
      ports.leases.hold(hop.hopId, hop.epoch, either),
    ]);
    // The engine has them now; what stays is only so that a related image need not travel again.
    await ports.depot.trim(station.blobCacheBytesMax, new Set([image.configDigest]));
    const moved = ports.hops.move(hop, 'loaded', {
      nowMs: station.clock.nowMs(),
      entries: [
        {
          type: 'image.verified',
          ...hopEntryHead(hop),
          body: { configDigest: image.configDigest, layers: image.layers.length },
        },
      ],
    });
    return stage<Loaded>({ cleared, hop: moved, image: loaded, ...start });
  };
}

/**
 * When one fails, the others have ended before that is thrown: whoever tries again must meet none of them.
 *
 * @returns what the first one gives
 */
async function together<T>(
  signal: AbortSignal,
  begin: (either: AbortSignal) => [Promise<T>, ...Promise<void>[]],
): Promise<T> {
  const quit = new AbortController();
  const parts = begin(AbortSignal.any([signal, quit.signal]));
  try {
    const [first] = await Promise.all(parts);
    return first;
  } catch (thrown) {
    quit.abort(thrown);
    await Promise.allSettled(parts);
    throw thrown;
  }
}

type Start = Pick<Loaded, 'entrypoint' | 'workingDir' | 'env'>;

async function intoEngine(
  cleared: Cleared,
  ports: { executor: Executor; depot: Depot; blobs: BlobSource; checkLayer: CheckLayer },
  signal: AbortSignal,
): Promise<{ loaded: LoadedImage; start: Start }> {
  const { trainId } = cleared.hop;
  const { image } = cleared.decided.inspected.manifest.predicate;
  await ports.blobs.fetch(trainId, image.configDigest, image.configBytes, signal);
  const config = await configBytes(ports.depot, image.configDigest);
  const { entrypoint, workingDir, env } = verifyImageConfig(config, image);
  const loaded = await ports.executor.load(sourceOf(image, config, trainId, ports, signal));
  return { loaded, start: { entrypoint, workingDir, env } };
}

/** Promise 9: what was not proved by effect on this engine, or is known to be weak and not accepted, runs no train. */
export async function assertSandbox(
  executor: Pick<Executor, 'probe'>,
  accepted: readonly string[],
): Promise<void> {
  const report = await executor.probe();
  const failure = report.failures[0] ?? report.risks.find(({ id }) => !accepted.includes(id));
  if (failure === undefined) return;
  throw new PhtError('engine.unsafe', `the sandbox of this station is not proved: ${failure.text}`, {
    hint: 'pht station doctor names each setting and its fix',
  });
}

function sourceOf(
  image: TrainImage,
  config: Uint8Array,
  trainId: string,
  { blobs, depot, checkLayer }: { blobs: BlobSource; depot: Depot; checkLayer: CheckLayer },
  signal: AbortSignal,
): ImageSource {
  const sizes = new Map(image.layers.map(({ diffId, bytes }) => [diffId, bytes]));
  return {
    image,
    config,
    layer: async (diffId) => {
      const bytes = sizes.get(diffId);
      if (bytes === undefined)
        throw new PhtError('image.mismatch', 'the engine asked for a layer that was not signed');
      await blobs.fetch(trainId, diffId, bytes, signal);
      // The signed digest says whose tar it is, not that an engine may safely unpack it.
      await checkLayer(depot.read(diffId, 0));
      return depot.read(diffId, 0);
    },
  };
}
