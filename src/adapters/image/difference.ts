import { PhtError } from '../../model/error.ts';
import { type ImageConfig, verifyImageConfig } from '../../model/image-config.ts';
import type { TrainImage } from '../../model/train.ts';
import type { Depot } from '../../ports/depot.ts';
import type { ComparedImages, ImageReview, ReviewedImage } from '../../ports/image-review.ts';
import { configChanges } from './difference-config.ts';
import { depthIn } from './difference-files.ts';
import { withSources } from './difference-sources.ts';
import { createLayerStore, type LayerStore } from './layer-index-store.ts';
import { LOOK_LIMITS, type Look, type LookLimits, startLook } from './look.ts';

/**
 * A factory, since a look holds all that it has read in memory until it is closed.
 *
 * @param dir of what was learnt; one process at a time, and in it one look
 */
export function createImageReviews(
  depot: Depot,
  dir: string,
  limits: LookLimits = LOOK_LIMITS,
): () => ImageReview {
  const store = createLayerStore(dir);
  return () => createReview(depot, store, startLook({ dir, limits }));
}

function createReview(depot: Depot, store: LayerStore, look: Look): ImageReview {
  return {
    knows: look.knows,
    learn: (diffId, signal) => learn(diffId, signal, depot, look),
    config: (image) => configOf(image, depot, store),
    compare: async (now, base, seen, signal) => {
      const { counts, shown, omitted } = await unlessAborted(look, signal, () =>
        look.compare(now, base, seen),
      );
      return {
        counts,
        config: configDifference(now, base),
        changes: await withSources(shown, depthIn(now), depot, signal),
        changesOmitted: omitted,
      };
    },
    close: look.close,
  };
}

/** The index is kept before the last word. */
/** Of a comparison under way nothing is left once nobody waits for it. */
async function unlessAborted<T>(look: Look, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const stop = (): void => void look.close();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await work();
  } catch (thrown) {
    signal.throwIfAborted();
    throw thrown;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

async function* learn(diffId: string, signal: AbortSignal, depot: Depot, look: Look): AsyncGenerator<number> {
  await look.begin();
  for await (const chunk of depot.read(diffId, 0)) {
    signal.throwIfAborted();
    await look.push(chunk);
    yield chunk.byteLength;
  }
  await look.finish(diffId);
}

async function configOf(image: TrainImage, depot: Depot, store: LayerStore): Promise<ImageConfig | null> {
  const kept = await store.findConfig(image.configDigest);
  if (kept !== null) return verifyImageConfig(kept, image);
  if (!(await depot.status(image.configDigest)).complete) return null;
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of depot.read(image.configDigest, 0)) {
    length += chunk.byteLength;
    if (length > image.configBytes) throw new PhtError('image.mismatch', 'the image config is too large');
    parts.push(chunk);
  }
  const bytes = Buffer.concat(parts);
  const config = verifyImageConfig(bytes, image);
  await store.keepConfig(image.configDigest, bytes);
  return config;
}

function configDifference(now: ReviewedImage, base: ReviewedImage | null): ComparedImages['config'] {
  if (now.config === null || (base !== null && base.config === null)) return null;
  return configChanges(base?.config ?? null, now.config);
}
