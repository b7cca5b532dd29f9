import { parentPort, workerData } from 'node:worker_threads';
import { PhtError } from '../../model/error.ts';
import type { TrainImage } from '../../model/train.ts';
import { changesBetween, changesOutside, depthIn, selection } from './difference-files.ts';
import { heldBytes, type LayerIndex, type LayerIndexer, layerIndexer } from './layer-index.ts';
import { createLayerStore } from './layer-index-store.ts';
import { unsafe } from './layer-unsafe.ts';
import type { Answer, Compared, LookSetup, Question, Reply } from './look.ts';
import { overlay, sizeOf } from './overlay.ts';

/** The other end of `look.ts`: holds what is known of layers, and compares. */

const { dir, limits } = workerData as LookSetup;
const store = createLayerStore(dir);
const known = new Map<string, LayerIndex>();
const held = { entries: 0, bytes: 0 };
let indexer: LayerIndexer = layerIndexer();

parentPort?.on('message', (question: Question) => {
  answerTo(question).then(
    (answer) => say({ answer }),
    (thrown: unknown) => {
      const message = thrown instanceof Error ? thrown.message : String(thrown);
      say({ code: thrown instanceof PhtError ? thrown.code : null, message });
    },
  );
});

function say(reply: Reply): void {
  parentPort?.postMessage(reply);
}

async function answerTo(question: Question): Promise<Answer> {
  switch (question.ask) {
    case 'knows': {
      if (known.has(question.diffId)) return true;
      const index = await store.find(question.diffId);
      if (index !== null) hold(question.diffId, index);
      return index !== null;
    }
    case 'begin':
      indexer = layerIndexer();
      return null;
    case 'push':
      indexer.push(question.chunk);
      return null;
    case 'finish': {
      const index = indexer.finish();
      await store.keep(question.diffId, index);
      hold(question.diffId, index);
      return null;
    }
    case 'compare':
      return compared(question);
  }
}

function hold(diffId: string, index: LayerIndex): void {
  held.entries += sizeOf(index);
  held.bytes += heldBytes(index);
  if (held.entries > limits.entries) throw unsafe(`its layers have more than ${limits.entries} entries`);
  if (held.bytes > limits.bytes) throw unsafe(`what its layers hold fills more than ${limits.bytes} bytes`);
  known.set(diffId, index);
}

function compared({ now, base, seen }: Extract<Question, { ask: 'compare' }>): Compared {
  const layers = layersOf(now.image);
  const files = overlay(layers);
  const { take, end } = selection(depthIn(now));
  if (base === null) changesOutside(new Set(seen), layers, files, take);
  else changesBetween(overlay(layersOf(base.image)), files, take);
  return end();
}

function layersOf(image: TrainImage): { diffId: string; index: LayerIndex }[] {
  return image.layers.map(({ diffId }) => {
    const index = known.get(diffId);
    if (index === undefined) throw new PhtError('internal', 'a layer was compared before it was looked into');
    return { diffId, index };
  });
}
