import { join } from 'node:path';
import { PhtError } from '../../model/error.ts';
import { appendEntries, readEdge, type TreeEdge } from '../../model/ledger/append.ts';
import { type CompactRange, HASH_BYTES, rangeRoot } from '../../model/ledger/merkle.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import { decodeBundle, encodeBundle, type Tile, tilePath, tileWidth } from '../../model/ledger/tile.ts';
import type { MirrorFiles } from '../../ports/mirror.ts';
import { DISK, type Disk } from './disk.ts';
import { createTreeFiles, type TreeFiles } from './tree-files.ts';

/** @param dir holds one folder for each member; their names are member ids */
export function createMirrorFiles(dir: string, disk: Disk = DISK): MirrorFiles {
  const open = new Map<string, TreeFiles>();
  const filesOf = (member: string): TreeFiles => {
    const files = open.get(member) ?? createTreeFiles(join(dir, member), disk);
    open.set(member, files);
    return files;
  };
  return {
    extend: async (member, verified, batches) => {
      const files = filesOf(member);
      let edge = await edgeOf(files, verified).catch((thrown: unknown) => {
        // It remembers folders that may be gone.
        open.delete(member);
        throw thrown;
      });
      const written: Tile[] = [];
      for (const entries of batches) {
        const appended = appendEntries(edge, entries);
        await files.write(appended.files);
        edge = appended.edge;
        written.push(...appended.files.map(({ tile }) => tile));
      }
      return written;
    },
    show: async (member, checkpoint, written) => {
      const files = filesOf(member);
      await files.publish(checkpoint);
      await files.prune(written.map((tile) => ({ tile, bytes: new Uint8Array() })));
    },
    tile: (member, tile, size) => readTile(join(dir, member), tile, size, disk),
  };
}

async function edgeOf(files: TreeFiles, { size, peaks }: CompactRange): Promise<TreeEdge> {
  const edge = readEdge(size, await files.edge(size));
  if (sameBytes(rangeRoot(edge.range), rangeRoot({ size, peaks }))) return edge;
  throw new PhtError('ledger.invalid', 'the files of a mirror are not those that were verified');
}

/**
 * One tile or bundle of a ledger in `dir`, whose files are those of `size` entries: one that was narrower in a smaller
 * tree is the beginning of what stands now.
 *
 * @returns null where the file is missing
 * @throws PhtError `ledger.invalid` where a bundle to be cut is damaged
 */
export async function readTile(
  dir: string,
  tile: Tile,
  size: number,
  disk: Disk = DISK,
): Promise<Uint8Array | null> {
  const width = tileWidth(size, tile.level, tile.index);
  if (width < tile.width) return null;
  const bytes = await disk.read(join(dir, tilePath({ ...tile, width })));
  if (bytes === null || width === tile.width) return bytes;
  if (tile.level !== 'entries') return bytes.subarray(0, tile.width * HASH_BYTES);
  return encodeBundle(decodeBundle(bytes, width).slice(0, tile.width));
}
