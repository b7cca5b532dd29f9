import { constants } from 'node:fs';
import { copyFile, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PhtError } from '../../model/error.ts';
import { type Checkpoint, parseCheckpoint } from '../../model/ledger/checkpoint.ts';
import { parseNote } from '../../model/ledger/note.ts';
import { partialTiles, TILE_WIDTH, tilePath, tileWidth } from '../../model/ledger/tile.ts';
import { readBoundedFile } from './bounded-file.ts';

/** Adding to a kept log: no file of it ever changes but its checkpoint, so that any moment of it verifies. */

export const CHECKPOINT_BYTES_MAX: number = 1024 * 1024;

/** Its name in a kept log, beside the checkpoint. */
export const PAST_HEADS = 'past-heads';

/** `place` is the copy, `draft` what is being written, `added` a draft that is complete and on its way into the copy. */
export type Places = { place: string; draft: string; added: string };

/** The checkpoint of the copy before, kept until its partial tiles are gone. */
const BEFORE = 'before';

/** Adds a complete draft, its checkpoint included. From the new name on, a crash no longer loses it. */
export async function extend(places: Places): Promise<void> {
  const { place, draft, added } = places;
  await copyFile(join(place, 'checkpoint'), join(draft, BEFORE));
  const { files, folders } = await treeIn(draft);
  await Promise.all(files.map((path) => sync(join(draft, path))));
  await Promise.all(folders.map((path) => sync(join(draft, path))));
  await rename(draft, added);
  await sync(dirname(added));
  await finishExtension(places);
}

/**
 * Brings a complete draft into the copy, as often as it takes: tiles, then the checkpoint, and only then away with the
 * partial tiles that the old one needed.
 */
export async function finishExtension({ place, added }: Places): Promise<void> {
  const { files, folders } = await treeIn(added);
  const before = sizeIn(join(added, BEFORE));
  const after = sizeIn(join(added, 'checkpoint')) ?? sizeIn(join(place, 'checkpoint'));
  if (before !== null && after !== null && sizeIn(join(place, 'checkpoint')) !== null) {
    for (const folder of folders) await mkdir(join(place, folder), { recursive: true });
    const tiles = files.filter((path) => path !== BEFORE && path !== 'checkpoint');
    for (const path of tiles) await rename(join(added, path), join(place, path));
    await Promise.all(folders.map((path) => sync(join(place, path))));
    await rename(join(added, 'checkpoint'), join(place, 'checkpoint')).catch(missingIsNull);
    await sync(place);
    await removeStale(place, before, after);
  }
  await rm(added, { recursive: true, force: true });
}

async function removeStale(place: string, before: number, after: number): Promise<void> {
  for (const tile of partialTiles(before)) {
    const width = tileWidth(after, tile.level, tile.index);
    if (width === tile.width) continue;
    const path = join(place, tilePath(tile));
    await rm(width === TILE_WIDTH ? dirname(path) : path, { recursive: true, force: true });
  }
}

/** @returns null where there is no checkpoint, or none that says how large its log is */
function sizeIn(path: string): number | null {
  try {
    const bytes = readBoundedFile(path, CHECKPOINT_BYTES_MAX);
    const checkpoint: Checkpoint | null = bytes === null ? null : parseCheckpoint(parseNote(bytes).text);
    return checkpoint?.size ?? null;
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'ledger.invalid') return null;
    throw thrown;
  }
}

/** Paths below a folder; the folder itself is the first. Nothing where it does not exist. */
async function treeIn(folder: string): Promise<{ files: string[]; folders: string[] }> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(missingIsNull);
  if (entries === null) return { files: [], folders: [] };
  const paths = (directories: boolean): string[] =>
    entries
      .filter((entry) => entry.isDirectory() === directories)
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  return { files: paths(false), folders: ['', ...paths(true)] };
}

/** Makes a file durable, or the names in a folder. */
async function sync(path: string): Promise<void> {
  const file = await open(path, constants.O_RDONLY);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

export function missingIsNull(cause: unknown): null {
  const code = cause instanceof Error && 'code' in cause ? cause.code : '';
  if (code === 'ENOENT' || code === 'ENOTDIR') return null;
  throw cause;
}
