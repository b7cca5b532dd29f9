import { setTimeout as sleep } from 'node:timers/promises';
import { parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { isSealed } from '../../model/hop.ts';
import {
  basesFor,
  type ClearedAs,
  type ClearedImage,
  type ImageDifference,
  layersShared,
} from '../../model/image-difference.ts';
import { readStatement } from '../../model/statement.ts';
import { Manifest, type TrainImage } from '../../model/train.ts';
import type { Depot } from '../../ports/depot.ts';
import type { ClearedImages, ImageReview } from '../../ports/image-review.ts';
import type { BlobSource } from '../../ports/spool.ts';
import type { ClearanceStore, HopRecord } from '../../ports/station-store.ts';
import type { Station } from './stages.ts';

/**
 * What is in a waiting train's image and was not in the last one that was approved here. What is not here yet is fetched
 * in the same way as for a run, which then finds it. Only what a person looks at is looked into: the files of earlier
 * images are known from their own look, or are read from blobs that are still here; no run waits for any of it.
 */

export type DifferencePorts = {
  clearances: Pick<ClearanceStore, 'statement'>;
  clearedImages: ClearedImages;
  depot: Depot;
  blobs: BlobSource;
  review: () => ImageReview;
  connected: () => boolean;
};

/** `doneBytes` of `totalBytes` so far; the last word has the difference, a canonical document in UTF-8. */
export type DifferencePart = { doneBytes: bigint; totalBytes: bigint; difference?: Uint8Array };
export type Difference = (hop: HopRecord, signal: AbortSignal) => AsyncGenerator<DifferencePart>;

const HOPS_LOOKED_BACK = 1000;
const BASES_TRIED = 20;
const TOLD_EVERY_BYTES = 16 * 1024 * 1024;
const LOOK_EVERY_MS = 250;

type Progress = { done: number; total: number; told: number };
type Looking = { review: ImageReview; progress: Progress; hop: HopRecord; signal: AbortSignal };

/** One at a time: a look may hold hundreds of thousands of files in memory. */
export function createDifference(
  station: Pick<Station, 'blobCacheBytesMax' | 'lists'>,
  ports: DifferencePorts,
): Difference {
  let last: Promise<void> = Promise.resolve();
  return async function* (hop, signal) {
    const before = last;
    let over = (): void => {};
    last = new Promise((resolve) => {
      over = resolve;
    });
    try {
      await before;
      signal.throwIfAborted();
      yield* differenceOf(hop, signal, station, ports);
    } finally {
      over();
    }
  };
}

async function* differenceOf(
  hop: HopRecord,
  signal: AbortSignal,
  station: Pick<Station, 'blobCacheBytesMax' | 'lists'>,
  ports: DifferencePorts,
): AsyncGenerator<DifferencePart> {
  if (hop.manifest.byteLength === 0)
    throw new PhtError('not-found', 'what this hop was about was erased, or lost with a backup');
  const { image, issuer } = manifestIn(hop.manifest);
  const cleared = clearedBefore(hop, station, ports);
  const images = new Map(cleared.toReversed().map((each) => [each.image.configDigest, each]));
  const same = images.get(image.configDigest);
  images.delete(image.configDigest);
  if (same !== undefined) {
    const nothing = { counts: NOTHING, config: [], changes: [], changesOmitted: 0 };
    const base = clearedAs(same, image.layers.length);
    yield ended({ ...head(image, images.size), compared: 'same-image', base, ...nothing });
    return;
  }
  const progress = { done: 0, total: 0, told: 0 };
  const looking: Looking = { review: ports.review(), progress, hop, signal };
  try {
    yield* compared(image, issuer, { cleared, images }, looking, station, ports);
  } finally {
    await looking.review.close();
  }
}

/** @param known what was approved here, and each image of it once, but this one */
async function* compared(
  image: TrainImage,
  issuer: string,
  known: { cleared: readonly ClearedImage[]; images: ReadonlyMap<string, ClearedImage> },
  looking: Looking,
  station: Pick<Station, 'blobCacheBytesMax'>,
  ports: DifferencePorts,
): AsyncGenerator<DifferencePart> {
  const { progress, signal } = looking;
  const { cleared, images } = known;
  yield* lookInto(image, looking, station, ports);
  const now = { image, config: await looking.review.config(image) };
  const candidates = basesFor(image, issuer, [...images.values()]);
  for (const { cleared: base } of candidates.slice(0, BASES_TRIED)) {
    try {
      if (!(await isHere(base.image, looking.review, ports.depot))) continue;
      yield* lookInto(base.image, looking, station, ports);
      const earlier = { image: base.image, config: await looking.review.config(base.image) };
      const changes = await looking.review.compare(now, earlier, new Set(), signal);
      const as = clearedAs(base, layersShared(image, base.image));
      yield ended({ ...head(image, images.size), compared: 'with-base', base: as, ...changes }, progress);
      return;
    } catch (thrown) {
      // Whether the fault is the base's shows when the image is looked at by itself.
      if (!(thrown instanceof PhtError) || thrown.code !== 'image.unsafe') throw thrown;
    }
  }
  const seen = new Set(cleared.flatMap((each) => each.image.layers.map(({ diffId }) => diffId)));
  const changes = await looking.review.compare(now, null, seen, signal);
  yield ended({ ...head(image, images.size), compared: 'new-layers', base: null, ...changes }, progress);
}

const NOTHING = { added: 0, changed: 0, removed: 0, mode: 0 };

function head(image: TrainImage, clearedImages: number) {
  return {
    schema: 'pht-image-difference/v1' as const,
    image: image.configDigest,
    clearedImages,
    layers: image.layers.length,
  };
}

function ended(
  difference: ImageDifference,
  { total }: Pick<Progress, 'total'> = { total: 0 },
): DifferencePart {
  const bytes = BigInt(total);
  return {
    doneBytes: bytes,
    totalBytes: bytes,
    difference: new TextEncoder().encode(JSON.stringify(difference)),
  };
}

function clearedAs(cleared: ClearedImage, shared: number): ClearedAs {
  const { hopId, trainId, researcher, title, clearedAtMs, by } = cleared;
  const image = cleared.image.configDigest;
  return { image, hopId, trainId, researcher, title, clearedAtMs, by, layersShared: shared };
}

/** It was verified when it came, and whose it is stands in the case that is shown beside this. */
function manifestIn(envelope: Uint8Array): Manifest {
  return readStatement('manifest', Manifest, payloadOf(parseEnvelope(envelope, 'manifest'))).predicate;
}

/** Newest first, without this hop and all after it, and without what a person took back. */
function clearedBefore(
  hop: HopRecord,
  station: Pick<Station, 'lists'>,
  ports: DifferencePorts,
): ClearedImage[] {
  const isWithdrawn = (digest: string): boolean =>
    (ports.clearances.statement(digest)?.withdrawal ?? null) !== null;
  const listed = Object.values(station.lists().images).flat();
  return ports.clearedImages.list(HOPS_LOOKED_BACK, listed).filter(({ hopId, clearedAtMs, clearances }) => {
    const isBefore = clearedAtMs <= (hop.notes.clearedAtMs ?? clearedAtMs);
    return hopId !== hop.hopId && isBefore && !clearances.some(isWithdrawn);
  });
}

async function isHere(image: TrainImage, review: ImageReview, depot: Depot): Promise<boolean> {
  for (const { diffId } of image.layers) {
    if (!(await review.knows(diffId)) && !(await depot.status(diffId)).complete) return false;
  }
  return true;
}

async function* lookInto(
  image: TrainImage,
  looking: Looking,
  station: Pick<Station, 'blobCacheBytesMax'>,
  ports: DifferencePorts,
): AsyncGenerator<DifferencePart> {
  const { review, progress, signal } = looking;
  const unknown = new Map<string, number>();
  for (const { diffId, bytes } of image.layers) {
    if (!(await review.knows(diffId))) unknown.set(diffId, bytes);
  }
  const wanted = [...unknown];
  progress.total += wanted.reduce((sum, [, bytes]) => sum + bytes, 0);
  yield told(progress);
  if ((await review.config(image)) === null)
    yield* fetched(image.configDigest, image.configBytes, 0, looking, ports);
  for (const [diffId, bytes] of wanted) {
    // What has to be fetched first is half of the way.
    const isFetched = !(await ports.depot.status(diffId)).complete;
    if (isFetched) yield* fetched(diffId, bytes, 0.5, looking, ports);
    for await (const read of review.learn(diffId, signal)) {
      progress.done += isFetched ? read / 2 : read;
      if (progress.done - progress.told >= TOLD_EVERY_BYTES) yield told(progress);
    }
    // As after a run: disk for images is bounded, and the newest stay.
    await ports.depot.trim(station.blobCacheBytesMax, new Set([image.configDigest, diffId]));
  }
}

/** @throws PhtError `conflict` for a hop that has ended, `unreachable` and what fetching for a run throws */
async function* fetched(
  digest: string,
  bytes: number,
  share: number,
  { hop, progress, signal }: Looking,
  { blobs, depot, connected }: DifferencePorts,
): AsyncGenerator<DifferencePart> {
  if (isSealed(hop.state)) {
    throw new PhtError(
      'conflict',
      'the train has left: parts of its image are not here, and nobody hands them out',
    );
  }
  if (!connected()) throw unfetched('unreachable', 'the station has no connection to its dispatcher');
  const from = progress.done;
  const fetching = blobs.fetch(hop.trainId, digest, bytes, signal);
  const arrived = fetching.then(() => true);
  while (!(await Promise.race([arrived.catch(refused), sleep(LOOK_EVERY_MS, false)]))) {
    progress.done = from + (await depot.status(digest)).bytes * share;
    yield told(progress);
  }
  progress.done = from + bytes * share;
}

function refused(thrown: unknown): never {
  throw thrown instanceof PhtError ? unfetched(thrown.code, thrown.message, thrown) : thrown;
}

function unfetched(code: PhtError['code'], why: string, cause?: unknown): PhtError {
  return new PhtError(code, `parts of the image are not here and cannot be fetched: ${why}`, {
    cause,
    hint: 'look again when the station is connected; --no-difference shows the rest now',
  });
}

function told(progress: Progress): DifferencePart {
  progress.told = progress.done;
  return { doneBytes: BigInt(Math.floor(progress.done)), totalBytes: BigInt(progress.total) };
}
