import type { CompactRange } from '../../model/ledger/merkle.ts';
import { encodeBundle, TILE_WIDTH, type TileFile } from '../../model/ledger/tile.ts';
import type { TileTree } from '../../model/ledger/tile-tree.ts';
import type { LogCopy, LogSource } from '../../ports/log-source.ts';
import type { Finding } from './findings.ts';
import { compareTiles } from './tiles.ts';

/** A tree to be grown, with the entries of its bundle that is not full; those are held only where a copy is kept. */
export type Growth = { tree: TileTree; bundle: Uint8Array[] };

type Recomputing = {
  member: string;
  /** Entries that were signed. */
  size: number;
  copy: LogCopy | null;
  found: (finding: Finding) => void;
  /** Given each entry before it is counted in. */
  judge: (index: number, bytes: Uint8Array) => void;
  /** At which sizes to look at the root on the way, which costs nothing and needs no proof from anybody. */
  watched: ReadonlySet<number>;
  watch: (range: CompactRange) => void;
  progress: (done: number, size: number) => void;
};

export type Recomputed = {
  range: CompactRange;
  /** More was served than was signed. */
  excess: boolean;
  /** A stored tile is not what the entries give. */
  differs: boolean;
};

/**
 * Streams a log once, from where `growth` stands to its signed size, in memory that does not grow with it. The tiles
 * that fill on the way are compared with the source's own and go into the copy.
 */
export async function recompute(
  source: LogSource,
  { tree, bundle }: Growth,
  recomputing: Recomputing,
): Promise<Recomputed> {
  const { member, size, copy, found, judge, watched, watch, progress } = recomputing;
  let differs = false;
  let excess = false;
  let filled: TileFile[] = [];
  const keep = async (files: readonly TileFile[]): Promise<void> => {
    if (files.length === 0) return;
    if (copy !== null) await copy.write(files);
    if (await compareTiles(source, member, files, found)) differs = true;
  };
  const add = (bytes: Uint8Array): void => {
    const index = tree.size();
    judge(index, bytes);
    const tiles = tree.add(bytes);
    if (copy !== null) {
      bundle.push(bytes);
      if (bundle.length === TILE_WIDTH) filled.push(bundleFile(bundle.splice(0), index));
    }
    if (tiles.length > 0) filled.push(...tiles);
    if (watched.has(index + 1)) watch(tree.range());
  };

  if (watched.has(tree.size())) watch(tree.range());
  for await (const batch of source.entries(member, tree.size(), size)) {
    const room = size - tree.size();
    excess = batch.length > room;
    for (const bytes of excess ? batch.slice(0, room) : batch) add(bytes);
    await keep(filled);
    filled = [];
    progress(tree.size(), size);
    if (excess) break;
  }
  if (tree.size() === size) {
    if (bundle.length > 0) filled.push(bundleFile(bundle, size - 1));
    await keep([...filled, ...tree.open()]);
  }
  return { range: tree.range(), excess, differs };
}

/** @param last index of the last entry in it */
function bundleFile(bundle: readonly Uint8Array[], last: number): TileFile {
  const tile = { level: 'entries', index: Math.floor(last / TILE_WIDTH), width: bundle.length } as const;
  return { tile, bytes: encodeBundle(bundle) };
}
