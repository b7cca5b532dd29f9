import { isUtf8 } from 'node:buffer';
import { createHash, type Hash, hash as hashOf } from 'node:crypto';
import { shown, type TarEntry, tarReader, unsafe } from './layer-index-tar.ts';

/** What one layer changes, without its content: made in one pass over its tar, kept when the tar has gone. */

export const SOURCE_BYTES_MAX: number = 64 * 1024;
export const ENTRIES_MAX = 200_000;
const PATH_CHARS_MAX = 4096;
const PATH_CHARS_TOTAL_MAX = 32 * 1024 * 1024;
const UNPACKED_BYTES_MAX = 8 * 1024 * 1024 * 1024;
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';

/** `at`: where its content stands in the tar. `text`: UTF-8 of at most 64 KiB. */
export type FileEntry = {
  type: 'file';
  mode: number;
  size: number;
  sha256: string;
  text: boolean;
  at: number;
};
/** `link`: a hard link to a file of a layer below; one to a file of its own layer is that file once more. */
export type LayerEntry =
  | FileEntry
  | { type: 'directory' | 'fifo'; mode: number }
  | { type: 'symlink' | 'link'; target: string };

/** Paths are relative to the root, which is ''. `removed` and `opaque`: whiteouts (OCI image-spec, layer.md). */
export type LayerIndex = {
  entries: ReadonlyMap<string, LayerEntry>;
  removed: ReadonlySet<string>;
  opaque: ReadonlySet<string>;
};

type Growing = {
  entries: Map<string, LayerEntry>;
  removed: Set<string>;
  opaque: Set<string>;
  /** Every folder of an entry, named by itself or not. */
  folders: Set<string>;
  count: number;
  pathChars: number;
  unpackedBytes: number;
};

/**
 * @param onBytes told of each chunk that was read
 * @throws PhtError `image.unsafe` for a tar that engines could read in two ways, and one without measure
 */
export async function indexLayer(
  chunks: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void = () => {},
): Promise<LayerIndex> {
  const index: Growing = {
    entries: new Map(),
    removed: new Set(),
    opaque: new Set(),
    folders: new Set(['']),
    count: 0,
    pathChars: 0,
    unpackedBytes: 0,
  };
  let open: { path: string; entry: TarEntry; content: Content } | null = null;
  const reader = tarReader({
    entry: (entry) => {
      const path = admit(index, entry);
      open = path === null || entry.type !== 'file' ? null : { path, entry, content: contentOf(entry.size) };
    },
    content: (bytes) => open?.content.push(bytes),
    close: () => {
      if (open === null) return;
      const { path, entry, content } = open;
      index.entries.set(path, { type: 'file', mode: entry.mode, size: entry.size, ...content.end(), at: entry.at });
    },
  });
  for await (const chunk of chunks) {
    reader.push(chunk);
    onBytes(chunk.byteLength);
  }
  reader.finish();
  for (const path of index.removed) {
    // Whether it hides what stands beside it depends on the order in which an engine unpacks.
    if (index.entries.has(path) || index.folders.has(path))
      throw unsafe(`${shown(path)} is both added and removed`);
  }
  return index;
}

/** @returns the path of an entry of the image; null for a whiteout */
function admit(index: Growing, entry: TarEntry): string | null {
  const { name, type, size } = entry;
  index.count += 1;
  index.pathChars += name.length;
  index.unpackedBytes += size;
  if (index.count > ENTRIES_MAX) throw unsafe(`it has more than ${ENTRIES_MAX} entries`);
  if (index.pathChars > PATH_CHARS_TOTAL_MAX) throw unsafe('its names are too long altogether');
  if (index.unpackedBytes > UNPACKED_BYTES_MAX) throw unsafe('it unpacks to more than 8 GiB');
  const parts = partsOf(name);
  if (type === 'file' && name.endsWith('/')) throw unsafe(`${shown(name)} is a file and a folder`);
  const last = parts.at(-1) ?? '';
  const folder = parts.slice(0, -1).join('/');
  if (parts.slice(0, -1).some((part) => part.startsWith(WHITEOUT)))
    throw unsafe(`${shown(name)} lies in a folder that is a whiteout`);
  enterFolder(index, parts.slice(0, -1), name);
  if (last.startsWith(WHITEOUT)) {
    whiteOut(index, folder, last, entry);
    return null;
  }
  const path = parts.join('/');
  place(index, path, entry);
  return path;
}

function whiteOut(index: Growing, folder: string, last: string, { name, type }: TarEntry): void {
  if (type !== 'file') throw unsafe(`${shown(name)} is a whiteout and no file`);
  if (last === OPAQUE) {
    index.opaque.add(folder);
    return;
  }
  const removed = last.slice(WHITEOUT.length);
  // Names of AUFS's own, which some engines act on, and `.` and `..`, which none should.
  if (removed === '' || removed === '.' || removed === '..' || removed.startsWith(WHITEOUT))
    throw unsafe(`${shown(name)} is no whiteout of a file`);
  index.removed.add(folder === '' ? removed : `${folder}/${removed}`);
}

function place(index: Growing, path: string, entry: TarEntry): void {
  const { type, mode, name, target } = entry;
  const before = index.entries.get(path);
  if (type !== 'directory' && (path === '' || index.folders.has(path)))
    throw unsafe(`${shown(name)} is a folder and no folder`);
  if (before !== undefined && before.type !== (type === 'link' ? 'file' : type))
    throw unsafe(`${shown(name)} stands in it twice, as two kinds of thing`);
  if (type === 'directory') {
    index.folders.add(path);
    if (path !== '') index.entries.set(path, { type, mode });
  } else if (type === 'fifo') index.entries.set(path, { type, mode });
  else if (type === 'symlink') index.entries.set(path, { type, target: checkedTarget(target, name) });
  else if (type === 'link') index.entries.set(path, linked(index, partsOf(target.replace(/^\/+/, '')).join('/'), name));
}

/** As the name stands for at this moment: a later entry of the same name is another file. */
function linked(index: Growing, target: string, name: string): LayerEntry {
  const entry = index.entries.get(target);
  if (target === '' || index.folders.has(target)) throw unsafe(`${shown(name)} is a hard link to a folder`);
  return entry ?? { type: 'link', target };
}

function checkedTarget(target: string, name: string): string {
  if (target === '' || target.length > PATH_CHARS_MAX) throw unsafe(`${shown(name)} is a link to nowhere`);
  return target;
}

/** No part of the way may be anything but a folder of this layer. */
function enterFolder(index: Growing, parts: readonly string[], name: string): void {
  for (let length = parts.length; length > 0; length--) {
    const folder = parts.slice(0, length).join('/');
    if (index.folders.has(folder)) return;
    if (index.entries.has(folder)) throw unsafe(`${shown(name)} lies behind something that is no folder`);
    index.folders.add(folder);
  }
}

/** Parts of a name that engines read alike. */
function partsOf(name: string): string[] {
  if (name.startsWith('/')) throw unsafe(`${shown(name)} is an absolute name`);
  if (name === '' || name.length > PATH_CHARS_MAX) throw unsafe('it has a name of 0 or more than 4096 characters');
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw unsafe(`${shown(name)} leaves the root`);
  return parts;
}

type Content = { push(bytes: Buffer): void; end(): { sha256: string; text: boolean } };

/** Small files are gathered, since whether they are text shows only in the whole. */
function contentOf(size: number): Content {
  if (size > SOURCE_BYTES_MAX) {
    const hash: Hash = createHash('sha256');
    return {
      push: (bytes) => void hash.update(bytes),
      end: () => ({ sha256: hash.digest('hex'), text: false }),
    };
  }
  const parts: Buffer[] = [];
  return {
    push: (bytes) => void parts.push(bytes),
    end: () => {
      const bytes = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
      return { sha256: hashOf('sha256', bytes, 'hex'), text: isText(bytes) };
    },
  };
}

export function isText(bytes: Buffer): boolean {
  return !bytes.includes(0) && isUtf8(bytes);
}
