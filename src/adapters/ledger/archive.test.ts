import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { parseCheckpoint, signCheckpoint } from '../../model/ledger/checkpoint.ts';
import { goldenEntries, LOG_SIGNER, treeOf } from '../../model/ledger/golden.fixture.ts';
import { leafHash, rootOfLeaves } from '../../model/ledger/merkle.ts';
import { parseNote } from '../../model/ledger/note.ts';
import { TILE_WIDTH, type TileFile, tilePath, tilesOfTree } from '../../model/ledger/tile.ts';
import { createLogArchive } from './archive.ts';

/** A crash between any two steps on the disk leaves a copy that verifies, and the next audit tidies up. */

const power = vi.hoisted(() => ({ steps: Number.POSITIVE_INFINITY }));
vi.mock(import('node:fs/promises'), async (original) => {
  const real = await original();
  const stops = <Rest extends unknown[], T>(work: (...rest: Rest) => Promise<T>) => {
    return async (...rest: Rest): Promise<T> => {
      if (power.steps <= 0) throw new Error('the power is gone');
      power.steps--;
      return work(...rest);
    };
  };
  const { rename, rm, mkdir, writeFile, copyFile, open } = real;
  const changing = { rename, rm, mkdir, writeFile, copyFile, open };
  const stopping = Object.fromEntries(
    Object.entries(changing).map(([name, work]) => [
      name,
      stops(work as (...rest: unknown[]) => Promise<unknown>),
    ]),
  );
  return { ...real, ...stopping };
});

const home = mkdtempSync(join(tmpdir(), 'pht-archive-'));
beforeEach(() => {
  power.steps = Number.POSITIVE_INFINITY;
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

let made = 0;
const freshDir = (): string => join(home, String(made++));

const SIZE_MAX = 1100;
const entries = goldenEntries(SIZE_MAX);
const origin = LOG_SIGNER.key.name;

const checkpoints = new Map<number, Uint8Array>();
function checkpointOf(size: number): Uint8Array {
  const known = checkpoints.get(size);
  if (known !== undefined) return known;
  const root = rootOfLeaves(entries.slice(0, size).map(leafHash));
  const text = Buffer.from(signCheckpoint({ origin, size, root, extensions: [] }, LOG_SIGNER));
  checkpoints.set(size, text);
  return text;
}

const trees = new Map<number, Map<string, Uint8Array>>();
function treeFilesOf(size: number): Map<string, Uint8Array> {
  const files = trees.get(size) ?? treeOf(entries.slice(0, size)).files;
  trees.set(size, files);
  return files;
}

/** Files of a tree of `size`; of those, with `from`, what a tree of that size had not. */
function filesOf(size: number, from = 0): TileFile[] {
  const files = treeFilesOf(size);
  return [...tilesOfTree(size)].flatMap((tile) => {
    const span = tile.level === 'entries' ? TILE_WIDTH : TILE_WIDTH ** (tile.level + 1);
    const bytes = files.get(tilePath(tile)) ?? Buffer.alloc(0);
    return tile.index < Math.floor(from / span) ? [] : [{ tile, bytes }];
  });
}

async function keep(dir: string, size: number, from: number): Promise<void> {
  const copy = await createLogArchive(dir).begin('north');
  await copy.write(filesOf(size, from));
  await copy.commit(checkpointOf(size), from > 0 ? 'extend' : 'replace');
}

/** @returns the size of the copy, every file of which is there */
function sizeOf(dir: string): number {
  const place = join(dir, 'north');
  const { size } = parseCheckpoint(parseNote(readFileSync(join(place, 'checkpoint'))).text);
  for (const { tile, bytes } of filesOf(size))
    expect(readFileSync(join(place, tilePath(tile)))).toEqual(bytes);
  return size;
}

/** Nothing but the files of a tree of this size. */
function expectOnly(dir: string, size: number): void {
  const found = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = found.map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1));
  const files = filesOf(size).map(({ tile }) => `north/${tilePath(tile)}`);
  expect(paths.toSorted()).toEqual(['north/checkpoint', ...files].toSorted());
}

const GROWTHS: [number, number][] = [
  [3, 5],
  [255, 256],
  [256, 300],
  [700, 1100],
  [700, 701],
  [700, 700],
];

const STOPPED: [number, number][] = [
  [3, 5],
  [256, 300],
  [700, 1024],
];

describe('a kept log', () => {
  test.each(GROWTHS)('grows from %i to %i entries and holds nothing else', async (before, after) => {
    const dir = freshDir();
    await keep(dir, before, 0);
    await keep(dir, after, before);
    expect(sizeOf(dir)).toBe(after);
    expectOnly(dir, after);
  });

  test.each(STOPPED)(
    'growing from %i to %i, stopped at any step, verifies as the one or the other',
    async (before, after) => {
      const seen = new Set<number>();
      for (let steps = 0; ; steps++) {
        const dir = freshDir();
        await keep(dir, before, 0);
        power.steps = steps;
        const stopped = await keep(dir, after, before).then(
          () => false,
          () => true,
        );
        power.steps = Number.POSITIVE_INFINITY;
        seen.add(sizeOf(dir));
        // The next audit is stopped as well, and the one after that is not.
        power.steps = 3;
        await createLogArchive(dir)
          .begin('north')
          .catch(() => undefined);
        power.steps = Number.POSITIVE_INFINITY;
        sizeOf(dir);
        await (await createLogArchive(dir).begin('north')).discard();
        expectOnly(dir, sizeOf(dir));
        await keep(dir, after, before);
        expectOnly(dir, after);
        if (!stopped) break;
      }
      expect(seen).toEqual(new Set([before, after]));
    },
  );

  test('replaced and stopped at any step, it is the old one or the new one once the next audit begins', async () => {
    const seen = new Set<number>();
    for (let steps = 0; ; steps++) {
      const dir = freshDir();
      await keep(dir, 300, 0);
      power.steps = steps;
      const stopped = await keep(dir, 600, 0).then(
        () => false,
        () => true,
      );
      power.steps = Number.POSITIVE_INFINITY;
      await (await createLogArchive(dir).begin('north')).discard();
      seen.add(sizeOf(dir));
      expectOnly(dir, sizeOf(dir));
      if (!stopped) break;
    }
    expect(seen).toEqual(new Set([300, 600]));
  });

  test('what is thrown away leaves the last copy as it was', async () => {
    const dir = freshDir();
    await keep(dir, 300, 0);
    const copy = await createLogArchive(dir).begin('north');
    await copy.write(filesOf(600, 300));
    await copy.discard();
    expectOnly(dir, 300);
  });

  test('shows the hashes of a tile as they were at a smaller size', async () => {
    const dir = freshDir();
    const copy = await createLogArchive(dir).begin('north');
    expect(await copy.last()).toBeNull();
    expect(await copy.lastHashes({ level: 0, index: 0, width: 1 })).toBeNull();
    await copy.write(filesOf(300));
    await copy.commit(checkpointOf(300), 'replace');
    const next = await createLogArchive(dir).begin('north');
    expect(await next.last()).toEqual(checkpointOf(300));
    const hashes = (first: number, end: number): Buffer =>
      Buffer.concat(entries.slice(first, end).map(leafHash));
    expect(await next.lastHashes({ level: 0, index: 1, width: 40 })).toEqual(hashes(256, 296));
    expect(await next.lastHashes({ level: 0, index: 0, width: 40 })).toEqual(hashes(0, 40));
    expect(await next.lastHashes({ level: 0, index: 1, width: 45 })).toBeNull();
    expect(await next.lastHashes({ level: 0, index: 2, width: 1 })).toBeNull();
    await next.discard();
  });

  test('a disk that fails is named, and so is what no member is called', async () => {
    power.steps = 0;
    await expect(createLogArchive(freshDir()).begin('north')).rejects.toMatchObject({
      code: 'config.invalid',
    });
    await expect(createLogArchive(freshDir()).begin('../x')).rejects.toMatchObject({
      code: 'input.malformed',
    });
  });
});
