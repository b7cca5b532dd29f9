import type { BlobSource } from '../../ports/spool.ts';

/**
 * Whoever asks for a blob that somebody else is fetching already waits for that, and asks again: a depot takes one
 * writer at a time, and a blob need not travel twice.
 */
export function sharedFetches(blobs: BlobSource): BlobSource {
  const underWay = new Map<string, Promise<void>>();
  return {
    fetch: async (trainId, digest, bytesTotal, signal) => {
      for (let other = underWay.get(digest); other !== undefined; other = underWay.get(digest)) {
        await endOf(other, signal);
      }
      const own = blobs.fetch(trainId, digest, bytesTotal, signal);
      underWay.set(digest, own);
      try {
        await own;
      } finally {
        underWay.delete(digest);
      }
    },
  };
}

/** However it ends: its signal and its train may be others than ours. */
async function endOf(fetch: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let aborted = (): void => {};
  const quit = new Promise<void>((resolve) => {
    aborted = resolve;
    signal.addEventListener('abort', aborted, { once: true });
  });
  await Promise.race([fetch.catch(() => undefined), quit]);
  signal.removeEventListener('abort', aborted);
  signal.throwIfAborted();
}
