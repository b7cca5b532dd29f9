import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { PhtError } from '../../model/error.ts';
import { type Digest, digestOf } from '../../model/id.ts';
import { fileError } from './files.ts';

/** The digest of a dataset's bytes, pinned per hop: a file that changes mid-run must show. */

const CACHE_ENTRIES_MAX = 4096;
/** A file touched so recently could change again without its times telling (the clock of a file system ticks slowly). */
const SETTLED_NS = 2_000_000_000n;

export type Snapshot = (files: readonly { name: string; path: string }[]) => Promise<Digest>;

/**
 * @returns a function that hashes (name, size, content) of all files, in name order, and reads a file again only when
 *   its inode, size or times differ
 * @throws PhtError `dataset.unreadable`, `dataset.changed` when a file changes while it is read
 */
export function createSnapshot(): Snapshot {
  const contents = new Map<string, string>();
  return async (files) => {
    const lines: [string, number, string][] = [];
    for (const { name, path } of [...files].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const { size, sha256 } = await hashFile(path, contents);
      lines.push([name, size, sha256]);
    }
    return digestOf(JSON.stringify(lines));
  };
}

async function hashFile(
  path: string,
  contents: Map<string, string>,
): Promise<{ size: number; sha256: string }> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (cause) {
    throw new PhtError('dataset.unreadable', fileError(cause, path, 'could not be read').message, { cause });
  }
  try {
    const before = await file.stat({ bigint: true });
    if (!before.isFile()) throw new PhtError('dataset.unreadable', `${path} is not a regular file`);
    const stamp = stampOf(before);
    const known = contents.get(stamp);
    if (known !== undefined) return { size: Number(before.size), sha256: known };
    const startedNs = BigInt(Date.now()) * 1_000_000n;
    const hash = createHash('sha256');
    for await (const chunk of file.createReadStream({ autoClose: false, highWaterMark: 1 << 20 }))
      hash.update(chunk);
    if (stampOf(await file.stat({ bigint: true })) !== stamp) {
      throw new PhtError('dataset.changed', `${path} changed while it was read`);
    }
    const sha256 = hash.digest('hex');
    if (contents.size >= CACHE_ENTRIES_MAX) contents.clear();
    if (startedNs - before.ctimeNs > SETTLED_NS) contents.set(stamp, sha256);
    return { size: Number(before.size), sha256 };
  } finally {
    await file.close();
  }
}

const stampOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
