import { hash, randomBytes } from 'node:crypto';
import { constants, mkdirSync } from 'node:fs';
import { type FileHandle, lstat, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PhtError } from '../../model/error.ts';
import type { LayerIndex } from './layer-index.ts';
import { readIndex, writeIndex } from './layer-index-file.ts';

/**
 * What was learnt of layers, and configs of images, in one folder: `<diff id>.layer` and `<digest>.config`. All of it
 * can be learnt again from the blobs, so what is damaged is thrown away, and of too much the longest unused goes.
 */

/** `bytes` of all files, `fileBytes` of one. */
export type Kept = { files: number; bytes: number; fileBytes: number };
const MIB = 1024 * 1024;
const KEPT_MAX: Kept = { files: 512, bytes: 2048 * MIB, fileBytes: 128 * MIB };
const CONFIG_BYTES_MAX = 1024 * 1024;
const NAME = /^[0-9a-f]{64}\.(?:layer|config)$/;

export type LayerStore = {
  /** null for a layer that is not known, or was not kept whole. */
  find(diffId: string): Promise<LayerIndex | null>;
  /** Not one that takes more than a file may. */
  keep(diffId: string, index: LayerIndex): Promise<void>;
  findConfig(digest: string): Promise<Uint8Array | null>;
  keepConfig(digest: string, bytes: Uint8Array): Promise<void>;
};

/** @param keptMax how much is kept */
export function createLayerStore(dir: string, keptMax: Kept = KEPT_MAX): LayerStore {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const place = (digest: string, kind: 'layer' | 'config'): string => {
    const name = `${digest}.${kind}`;
    if (!NAME.test(name)) throw new PhtError('input.malformed', 'not a SHA-256 digest in hexadecimal');
    return join(dir, name);
  };
  return {
    find: async (diffId) =>
      used(place(diffId, 'layer'), keptMax.fileBytes, (file) => readIndex(file, diffId)),
    keep: async (diffId, index) => {
      await replace(place(diffId, 'layer'), (file) => writeIndex(file, diffId, index, keptMax.fileBytes));
      await trim(dir, keptMax);
    },
    findConfig: async (digest) =>
      used(place(digest, 'config'), CONFIG_BYTES_MAX, async (file) => {
        const bytes = await file.readFile();
        return hash('sha256', bytes, 'hex') === digest ? bytes : null;
      }),
    keepConfig: async (digest, bytes) => {
      await replace(place(digest, 'config'), async (file) => {
        await file.writeFile(bytes);
        return true;
      });
      await trim(dir, keptMax);
    },
  };
}

/** Whatever is used is young again; what is damaged goes. */
async function used<T>(
  path: string,
  bytesMax: number,
  read: (file: FileHandle) => Promise<T | null>,
): Promise<T | null> {
  let found: T | null = null;
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stat = await file.stat();
      if (stat.isFile() && stat.size <= bytesMax) found = await read(file);
      const now = new Date();
      if (found !== null) await file.utimes(now, now);
    } finally {
      await file.close();
    }
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return null;
    if (code !== 'ELOOP') throw thrown;
  }
  if (found === null) await rm(path, { force: true, recursive: true });
  return found;
}

/** @param write says whether it has written all of it */
async function replace(path: string, write: (file: FileHandle) => Promise<boolean>): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString('hex')}.new`;
  try {
    const file = await open(draft, 'wx', 0o600);
    let whole = false;
    try {
      whole = await write(file);
      if (whole) await file.sync();
    } finally {
      await file.close();
    }
    if (whole) await rename(draft, path);
    else await rm(draft, { force: true });
  } catch (thrown) {
    await rm(draft, { force: true });
    throw thrown;
  }
}

async function trim(dir: string, keptMax: Kept): Promise<void> {
  const names = await readdir(dir);
  // A crash in the middle of writing leaves a draft; the one writer of this folder has none under way now.
  for (const name of names) if (name.endsWith('.new')) await rm(join(dir, name), { force: true });
  const kept = await Promise.all(
    names
      .filter((name) => NAME.test(name))
      .map(async (name) => {
        const { mtimeMs, size } = await lstat(join(dir, name));
        return { name, mtimeMs, size };
      }),
  );
  kept.sort((one, other) => other.mtimeMs - one.mtimeMs);
  let bytes = 0;
  for (const [at, { name, size }] of kept.entries()) {
    bytes += size;
    if (at >= keptMax.files || bytes > keptMax.bytes) await rm(join(dir, name), { force: true });
  }
}
