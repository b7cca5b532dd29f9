import { posix } from 'node:path';
import {
  CHANGES_MAX,
  type ImageChange,
  type ImageDifference,
  type ImageThing,
} from '../../model/image-difference.ts';
import type { ReviewedImage } from '../../ports/image-review.ts';
import type { LayerIndex } from './layer-index.ts';
import type { ImageEntry } from './overlay.ts';

/** Which paths of two images differ, and which of them are listed. */

/** Of the listed changes as JSON, without sources. */
const LISTED_BYTES_MAX = 1024 * 1024;

export type PathChange = {
  path: string;
  change: ImageChange['change'];
  before: ImageEntry | null;
  now: ImageEntry | null;
};

/** Folders that were only added or removed are seen by what is in them. */
export function changesBetween(
  before: ReadonlyMap<string, ImageEntry>,
  now: ReadonlyMap<string, ImageEntry>,
  take: (change: PathChange) => void,
): void {
  for (const [path, entry] of now) {
    const earlier = before.get(path);
    const change = earlier === undefined ? addition(entry) : changeOf(earlier, entry);
    if (change !== null) take({ path, change, before: earlier ?? null, now: entry });
  }
  for (const [path, entry] of before) {
    if (now.has(path) || entry.type === 'directory') continue;
    take({ path, change: 'removed', before: entry, now: null });
  }
}

/**
 * All that layers bring, and what they remove or hide, which are not among these. A hard link to a file of a known layer
 * brings it to a place where nobody has seen it.
 */
export function changesOutside(
  seen: ReadonlySet<string>,
  layers: readonly { diffId: string; index: LayerIndex }[],
  now: ReadonlyMap<string, ImageEntry>,
  take: (change: PathChange) => void,
): void {
  const fresh = layers.filter(({ diffId }) => !seen.has(diffId));
  const known = layers.filter(({ diffId }) => seen.has(diffId));
  for (const [path, entry] of now) {
    const isNew =
      !seen.has(entry.layer) || fresh.some(({ index }) => index.entries.get(path)?.type === 'link');
    if (!isNew || (entry.type === 'directory' && !isPlain(path, known))) continue;
    take({ path, change: 'added', before: null, now: entry });
  }
  const told = new Set<string>();
  const gone = (path: string): void => {
    if (now.has(path) || told.has(path)) return;
    told.add(path);
    take({ path, change: 'removed', before: null, now: null });
  };
  for (const { index } of fresh) for (const path of index.removed) gone(path);
  for (const { index } of known) {
    for (const [path, { type }] of index.entries) {
      if (type !== 'directory' && !now.has(path) && isHidden(path, fresh)) gone(path);
    }
  }
}

type Layers = readonly { index: LayerIndex }[];

function isPlain(path: string, layers: Layers): boolean {
  return layers.some(({ index }) => (index.entries.get(path)?.type ?? 'directory') !== 'directory');
}

/** Emptied with a folder above, or that folder is something else now. */
function isHidden(path: string, layers: Layers): boolean {
  for (let at = path.lastIndexOf('/'); ; at = path.lastIndexOf('/', at - 1)) {
    const above = path.slice(0, Math.max(at, 0));
    if (layers.some(({ index }) => index.opaque.has(above) || isPlain(above, [{ index }]))) return true;
    if (at <= 0) return false;
  }
}

function addition({ type }: ImageEntry): 'added' | null {
  return type === 'directory' ? null : 'added';
}

function changeOf(before: ImageEntry, now: ImageEntry): 'changed' | 'mode' | null {
  if (before.type !== now.type) return 'changed';
  if (before.type === 'symlink' || now.type === 'symlink') {
    return before.type === 'symlink' && now.type === 'symlink' && before.target === now.target
      ? null
      : 'changed';
  }
  if (before.type === 'file' && now.type === 'file' && before.sha256 !== now.sha256) return 'changed';
  if (before.mode === null || now.mode === null) return null;
  return before.mode === now.mode ? null : 'mode';
}

/** Whether its source can be shown. */
export function isSource({ change, now }: PathChange): boolean {
  return (change === 'added' || change === 'changed') && now?.type === 'file' && now.text;
}

/** How far a change is from what the train itself does: what matters most to whoever decides comes first. */
export type DepthOf = (change: PathChange) => number;

/**
 * A train's own code lies in the uppermost layers, above the thousands of files of what it was built from.
 *
 * @returns 0 for what the command names, 1 for the uppermost layer and so on down, the most for what was removed
 */
export function depthIn({ image, config }: ReviewedImage): DepthOf {
  const { entrypoint, workingDir } = config ?? { entrypoint: [], workingDir: '' };
  const named = new Set(entrypoint.map((word) => posix.resolve('/', workingDir, word).slice(1)));
  const depths = new Map(image.layers.map(({ diffId }, at) => [diffId, image.layers.length - at]));
  return ({ path, now }) => {
    if (now === null) return image.layers.length + 1;
    return named.has(path) ? 0 : (depths.get(now.layer) ?? image.layers.length);
  };
}

/** Takes changes one by one, counts them all and keeps those to be listed: there may be a million. */
export type Selection = {
  take(change: PathChange): void;
  /** @returns those that are listed, by depth and path */
  end(): { counts: ImageDifference['counts']; shown: PathChange[]; omitted: number };
};

/**
 * Where there are too many, what the command names comes first, then text, since it can be read, then what else may
 * run; of each the uppermost layers, and in a layer the shortest.
 */
export function selection(depthOf: DepthOf): Selection {
  const counts = { added: 0, changed: 0, removed: 0, mode: 0 };
  const named = (change: PathChange): number => Math.min(depthOf(change), 1);
  const byRank = (one: PathChange, other: PathChange): number =>
    named(one) - named(other) ||
    rank(one) - rank(other) ||
    depthOf(one) - depthOf(other) ||
    sizeOf(one) - sizeOf(other);
  const best: PathChange[] = [];
  let taken = 0;
  return {
    take: (change) => {
      counts[change.change] += 1;
      taken += 1;
      best.push(change);
      if (best.length < 2 * CHANGES_MAX) return;
      best.sort(byRank);
      best.length = CHANGES_MAX;
    },
    end: () => {
      const shown = fitting(best.sort(byRank)).sort(
        (one, other) => depthOf(one) - depthOf(other) || (one.path < other.path ? -1 : 1),
      );
      return { counts, shown, omitted: taken - shown.length };
    },
  };
}

function fitting(ranked: readonly PathChange[]): PathChange[] {
  const kept: PathChange[] = [];
  let bytes = 0;
  for (const change of ranked.slice(0, CHANGES_MAX)) {
    bytes += Buffer.byteLength(JSON.stringify(unshownChange(change)));
    if (bytes > LISTED_BYTES_MAX) break;
    kept.push(change);
  }
  return kept;
}

function rank(change: PathChange): number {
  if (isSource(change)) return 0;
  return change.change === 'removed' ? 3 : change.change === 'mode' ? 2 : 1;
}

export function sizeOf({ now }: Pick<PathChange, 'now'>): number {
  return now?.type === 'file' ? now.size : 0;
}

/** As it stands in the document when nothing of its source does. */
export function unshownChange(
  { path, change, before, now }: PathChange,
  unshown: ImageChange['unshown'] = null,
): ImageChange {
  return { path, change, before: thingOf(before), now: thingOf(now), source: null, diff: null, unshown };
}

function thingOf(entry: ImageEntry | null): ImageThing | null {
  if (entry === null) return null;
  if (entry.type === 'file') {
    const { type, mode, size, sha256 } = entry;
    return { type, mode, size, sha256 };
  }
  if (entry.type === 'symlink') return { type: 'symlink', target: entry.target };
  if (entry.type === 'directory') return { type: 'directory', mode: entry.mode };
  return { type: 'fifo', mode: entry.mode };
}
