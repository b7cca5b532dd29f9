import { createHash, randomBytes } from 'node:crypto';
import { open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { PhtError } from '../../model/error.ts';
import { layerCheck } from './layer-check.ts';

const LAYER_BYTES_MAX = 8 * 1024 * 1024 * 1024;
/** Tar archives of programs shrink to a quarter; what grows a hundredfold was made to. */
const RATIO_MAX = 100;
/** Small archives are mostly padding and may shrink further. */
const RATIO_FREE_BYTES = 4 * 1024 * 1024;

export type StoredBlob = { digest: string; bytes: number };

/**
 * Stores one layer as an uncompressed tar under its digest, checking it on its way. The file is complete or absent: it
 * is written under another name, synced and renamed.
 *
 * @throws PhtError `image.unsafe`, `input.too-large`
 */
export async function storeLayer(directory: string, content: AsyncIterable<Uint8Array>): Promise<StoredBlob> {
  const temporary = join(directory, `.incoming-${randomBytes(8).toString('hex')}`);
  const file = await open(temporary, 'wx', 0o600);
  const check = layerCheck();
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of uncompressed(content)) {
      bytes += chunk.byteLength;
      if (bytes > LAYER_BYTES_MAX)
        throw new PhtError('input.too-large', 'a layer of the image has more than 8 GiB');
      hash.update(chunk);
      check.push(chunk);
      await file.writeFile(chunk);
    }
    check.finish();
    await file.sync();
    await file.close();
    const digest = hash.digest('hex');
    await rename(temporary, join(directory, digest));
    return { digest, bytes };
  } catch (thrown) {
    await file.close().catch(() => undefined); // closed already, or the disk that failed is the reason thrown
    await rm(temporary, { force: true });
    throw thrown;
  }
}

/** Stores bytes that are at hand under their digest. */
export async function storeBytes(directory: string, bytes: Uint8Array): Promise<StoredBlob> {
  const digest = createHash('sha256').update(bytes).digest('hex');
  const path = join(directory, digest);
  const there = await stat(path).catch(() => undefined);
  if (there?.size === bytes.byteLength) return { digest, bytes: bytes.byteLength };
  const temporary = join(directory, `.incoming-${randomBytes(8).toString('hex')}`);
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  return { digest, bytes: bytes.byteLength };
}

/** Makes the renames above last. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** By the first bytes: gzip is opened within its ratio, zstd refused, all else is taken for tar, which is checked. */
async function* uncompressed(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks = content[Symbol.asyncIterator]();
  const head = await chunks.next();
  const rest: AsyncIterable<Uint8Array> = {
    async *[Symbol.asyncIterator]() {
      if (head.done !== true) yield head.value;
      for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value;
    },
  };
  const [first, second] = head.done === true ? [] : head.value;
  if (first === 0x28 && second === 0xb5) {
    throw new PhtError(
      'image.unsafe',
      'a layer of the image is compressed with zstd; build it with gzip or uncompressed',
    );
  }
  if (first === 0x1f && second === 0x8b) yield* gunzipped(rest);
  else yield* rest;
}

async function* gunzipped(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  let packed = 0;
  let unpacked = 0;
  const feeding = (async () => {
    for await (const chunk of content) {
      packed += chunk.byteLength;
      if (!gunzip.write(chunk))
        await new Promise((resolve) => gunzip.once('drain', resolve).once('close', resolve));
      if (gunzip.destroyed) return;
    }
    gunzip.end();
  })();
  feeding.catch((thrown: Error) => gunzip.destroy(thrown));
  try {
    for await (const chunk of gunzip) {
      unpacked += chunk.byteLength;
      if (unpacked > RATIO_FREE_BYTES && unpacked > packed * RATIO_MAX) {
        throw new PhtError(
          'image.unsafe',
          'a layer of the image unpacks to more than a hundred times its size',
        );
      }
      yield chunk;
    }
  } catch (thrown) {
    if (thrown instanceof PhtError) throw thrown;
    throw new PhtError('image.unsafe', 'a layer of the image is not sound gzip', { cause: thrown });
  } finally {
    gunzip.destroy();
  }
}
