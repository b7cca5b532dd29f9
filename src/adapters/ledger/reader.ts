import type { Dir } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { PhtError } from '../../model/error.ts';
import { HASH_BYTES } from '../../model/ledger/merkle.ts';
import { PAST_HEADS_BYTES_MAX } from '../../model/ledger/past-heads.ts';
import {
  BUNDLE_ENTRY_BYTES_MAX,
  decodeBundle,
  parseTilePath,
  TILE_WIDTH,
  type Tile,
  tilePath,
  tileWidth,
} from '../../model/ledger/tile.ts';
import type { LogSource } from '../../ports/log-source.ts';
import { PAST_HEADS } from './archive-extend.ts';
import { readBoundedFile } from './bounded-file.ts';

/** A folder with one C2SP tlog-tiles directory a member, which anybody may have touched. */

const CHECKPOINT_BYTES_MAX = 1024 * 1024;
const BUNDLE_BYTES_MAX = TILE_WIDTH * (2 + BUNDLE_ENTRY_BYTES_MAX);
const BUNDLES_AT_A_STRETCH = 16;
const NAMES_MAX = 2000;
const DEPTH_MAX = 10;

/** @throws PhtError `config.missing`, `usage.invalid` when `dir` is no folder of logs */
export async function openLogFolder(dir: string): Promise<LogSource> {
  const at = await lstat(dir).catch((cause: unknown) => {
    throw new PhtError('config.missing', `${dir} could not be read: it does not exist`, { cause });
  });
  if (!at.isDirectory()) throw new PhtError('usage.invalid', `${dir} is not a folder`);
  if ((await names(dir)).includes('checkpoint')) {
    throw new PhtError(
      'usage.invalid',
      `${dir} is one log; name the folder above, which holds one folder a member`,
    );
  }
  return {
    members: () => names(dir),
    checkpoint: async (member) => readBoundedFile(join(dir, member, 'checkpoint'), CHECKPOINT_BYTES_MAX),
    pastHeads: async (member) => readBoundedFile(join(dir, member, PAST_HEADS), PAST_HEADS_BYTES_MAX),
    entries: (member, first, end) => bundles(join(dir, member), first, end),
    hashTile: async (member, tile) =>
      readBoundedFile(join(dir, member, tilePath(tile)), TILE_WIDTH * HASH_BYTES),
    strangers: async (member, size, max) => {
      const found: string[] = [];
      for await (const path of filesUnder(join(dir, member), '', 0)) {
        if (path === 'checkpoint' || path === PAST_HEADS || isOfTree(path, size)) continue;
        found.push(path);
        if (found.length === max) break;
      }
      return found;
    },
  };
}

async function opened(dir: string): Promise<Dir> {
  try {
    return await opendir(dir);
  } catch (cause) {
    throw new PhtError('config.invalid', `${dir} could not be read`, { cause });
  }
}

async function names(dir: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of await opened(dir)) {
    found.push(name);
    // To read some of them would be to leave out others, and nobody would know which.
    if (found.length > NAMES_MAX)
      throw new PhtError(
        'input.too-large',
        `${dir} holds more than ${NAMES_MAX} names, which no folder of logs does`,
      );
  }
  return found.toSorted();
}

function isOfTree(path: string, size: number): boolean {
  try {
    const { level, index, width } = parseTilePath(path);
    return tileWidth(size, level, index) === width;
  } catch (thrown) {
    if (thrown instanceof PhtError) return false;
    throw thrown;
  }
}

async function* filesUnder(root: string, below: string, depth: number): AsyncGenerator<string> {
  if (depth > DEPTH_MAX) return yield below;
  for await (const entry of await opened(join(root, below))) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) yield* filesUnder(root, path, depth + 1);
    else yield path;
  }
}

async function* bundles(dir: string, first: number, end: number): AsyncGenerator<readonly Uint8Array[]> {
  for (let at = first; at < end; ) {
    const index = Math.floor(at / TILE_WIDTH);
    const tile: Tile = { level: 'entries', index, width: tileWidth(end, 'entries', index) };
    const path = tilePath(tile);
    const bytes = readBoundedFile(join(dir, path), BUNDLE_BYTES_MAX);
    if (bytes === null) throw new PhtError('ledger.invalid', `${path} is missing`);
    yield inBundle(path, bytes, tile.width).slice(at % TILE_WIDTH);
    at = index * TILE_WIDTH + tile.width;
    // Files are read without waiting, so that signals would wait.
    if (index % BUNDLES_AT_A_STRETCH === 0) await setImmediate();
  }
}

function inBundle(path: string, bytes: Uint8Array, width: number): Uint8Array[] {
  try {
    return decodeBundle(bytes, width);
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    throw new PhtError('ledger.invalid', `${path}: ${thrown.message}`, { cause: thrown });
  }
}
