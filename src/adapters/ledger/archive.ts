import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PhtError } from '../../model/error.ts';
import { HASH_BYTES } from '../../model/ledger/merkle.ts';
import { PAST_HEADS_BYTES_MAX } from '../../model/ledger/past-heads.ts';
import { TILE_WIDTH, type Tile, tilePath } from '../../model/ledger/tile.ts';
import { check, Slug } from '../../model/schema.ts';
import type { LogArchive } from '../../ports/log-source.ts';
import {
  CHECKPOINT_BYTES_MAX,
  extend,
  finishExtension,
  missingIsNull,
  PAST_HEADS,
  type Places,
} from './archive-extend.ts';
import { readBoundedFile } from './bounded-file.ts';

/**
 * Keeps each log as a C2SP tlog-tiles directory `<dir>/<member>`. A whole copy is written beside the last one and
 * swapped in when it is complete, so a crash leaves either of them; it can be fetched again, so it is not fsynced. What
 * is added to a copy is, since the next audit does not read again what was there before.
 */
export function createLogArchive(dir: string): LogArchive {
  return {
    begin: async (member) => {
      const name = check(Slug, member, 'the name of a log');
      const places: Places = {
        place: join(dir, name),
        draft: join(dir, `.${name}.new`),
        added: join(dir, `.${name}.add`),
      };
      const { place, draft } = places;
      const last = join(dir, `.${name}.old`);
      await stored(async () => {
        await mkdir(dir, { recursive: true, mode: 0o700 });
        await recover(places, last);
        await mkdir(draft, { mode: 0o700 });
      }, draft);
      const made = new Set<string>();
      const write = async (path: string, bytes: Uint8Array): Promise<void> => {
        const folder = dirname(path);
        if (!made.has(folder)) await mkdir(folder, { recursive: true });
        made.add(folder);
        await writeFile(path, bytes);
      };
      return {
        last: async () => readBoundedFile(join(place, 'checkpoint'), CHECKPOINT_BYTES_MAX),
        lastPastHeads: async () => readBoundedFile(join(place, PAST_HEADS), PAST_HEADS_BYTES_MAX),
        keepPastHeads: (heads) => stored(() => write(join(draft, PAST_HEADS), heads), draft),
        lastHashes: (tile) => stored(() => hashesIn(place, tile), place),
        write: (files) =>
          stored(async () => {
            for (const { tile, bytes } of files) await write(join(draft, tilePath(tile)), bytes);
          }, draft),
        commit: (checkpoint, mode) =>
          stored(async () => {
            await write(join(draft, 'checkpoint'), checkpoint);
            if (mode === 'extend') return extend(places);
            await rename(place, last).catch(missingIsNull);
            await rename(draft, place);
            await rm(last, { recursive: true, force: true });
          }, place),
        discard: () => stored(() => rm(draft, { recursive: true, force: true }), draft),
      };
    },
  };
}

/** Brings what a crash left to one whole copy. */
async function recover(places: Places, last: string): Promise<void> {
  const { place, draft } = places;
  const isThere = (await readdir(place).catch(missingIsNull)) !== null;
  // Stopped between the two names of a swap.
  if (!isThere) await rename(last, place).catch(missingIsNull);
  await rm(last, { recursive: true, force: true });
  await rm(draft, { recursive: true, force: true });
  await finishExtension(places);
}

/** A tile that has grown since begins with the hashes that it had before. */
async function hashesIn(place: string, tile: Tile): Promise<Uint8Array | null> {
  const full = join(place, tilePath({ ...tile, width: TILE_WIDTH }));
  const partial = (await readdir(`${full}.p`).catch(missingIsNull)) ?? [];
  for (const path of [full, ...partial.map((width) => join(`${full}.p`, width))]) {
    const bytes = readBoundedFile(path, TILE_WIDTH * HASH_BYTES);
    if (bytes !== null && bytes.length >= tile.width * HASH_BYTES) {
      return bytes.subarray(0, tile.width * HASH_BYTES);
    }
  }
  return null;
}

async function stored<T>(work: () => Promise<T>, path: string): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof PhtError) throw cause;
    throw new PhtError('config.invalid', `${path} could not be written`, { cause });
  }
}
