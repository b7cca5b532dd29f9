import { hash, randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { lstat, open, readdir, readFile, rename, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { PhtError } from '../../model/error.ts';
import { parseWith, Sha256Hex } from '../../model/schema.ts';
import type { LayerEntry, LayerIndex } from './layer-index.ts';
import { ENTRIES_MAX } from './layer-tree.ts';

/**
 * What was learnt of layers, and configs of images, in one folder: `<diff id>.layer` and `<digest>.config`. All of it
 * can be learnt again from the blobs, so what is damaged is thrown away, and of too many the longest unused go.
 */

const FILES_MAX = 512;
const FILE_BYTES_MAX = 128 * 1024 * 1024;
const CONFIG_BYTES_MAX = 1024 * 1024;
const NAME = /^[0-9a-f]{64}\.(?:layer|config)$/;
const DIGEST_CHARS = 64;

const Path = z.string().min(1).max(4096);
const Mode = z.int().min(0).max(0o7777);
/** A shape for all, since there are many: kind, path, mode, size, digest or target, whether it is text, where it is. */
const StoredEntry = z.tuple([
  z.enum(['file', 'directory', 'fifo', 'symlink', 'link']),
  Path,
  Mode,
  z.int().min(0),
  z.string().max(4096),
  z.boolean(),
  z.int().min(0),
]);
const Stored = z.strictObject({
  schema: z.literal('pht-layer/v1'),
  diffId: Sha256Hex,
  // In the order of the tar.
  entries: z.array(StoredEntry).max(ENTRIES_MAX),
  removed: z.array(Path).max(ENTRIES_MAX),
  opaque: z.array(z.string().max(4096)).max(ENTRIES_MAX),
});
type StoredEntry = z.infer<typeof StoredEntry>;
type Stored = z.infer<typeof Stored>;

export type LayerStore = {
  /** null for a layer that is not known, or was not kept whole. */
  find(diffId: string): Promise<LayerIndex | null>;
  keep(diffId: string, index: LayerIndex): Promise<void>;
  findConfig(digest: string): Promise<Uint8Array | null>;
  keepConfig(digest: string, bytes: Uint8Array): Promise<void>;
};

/** @param filesMax how many are kept */
export function createLayerStore(dir: string, filesMax: number = FILES_MAX): LayerStore {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const place = (digest: string, kind: 'layer' | 'config'): string => {
    const name = `${digest}.${kind}`;
    if (!NAME.test(name)) throw new PhtError('input.malformed', 'not a SHA-256 digest in hexadecimal');
    return join(dir, name);
  };
  return {
    find: async (diffId) => {
      const path = place(diffId, 'layer');
      const bytes = await read(path, FILE_BYTES_MAX);
      const index = bytes === null ? null : decode(bytes, diffId);
      if (bytes !== null && index === null) await rm(path, { force: true });
      return index;
    },
    keep: async (diffId, index) => {
      await replace(place(diffId, 'layer'), encode(diffId, index));
      await trim(dir, filesMax);
    },
    findConfig: async (digest) => {
      const path = place(digest, 'config');
      const bytes = await read(path, CONFIG_BYTES_MAX);
      if (bytes === null || hash('sha256', bytes, 'hex') === digest) return bytes;
      await rm(path, { force: true });
      return null;
    },
    keepConfig: async (digest, bytes) => {
      await replace(place(digest, 'config'), bytes);
      await trim(dir, filesMax);
    },
  };
}

/** The digest of the rest comes first: a disk that forgets shows. */
function encode(diffId: string, { entries, removed, opaque }: LayerIndex): Buffer {
  const stored: Stored = {
    schema: 'pht-layer/v1',
    diffId,
    entries: [...entries].map(([path, entry]): StoredEntry => {
      if (entry.type === 'file') {
        const { type, mode, size, sha256, text, at } = entry;
        return [type, path, mode, size, sha256, text, at];
      }
      if (entry.type === 'symlink' || entry.type === 'link')
        return [entry.type, path, 0, 0, entry.target, false, 0];
      return [entry.type, path, entry.mode, 0, '', false, 0];
    }),
    removed: [...removed],
    opaque: [...opaque],
  };
  const body = Buffer.from(JSON.stringify(stored));
  return Buffer.concat([Buffer.from(hash('sha256', body, 'hex')), body]);
}

function decode(bytes: Buffer, diffId: string): LayerIndex | null {
  const body = bytes.subarray(DIGEST_CHARS);
  if (bytes.toString('latin1', 0, DIGEST_CHARS) !== hash('sha256', body, 'hex')) return null;
  let stored: Stored;
  try {
    stored = parseWith(Stored, body, { bytesMax: FILE_BYTES_MAX, what: 'what was learnt of a layer' });
  } catch (thrown) {
    // Of another version of this software.
    if (thrown instanceof PhtError) return null;
    throw thrown;
  }
  if (stored.diffId !== diffId) return null;
  return {
    entries: new Map(stored.entries.map((entry) => [entry[1], entryOf(entry)])),
    removed: new Set(stored.removed),
    opaque: new Set(stored.opaque),
  };
}

function entryOf([type, , mode, size, detail, text, at]: StoredEntry): LayerEntry {
  if (type === 'file') return { type, mode, size, sha256: detail, text, at };
  if (type === 'symlink' || type === 'link') return { type, target: detail };
  return { type, mode };
}

/** Whatever is used is young again. */
async function read(path: string, bytesMax: number): Promise<Buffer | null> {
  try {
    if ((await lstat(path)).size > bytesMax) return null;
    const bytes = await readFile(path);
    const now = new Date();
    await utimes(path, now, now);
    return bytes;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw thrown;
  }
}

async function replace(path: string, bytes: Uint8Array): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString('hex')}.new`;
  try {
    const file = await open(draft, 'wx', 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (thrown) {
    await rm(draft, { force: true });
    throw thrown;
  }
}

async function trim(dir: string, filesMax: number): Promise<void> {
  const names = await readdir(dir);
  // A crash in the middle of writing leaves a draft; the one writer of this folder has none under way now.
  for (const name of names) if (name.endsWith('.new')) await rm(join(dir, name), { force: true });
  const kept = names.filter((name) => NAME.test(name));
  if (kept.length <= filesMax) return;
  const aged = await Promise.all(
    kept.map(async (name) => ({ name, ms: (await lstat(join(dir, name))).mtimeMs })),
  );
  aged.sort((one, other) => one.ms - other.ms);
  for (const { name } of aged.slice(0, kept.length - filesMax)) await rm(join(dir, name), { force: true });
}
