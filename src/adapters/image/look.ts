import { Worker } from 'node:worker_threads';
import { type ErrorCode, PhtError } from '../../model/error.ts';
import type { ImageDifference } from '../../model/image-difference.ts';
import type { ReviewedImage } from '../../ports/image-review.ts';
import type { PathChange } from './difference-files.ts';
import { unsafe } from './layer-unsafe.ts';

/**
 * One look at images runs in a thread of its own: an image may have a million files, and what it takes to sort them,
 * and to clear away after them, would hold up the trains that run meanwhile. Its memory is bounded apart, and freed
 * with it.
 */

/** What one look holds of all layers: more would fill the memory. An image and an earlier one of a million files each fit. */
export type LookLimits = { entries: number; bytes: number; heapMiB: number };
export const LOOK_LIMITS: LookLimits = { entries: 2_000_000, bytes: 768 * 1024 * 1024, heapMiB: 2048 };

export type LookSetup = { dir: string; limits: LookLimits };

/** One at a time. `push` a whole layer between `begin` and `finish`, which keeps its index. */
export type Question =
  | { ask: 'knows'; diffId: string }
  | { ask: 'begin' }
  | { ask: 'push'; chunk: Uint8Array }
  | { ask: 'finish'; diffId: string }
  | { ask: 'compare'; now: ReviewedImage; base: ReviewedImage | null; seen: readonly string[] };
/** `shown` are the changes to be listed, `omitted` counts the others. */
export type Compared = { counts: ImageDifference['counts']; shown: PathChange[]; omitted: number };
export type Answer = boolean | Compared | null;
export type Reply = { answer: Answer } | { code: ErrorCode | null; message: string };

export type Look = {
  knows(diffId: string): Promise<boolean>;
  begin(): Promise<void>;
  push(chunk: Uint8Array): Promise<void>;
  finish(diffId: string): Promise<void>;
  compare(now: ReviewedImage, base: ReviewedImage | null, seen: ReadonlySet<string>): Promise<Compared>;
  close(): Promise<void>;
};

/** The thread starts with the first question. Each throws PhtError `image.unsafe`, also for too much. */
export function startLook(setup: LookSetup): Look {
  let thread: Worker | null = null;
  let over = false;
  const asked = async (question: Question): Promise<Answer> => {
    if (over) throw stopped();
    thread ??= startThread(setup).once('exit', () => {
      over = true;
    });
    return replyOf(thread, question);
  };
  return {
    knows: async (diffId) => (await asked({ ask: 'knows', diffId })) === true,
    begin: async () => void (await asked({ ask: 'begin' })),
    push: async (chunk) => void (await asked({ ask: 'push', chunk })),
    finish: async (diffId) => void (await asked({ ask: 'finish', diffId })),
    compare: async (now, base, all) => {
      const seen = now.image.layers.map(({ diffId }) => diffId).filter((diffId) => all.has(diffId));
      const answer = await asked({ ask: 'compare', now, base, seen });
      if (answer === null || typeof answer === 'boolean')
        throw new PhtError('internal', 'a look did not say what differs');
      return answer;
    },
    close: async () => {
      over = true;
      await thread?.terminate();
    },
  };
}

function stopped(): PhtError {
  return unsafe('whoever looked into it has stopped');
}

/** As this file itself is run: from its source, or built. */
function startThread(setup: LookSetup): Worker {
  const suffix = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new Worker(new URL(`./look-thread.${suffix}`, import.meta.url), {
    workerData: setup,
    resourceLimits: { maxOldGenerationSizeMb: setup.limits.heapMiB },
  });
}

function replyOf(thread: Worker, question: Question): Promise<Answer> {
  return new Promise<Answer>((resolve, reject) => {
    const onMessage = (reply: Reply): void => {
      quiet();
      if ('answer' in reply) resolve(reply.answer);
      else if (reply.code !== null) reject(new PhtError(reply.code, reply.message));
      else reject(new Error(reply.message));
    };
    const onError = (thrown: NodeJS.ErrnoException): void => {
      quiet();
      reject(
        thrown.code === 'ERR_WORKER_OUT_OF_MEMORY'
          ? unsafe('it takes more memory than a look may', thrown)
          : thrown,
      );
    };
    const onExit = (): void => {
      quiet();
      reject(stopped());
    };
    const quiet = (): void => {
      thread.off('message', onMessage).off('error', onError).off('exit', onExit);
    };
    thread.on('message', onMessage).on('error', onError).on('exit', onExit);
    thread.postMessage(question);
  });
}
