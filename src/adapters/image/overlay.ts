import type { FileEntry, LayerEntry, LayerIndex } from './layer-index.ts';
import { shown, unsafe } from './layer-unsafe.ts';

/** The files of an image: its layers one above the other, with their whiteouts (OCI image-spec, layer.md). */

/** `layer`: the diff id of the layer that brought it, in whose tar its content stands. */
export type ImageEntry =
  | (FileEntry & { layer: string })
  | { type: 'directory'; mode: number | null; layer: string }
  | { type: 'fifo'; mode: number; layer: string }
  | { type: 'symlink'; target: string; layer: string };

const ENTRIES_MAX = 1_000_000;

/** Most places are files, and a map for each of a million takes as much memory as all else. */
type Place = { entry: ImageEntry; children: Map<string, Place> | null };

/**
 * @param layers from the bottom up
 * @returns all that is in the image by its path without a leading slash; a folder that no layer names has no mode
 * @throws PhtError `image.unsafe` where engines would make different files of the same layers
 */
export function overlay(
  layers: readonly { diffId: string; index: LayerIndex }[],
): ReadonlyMap<string, ImageEntry> {
  const total = layers.reduce((sum, { index }) => sum + sizeOf(index), 0);
  if (total > ENTRIES_MAX) throw unsafe(`the image has more than ${ENTRIES_MAX} entries`);
  const root: Place = folder('');
  for (const { diffId, index } of layers) {
    // Hard links mean the files below as they were before this layer.
    const linked = resolveLinks(root, index);
    for (const path of index.opaque) {
      // The new folder takes the place of whatever it was, and then all of that is hidden anyway.
      if (index.entries.get(path)?.type !== 'directory') empty(folderAt(root, path));
      else empty(placeAt(root, path));
    }
    for (const path of index.removed) {
      const { above, name } = split(path);
      folderAt(root, above)?.children?.delete(name);
    }
    for (const [path, entry] of index.entries) {
      put(root, path, linked.get(path) ?? entryIn(entry, diffId, path));
    }
  }
  return flattened(root);
}

/** How many paths a layer speaks of. */
export function sizeOf({ entries, removed, opaque }: LayerIndex): number {
  return entries.size + removed.size + opaque.size;
}

function empty(place: Place | undefined): void {
  if (place !== undefined) place.children = null;
}

function folder(layer: string): Place {
  return { entry: { type: 'directory', mode: null, layer }, children: null };
}

function resolveLinks(root: Place, { entries }: LayerIndex): ReadonlyMap<string, ImageEntry> {
  const linked = new Map<string, ImageEntry>();
  for (const [path, entry] of entries) {
    if (entry.type !== 'link') continue;
    const found = placeAt(root, entry.target)?.entry;
    if (found === undefined || found.type === 'directory')
      throw unsafe(`${shown(path)} is a hard link to something that is not there`);
    linked.set(path, found);
  }
  return linked;
}

function entryIn(entry: LayerEntry, layer: string, path: string): ImageEntry {
  if (entry.type === 'link') throw unsafe(`${shown(path)} is a hard link to something that is not there`);
  return { ...entry, layer };
}

function split(path: string): { above: string; name: string } {
  const at = path.lastIndexOf('/');
  return { above: path.slice(0, Math.max(at, 0)), name: path.slice(at + 1) };
}

/** @throws PhtError `image.unsafe` where the way leads through a link of a layer below: some engines follow it */
function placeAt(root: Place, path: string): Place | undefined {
  let place: Place | undefined = root;
  if (path === '') return place;
  for (const name of path.split('/')) {
    if (place.entry.type !== 'directory') throw behind(path);
    place = place.children?.get(name);
    if (place === undefined) return undefined;
  }
  return place;
}

function folderAt(root: Place, path: string): Place | undefined {
  const place = placeAt(root, path);
  if (place !== undefined && place.entry.type !== 'directory') throw behind(path);
  return place;
}

function put(root: Place, path: string, entry: ImageEntry): void {
  const parts = path.split('/');
  const name = parts.pop() ?? '';
  let place = root;
  for (const part of parts) {
    let next = place.children?.get(part);
    if (next === undefined) {
      next = folder(entry.layer);
      childrenOf(place).set(part, next);
    }
    if (next.entry.type !== 'directory') throw behind(path);
    place = next;
  }
  const before = place.children?.get(name);
  const stays = entry.type === 'directory' && before?.entry.type === 'directory';
  childrenOf(place).set(name, { entry, children: stays ? before.children : null });
}

function childrenOf(place: Place): Map<string, Place> {
  place.children ??= new Map();
  return place.children;
}

function behind(path: string): Error {
  return unsafe(`${shown(path)} lies behind something that is no folder in a layer below`);
}

function flattened(root: Place): Map<string, ImageEntry> {
  const all = new Map<string, ImageEntry>();
  const open: { path: string; place: Place }[] = [{ path: '', place: root }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const [name, place] of next.place.children ?? []) {
      const path = next.path === '' ? name : `${next.path}/${name}`;
      all.set(path, place.entry);
      if (place.children !== null) open.push({ path, place });
    }
  }
  return all;
}
