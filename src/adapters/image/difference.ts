import { PhtError } from '../../model/error.ts';
import { type ImageConfig, verifyImageConfig } from '../../model/image-config.ts';
import type { TrainImage } from '../../model/train.ts';
import type { Depot } from '../../ports/depot.ts';
import type { ComparedImages, ImageReview, ReviewedImage } from '../../ports/image-review.ts';
import { configChanges } from './difference-config.ts';
import { changesBetween, changesOutside, countsOf, depthIn, listed } from './difference-files.ts';
import { withSources } from './difference-sources.ts';
import { type LayerIndex, layerIndexer } from './layer-index.ts';
import { createLayerStore, type LayerStore } from './layer-index-store.ts';
import { unsafe } from './layer-unsafe.ts';
import { overlay } from './overlay.ts';

/** Of the image and of an earlier one, each as large as `overlay` takes: more would fill the memory before it is asked. */
const HELD_ENTRIES_MAX = 2_000_000;

/**
 * A factory, since a look holds all that it has read in memory and is let go of with it.
 *
 * @param dir of what was learnt; one process at a time
 * @param heldEntriesMax of all layers that one look holds
 */
export function createImageReviews(
  depot: Depot,
  dir: string,
  heldEntriesMax: number = HELD_ENTRIES_MAX,
): () => ImageReview {
  const store = createLayerStore(dir);
  return () => createReview(depot, store, heldEntriesMax);
}

type Hold = (diffId: string, index: LayerIndex) => void;

function createReview(depot: Depot, store: LayerStore, heldEntriesMax: number): ImageReview {
  const known = new Map<string, LayerIndex>();
  let held = 0;
  const hold: Hold = (diffId, index) => {
    const entries = index.entries.size + index.removed.size + index.opaque.size;
    if (held + entries > heldEntriesMax) throw unsafe(`its layers have more than ${heldEntriesMax} entries`);
    held += entries;
    known.set(diffId, index);
  };
  return {
    knows: async (diffId) => {
      if (known.has(diffId)) return true;
      const index = await store.find(diffId);
      if (index !== null) hold(diffId, index);
      return index !== null;
    },
    learn: (diffId, signal) => learn(diffId, signal, { depot, store, hold }),
    config: (image) => configOf(image, depot, store),
    compare: async (now, base, seen, signal) => {
      const layers = layersOf(now.image, known);
      const files = overlay(layers);
      const all =
        base === null
          ? changesOutside(seen, layers, files)
          : changesBetween(overlay(layersOf(base.image, known)), files);
      const depthOf = depthIn(now);
      const shown = listed(all, depthOf);
      return {
        counts: countsOf(all),
        config: configDifference(now, base),
        changes: await withSources(shown, depthOf, depot, signal),
        changesOmitted: all.length - shown.length,
      };
    },
  };
}

/** The index is kept before the last word. */
async function* learn(
  diffId: string,
  signal: AbortSignal,
  { depot, store, hold }: { depot: Depot; store: LayerStore; hold: Hold },
): AsyncGenerator<number> {
  const indexer = layerIndexer();
  for await (const chunk of depot.read(diffId, 0)) {
    signal.throwIfAborted();
    indexer.push(chunk);
    yield chunk.byteLength;
  }
  const index = indexer.finish();
  await store.keep(diffId, index);
  hold(diffId, index);
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

function layersOf(
  image: TrainImage,
  known: ReadonlyMap<string, LayerIndex>,
): { diffId: string; index: LayerIndex }[] {
  return image.layers.map(({ diffId }) => {
    const index = known.get(diffId);
    if (index === undefined) throw new PhtError('internal', 'a layer was compared before it was looked into');
    return { diffId, index };
  });
}

function configDifference(now: ReviewedImage, base: ReviewedImage | null): ComparedImages['config'] {
  if (now.config === null || (base !== null && base.config === null)) return null;
  return configChanges(base?.config ?? null, now.config);
}
