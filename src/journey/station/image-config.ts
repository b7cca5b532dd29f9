import { PhtError } from '../../model/error.ts';
import type { Depot } from '../../ports/depot.ts';
import type { BlobSource } from '../../ports/spool.ts';
import type { ReadConfig } from './approvals.ts';

const CONFIG_BYTES_MAX = 1024 * 1024;
const FETCH_MS_MAX = 15_000;

/** The config alone, which is small: no layer travels before a train is cleared. */
export function createReadConfig({ blobs, depot }: { blobs: BlobSource; depot: Depot }): ReadConfig {
  return async (trainId, image) => {
    await blobs.fetch(trainId, image.configDigest, image.configBytes, AbortSignal.timeout(FETCH_MS_MAX));
    return configBytes(depot, image.configDigest);
  };
}

/** @throws PhtError `image.mismatch`, `not-found` */
export async function configBytes(depot: Pick<Depot, 'read'>, digest: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of depot.read(digest, 0)) {
    length += chunk.byteLength;
    if (length > CONFIG_BYTES_MAX) throw new PhtError('image.mismatch', 'the image config is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
