import { HASH_BYTES } from '../../model/ledger/merkle.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import { TILE_WIDTH, type TileFile, tilePath } from '../../model/ledger/tile.ts';
import type { LogSource } from '../../ports/log-source.ts';
import { type Finding, finding } from './findings.ts';

/**
 * Compares stored tiles of hashes with those that the entries give. Where a leaf differs, that names the entry: either
 * it or its hash was altered, and the root tells which.
 *
 * @returns whether any differs
 */
export async function compareTiles(
  source: LogSource,
  member: string,
  derived: readonly TileFile[],
  found: (finding: Finding) => void,
): Promise<boolean> {
  if (source.hashTile === null) return false;
  let differs = false;
  for (const { tile, bytes } of derived) {
    if (tile.level === 'entries') continue;
    const stored = await source.hashTile(member, tile);
    if (stored !== null && sameBytes(stored, bytes)) continue;
    differs = true;
    const path = tilePath(tile);
    const at = stored === null || stored.length !== bytes.length ? -1 : firstDifference(stored, bytes);
    if (at >= 0 && tile.level === 0) {
      const index = tile.index * TILE_WIDTH + at;
      found(
        finding(
          'error',
          'entry.altered',
          { log: member, index },
          `entry ${index} does not have its hash in ${path}`,
        ),
      );
    } else {
      const what = stored === null ? 'is missing' : 'does not hold the hashes of the entries';
      found(finding('error', 'file.damaged', { log: member }, `${path} ${what}`));
    }
  }
  return differs;
}

/** @returns the position among the hashes */
function firstDifference(left: Uint8Array, right: Uint8Array): number {
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return Math.floor(at / HASH_BYTES);
  return -1;
}
