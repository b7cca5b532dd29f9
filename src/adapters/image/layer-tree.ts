import type { TarEntry } from './layer-tar.ts';
import { shown, unsafe } from './layer-unsafe.ts';

/**
 * The paths of one layer as its entries come by, held to what every engine makes the same files of. Paths are relative
 * to the root, which is ''.
 */

export const ENTRIES_MAX = 200_000;
const PATH_CHARS_MAX = 4096;
const PATH_CHARS_TOTAL_MAX = 64 * 1024 * 1024;
const UNPACKED_BYTES_MAX = 8 * 1024 * 1024 * 1024;
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';

/** `link`: a hard link to a file of a layer below; one to a file of its own layer is that file once more. */
export type PathEntry =
  | { type: 'directory'; mode: number }
  | { type: 'fifo'; mode: number }
  | { type: 'symlink'; target: string }
  | { type: 'link'; target: string };

/** `removed` and `opaque`: whiteouts (OCI image-spec, layer.md). */
export type LayerPaths<File> = {
  entries: ReadonlyMap<string, File | PathEntry>;
  removed: ReadonlySet<string>;
  opaque: ReadonlySet<string>;
};

/** `entries` counts headers, whiteouts among them. */
export type LayerWhole<File> = { paths: LayerPaths<File>; entries: number; unpackedBytes: number };

/** @template File what the caller keeps of a plain file */
export type LayerTree<File extends Plain> = {
  /**
   * @returns the path of an entry of the image; null for a whiteout
   * @throws PhtError `image.unsafe` for what engines could unpack in two ways, and for a layer without measure
   */
  admit(entry: TarEntry): string | null;
  /** Once for each `file` that was admitted, before the next entry. */
  put(path: string, file: File): void;
  /** @throws PhtError `image.unsafe` */
  finish(): LayerWhole<File>;
};

type Plain = { type: 'file' };
type Growing<File> = {
  entries: Map<string, File | PathEntry>;
  removed: Set<string>;
  opaque: Set<string>;
  /** Every folder of an entry, named by itself or not. */
  folders: Set<string>;
  count: number;
  pathChars: number;
  unpackedBytes: number;
};

export function layerTree<File extends Plain>(): LayerTree<File> {
  const index: Growing<File> = {
    entries: new Map(),
    removed: new Set(),
    opaque: new Set(),
    folders: new Set(['']),
    count: 0,
    pathChars: 0,
    unpackedBytes: 0,
  };
  return {
    admit: (entry) => admit(index, entry),
    put: (path, file) => void index.entries.set(path, file),
    finish: () => {
      const { entries, removed, opaque, count, unpackedBytes } = index;
      return { paths: { entries, removed, opaque }, entries: count, unpackedBytes };
    },
  };
}

/** @returns the path of an entry of the image; null for a whiteout */
function admit<File extends Plain>(index: Growing<File>, entry: TarEntry): string | null {
  const { name, type, size } = entry;
  index.count += 1;
  index.unpackedBytes += size;
  if (index.count > ENTRIES_MAX) throw unsafe(`it has more than ${ENTRIES_MAX} entries`);
  if (index.unpackedBytes > UNPACKED_BYTES_MAX) throw unsafe('it unpacks to more than 8 GiB');
  countChars(index, name.length + entry.target.length);
  const parts = partsOf(name);
  if (type === 'file' && name.endsWith('/')) throw unsafe(`${shown(name)} is a file and a folder`);
  const last = parts.at(-1) ?? '';
  const path = parts.join('/');
  const folder = above(path);
  if (folder.startsWith(WHITEOUT) || folder.includes(`/${WHITEOUT}`))
    throw unsafe(`${shown(name)} lies in a folder that is a whiteout`);
  enterFolder(index, folder, name);
  if (last.startsWith(WHITEOUT)) {
    whiteOut(index, folder, last, entry);
    return null;
  }
  place(index, path, entry);
  return path;
}

function whiteOut(index: Growing<unknown>, folder: string, last: string, { name, type }: TarEntry): void {
  if (type !== 'file') throw unsafe(`${shown(name)} is a whiteout and no file`);
  if (last === OPAQUE) {
    index.opaque.add(folder);
    return;
  }
  const removed = last.slice(WHITEOUT.length);
  // Names of AUFS's own, which some engines act on, and `.` and `..`, which none should.
  if (removed === '' || removed === '.' || removed === '..' || removed.startsWith(WHITEOUT))
    throw unsafe(`${shown(name)} is no whiteout of a file`);
  const path = folder === '' ? removed : `${folder}/${removed}`;
  index.removed.add(path);
  if (index.entries.has(path) || index.folders.has(path)) throw addedAndRemoved(path);
}

/** Whether a whiteout hides what stands beside it depends on the order in which an engine unpacks. */
function addedAndRemoved(path: string): Error {
  return unsafe(`${shown(path)} is both added and removed`);
}

function place<File extends Plain>(index: Growing<File>, path: string, entry: TarEntry): void {
  const { type, mode, name, target } = entry;
  const before = index.entries.get(path);
  if (index.removed.has(path)) throw addedAndRemoved(path);
  if (type !== 'directory' && (path === '' || index.folders.has(path)))
    throw unsafe(`${shown(name)} is a folder and no folder`);
  if (before !== undefined && before.type !== (type === 'link' ? 'file' : type))
    throw unsafe(`${shown(name)} stands in it twice, as two kinds of thing`);
  if (type === 'directory') {
    // Until the folder is there, some engines empty what a link in its place points to.
    if (index.opaque.has(path) && before === undefined)
      throw unsafe(`${shown(name)} comes after its own whiteouts`);
    index.folders.add(path);
    if (path !== '') index.entries.set(path, { type, mode });
  } else if (type === 'fifo') index.entries.set(path, { type, mode });
  else if (type === 'symlink') index.entries.set(path, { type, target: checkedTarget(target, name) });
  else if (type === 'link') index.entries.set(path, linked(index, partsOf(target.replace(/^\/+/, '')), name));
}

/** As the name stands for at this moment: a later entry of the same name is another file. */
function linked<File extends Plain>(index: Growing<File>, parts: string[], name: string): File | PathEntry {
  const target = parts.join('/');
  if (target === '' || index.folders.has(target)) throw unsafe(`${shown(name)} is a hard link to a folder`);
  const entry = index.entries.get(target);
  if (entry !== undefined) return entry;
  for (let at = above(target); at !== ''; at = above(at)) {
    // As in `enterFolder`: a layer of such links would take minutes.
    countChars(index, at.length);
    if (index.folders.has(at)) break;
    // Some engines follow it within the image, others do not.
    if (index.entries.has(at))
      throw unsafe(`${shown(name)} is a hard link through something that is no folder`);
  }
  return { type: 'link', target };
}

function above(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0));
}

function checkedTarget(target: string, name: string): string {
  if (target === '' || target.length > PATH_CHARS_MAX) throw unsafe(`${shown(name)} is a link to nowhere`);
  return target;
}

/** No part of the way may be anything but a folder of this layer. */
function enterFolder(index: Growing<unknown>, folder: string, name: string): void {
  for (let at = folder; !index.folders.has(at); at = above(at)) {
    if (index.entries.has(at)) throw unsafe(`${shown(name)} lies behind something that is no folder`);
    // Deep names cost as much as they are long.
    countChars(index, at.length);
    if (index.removed.has(at)) throw addedAndRemoved(at);
    index.folders.add(at);
  }
}

function countChars(index: Growing<unknown>, chars: number): void {
  index.pathChars += chars;
  if (index.pathChars > PATH_CHARS_TOTAL_MAX) throw unsafe('its names are too long altogether');
}

/** Parts of a name that engines read alike. */
function partsOf(name: string): string[] {
  if (name.startsWith('/')) throw unsafe(`${shown(name)} is an absolute name`);
  if (name === '' || name.length > PATH_CHARS_MAX)
    throw unsafe('it has a name of 0 or more than 4096 characters');
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw unsafe(`${shown(name)} leaves the root`);
  return parts;
}
