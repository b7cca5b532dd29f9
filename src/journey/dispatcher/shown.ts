import { PhtError } from '../../model/error.ts';
import { parseCheckpoint } from '../../model/ledger/checkpoint.ts';
import { parseNote } from '../../model/ledger/note.ts';
import { formatPastHeads } from '../../model/ledger/past-heads.ts';
import { decodeBundle, TILE_WIDTH, type Tile, tileWidth } from '../../model/ledger/tile.ts';
import type { DispatcherStore } from '../../ports/dispatcher-store.ts';
import type { Ledger } from '../../ports/ledger.ts';
import type { MirrorFiles, ShownLogs } from '../../ports/mirror.ts';

/** Where a file was replaced by a wider one while it was looked for, looking again finds that one. */
const LOOKS_MAX = 3;

export type ReadTile = (tile: Tile) => Promise<Uint8Array | null>;

/**
 * The dispatcher's own ledger and its mirrors, as gRPC and HTTP show them.
 *
 * @param ownTile a tile from the files of the dispatcher's own ledger, which are those of `size` entries
 */
export function createShownLogs(
  id: string,
  ledger: Ledger,
  ownTile: (tile: Tile, size: number) => Promise<Uint8Array | null>,
  { mirrors, pastHeads }: Pick<DispatcherStore, 'mirrors' | 'pastHeads'>,
  files: MirrorFiles,
): ShownLogs {
  const checkpoint = (member: string): Uint8Array | null =>
    member === id ? (ledger.published()?.text ?? null) : (mirrors.head(member)?.checkpoint ?? null);

  /** Of one's own ledger the files may be ahead of what is shown. */
  const look = (member: string, tile: Tile): Promise<Uint8Array | null> => {
    const size =
      member === id ? (ledger.checkpoint()?.size ?? 0) : (mirrors.head(member)?.verified.size ?? 0);
    return member === id ? ownTile(tile, size) : files.tile(member, tile, size);
  };

  return {
    members: () => [
      id,
      ...mirrors.heads().flatMap((head) => (head.checkpoint === null ? [] : [head.member])),
    ],
    checkpoint,
    pastHeads: (member) => {
      const shown = checkpoint(member);
      return shown === null ? null : formatPastHeads(pastHeads.texts(member, sizeOf(shown)));
    },
    tile: async (member, tile) => {
      const shown = checkpoint(member);
      if (shown === null || tileWidth(sizeOf(shown), tile.level, tile.index) < tile.width) return null;
      for (let looks = 1; ; looks++) {
        const bytes = await look(member, tile);
        if (bytes !== null || looks === LOOKS_MAX) return bytes;
      }
    },
  };
}

/** Of a checkpoint that was verified when it was taken. */
export function sizeOf(checkpoint: Uint8Array): number {
  return parseCheckpoint(parseNote(checkpoint).text).size;
}

/**
 * Entries `first` to `end - 1` from the bundles of a tree of `size` entries, one bundle after the other.
 *
 * @throws PhtError `internal` where a bundle is missing or damaged: it was verified before it became a file
 */
export async function* entriesOf(
  read: ReadTile,
  size: number,
  first: number,
  end: number,
): AsyncGenerator<Uint8Array[]> {
  for (let at = first; at < end; ) {
    const index = Math.floor(at / TILE_WIDTH);
    const width = tileWidth(size, 'entries', index);
    const bundle = bundleOf(await read({ level: 'entries', index, width }), width, index);
    const from = index * TILE_WIDTH;
    yield bundle.slice(at - from, Math.min(end - from, width));
    at = from + width;
  }
}

function bundleOf(bytes: Uint8Array | null, width: number, index: number): Uint8Array[] {
  if (bytes === null) throw new PhtError('internal', `bundle ${index} of a mirror is missing`);
  try {
    return decodeBundle(bytes, width);
  } catch (cause) {
    throw new PhtError('internal', `bundle ${index} of a mirror is damaged`, { cause });
  }
}
