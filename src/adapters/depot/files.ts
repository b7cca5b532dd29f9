import { createHash, type Hash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { type FileHandle, lstat, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PhtError } from '../../model/error.ts';
import { Sha256Hex } from '../../model/schema.ts';
import type { Depot } from '../../ports/depot.ts';

/**
 * Blobs in `DIR/blobs/sha256/<hex>`; what is still arriving in `DIR/partial/<hex>`. A file appears among the blobs by
 * one rename, after its digest was compared and its bytes were synced: whatever is there is whole. A crash leaves at
 * most a partial file, which is hashed again from its first byte before anything is added.
 */
const CHUNK_BYTES = 512 * 1024;

type Place = { blobs: string; partial: string; writing: Set<string> };
type Held = { bytes: number; complete: boolean };

/** Directories are made 0700, files 0600. One process at a time: the lock of the home sees to that. */
export function createDepot(directory: string): Depot {
  const place: Place = {
    blobs: join(directory, 'blobs', 'sha256'),
    partial: join(directory, 'partial'),
    writing: new Set(),
  };
  mkdirSync(place.blobs, { recursive: true, mode: 0o700 });
  mkdirSync(place.partial, { recursive: true, mode: 0o700 });
  return {
    status: (digest) => status(place, digest),
    write: (digest, bytesTotal, offset, chunks) => write(place, digest, bytesTotal, offset, chunks),
    read: (digest, offset) => read(place, digest, offset),
    trim: (bytesMax, keep) => trim(place, bytesMax, keep),
  };
}

async function status(place: Place, digest: string): Promise<Held> {
  assertDigest(digest);
  const whole = await sizeOf(join(place.blobs, digest));
  if (whole !== undefined) return { bytes: whole, complete: true };
  return { bytes: (await sizeOf(join(place.partial, digest))) ?? 0, complete: false };
}

async function write(
  place: Place,
  digest: string,
  bytesTotal: number,
  offset: number,
  chunks: AsyncIterable<Uint8Array>,
): Promise<Held> {
  assertDigest(digest);
  assertCount(bytesTotal);
  assertCount(offset);
  // A second writer would interleave; it comes back and asks where the blob stands.
  if (place.writing.has(digest)) throw new PhtError('conflict', 'this blob is being written already');
  place.writing.add(digest);
  try {
    const held = await status(place, digest);
    if (held.complete) return assertDeclared(held, bytesTotal);
    const standing = await standingAt(place, digest, held.bytes, bytesTotal);
    if (offset !== standing) {
      throw new PhtError('conflict', `this blob stands at byte ${standing}, not at ${offset}`);
    }
    return await append(place, digest, bytesTotal, offset, chunks);
  } finally {
    place.writing.delete(digest);
  }
}

/** Bytes left by a writer that declared another size are of no use. */
async function standingAt(place: Place, digest: string, bytes: number, bytesTotal: number): Promise<number> {
  if (bytes <= bytesTotal) return bytes;
  await rm(join(place.partial, digest), { force: true });
  return 0;
}

async function append(
  place: Place,
  digest: string,
  bytesTotal: number,
  offset: number,
  chunks: AsyncIterable<Uint8Array>,
): Promise<Held> {
  const path = join(place.partial, digest);
  const file = await open(path, 'a+', 0o600);
  let bytes = offset;
  try {
    const hash = createHash('sha256');
    await hashPrefix(file, hash, offset);
    // Without this, nothing at all would still wait for a stream that has no more to say.
    if (bytes < bytesTotal) {
      for await (const chunk of chunks) {
        bytes += chunk.byteLength;
        if (bytes > bytesTotal)
          throw new PhtError('input.too-large', `more than the declared ${bytesTotal} bytes`);
        hash.update(chunk);
        await file.appendFile(chunk);
      }
    }
    if (bytes < bytesTotal) return { bytes, complete: false };
    if (hash.digest('hex') !== digest) {
      await rm(path);
      throw new PhtError('image.mismatch', 'the bytes that arrived do not have the digest that was declared');
    }
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(path, join(place.blobs, digest));
  await syncDirectory(place.blobs);
  return { bytes, complete: true };
}

async function hashPrefix(file: FileHandle, hash: Hash, bytes: number): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(bytes, CHUNK_BYTES));
  for (let at = 0; at < bytes; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, bytes - at), at);
    if (bytesRead === 0) throw new PhtError('conflict', 'the partial blob became shorter while it was read');
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
}

/** Chunks of at most 512 KiB. */
async function* read(place: Place, digest: string, offset: number): AsyncGenerator<Uint8Array> {
  assertDigest(digest);
  assertCount(offset);
  const file = await open(join(place.blobs, digest), 'r').catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ENOENT') throw new PhtError('not-found', 'this blob is not here');
    throw thrown;
  });
  try {
    for (let at = offset; ; ) {
      // A fresh buffer each time: the reader may keep what it was given.
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, at);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
      at += bytesRead;
    }
  } finally {
    await file.close();
  }
}

async function trim(place: Place, bytesMax: number, keep: ReadonlySet<string>): Promise<void> {
  const held = [...(await entriesOf(place.blobs)), ...(await entriesOf(place.partial))];
  held.sort((one, other) => one.modifiedMs - other.modifiedMs);
  let total = held.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const { path, digest, bytes } of held) {
    if (total <= bytesMax) return;
    if (keep.has(digest) || place.writing.has(digest)) continue;
    await rm(path, { force: true });
    total -= bytes;
  }
}

type Entry = { path: string; digest: string; bytes: number; modifiedMs: number };

async function entriesOf(directory: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const digest of await readdir(directory)) {
    // Not ours to remove.
    if (!Sha256Hex.safeParse(digest).success) continue;
    const path = join(directory, digest);
    const { size, mtimeMs } = await lstat(path);
    entries.push({ path, digest, bytes: size, modifiedMs: mtimeMs });
  }
  return entries;
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await lstat(path)).size;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function assertDeclared(held: Held, bytesTotal: number): Held {
  if (held.bytes === bytesTotal) return held;
  throw new PhtError('image.mismatch', `the blob of this digest has ${held.bytes} bytes, not ${bytesTotal}`);
}

/** A digest becomes a file name. */
function assertDigest(digest: string): void {
  if (!Sha256Hex.safeParse(digest).success)
    throw new PhtError('input.malformed', 'not a SHA-256 digest in hexadecimal');
}

function assertCount(value: number): void {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new PhtError('input.malformed', 'not a count of bytes');
}
