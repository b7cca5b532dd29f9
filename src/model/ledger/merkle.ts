import { hash as digest } from 'node:crypto';
import { invalid } from './strict.ts';

/** Bytes of a SHA-256 hash. */
export const HASH_BYTES = 32;

const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;
/** Longer leaves are rare, and get a buffer of their own. */
const LEAF_BYTES = 4096;

// Filled and hashed within one call, so that no call has to make a buffer to join its parts in.
const leafInput = Buffer.alloc(1 + LEAF_BYTES, LEAF_PREFIX);
const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, NODE_PREFIX);

/** Text output first: node hands over a short string faster than a buffer of its own. */
function sha256(input: Uint8Array): Uint8Array {
  return Buffer.from(digest('sha256', input, 'binary'), 'latin1');
}

/** Root of the tree without leaves: SHA-256 of nothing (RFC 6962 section 2.1). */
export const EMPTY_ROOT: Uint8Array = sha256(Buffer.alloc(0));

/** SHA-256(0x00 || entry) (RFC 6962 section 2.1). */
export function leafHash(entry: Uint8Array): Uint8Array {
  if (entry.length > LEAF_BYTES) return sha256(Buffer.concat([Buffer.of(LEAF_PREFIX), entry]));
  leafInput.set(entry, 1);
  return sha256(leafInput.subarray(0, 1 + entry.length));
}

/** SHA-256(0x01 || left || right) (RFC 6962 section 2.1). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  if (left.length !== HASH_BYTES || right.length !== HASH_BYTES) {
    throw invalid(`a node is over two hashes of ${HASH_BYTES} bytes`);
  }
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_BYTES);
  return sha256(nodeInput);
}

/** Puts the hash of a leaf into place `to` of a row of hashes: what `leafHash` gives, without a buffer of its own. */
export function writeLeafHash(entry: Uint8Array, row: Buffer, to: number): void {
  if (entry.length > LEAF_BYTES) {
    row.set(leafHash(entry), to * HASH_BYTES);
    return;
  }
  leafInput.set(entry, 1);
  const hash = digest('sha256', leafInput.subarray(0, 1 + entry.length), 'binary');
  row.write(hash, to * HASH_BYTES, 'latin1');
}

/** Puts the hash of the node over places `from` and `from + 1` of one row of hashes into place `to` of another. */
export function writeNodeHash(children: Buffer, from: number, row: Buffer, to: number): void {
  children.copy(nodeInput, 1, from * HASH_BYTES, (from + 2) * HASH_BYTES);
  row.write(digest('sha256', nodeInput, 'binary'), to * HASH_BYTES, 'latin1');
}

/**
 * All that a tree of `size` leaves has to remember to grow: the roots of its perfect subtrees, largest and leftmost
 * first, one for each bit set in `size`. Never more than 53 hashes, however long the ledger.
 */
export interface CompactRange {
  readonly size: number;
  readonly peaks: readonly Uint8Array[];
}

export const EMPTY_RANGE: CompactRange = { size: 0, peaks: [] };

/** Told of each perfect subtree as it becomes complete; height 0 is the leaf itself. */
export type NodeListener = (height: number, hash: Uint8Array) => void;

/** The range after `leafHashes`; `range` itself stays as it was, so a failed write can simply start again from it. */
export function extendRange(
  range: CompactRange,
  leafHashes: Iterable<Uint8Array>,
  onNode?: NodeListener,
): CompactRange {
  const peaks = [...range.peaks];
  let size = range.size;
  for (const leaf of leafHashes) {
    if (leaf.length !== HASH_BYTES)
      throw invalid(`a leaf hash has ${leaf.length} bytes instead of ${HASH_BYTES}`);
    let hash = leaf;
    let height = 0;
    onNode?.(height, hash);
    // Each trailing 1 bit of the size is a left sibling waiting for this subtree.
    for (let rest = size; rest % 2 === 1; rest = Math.floor(rest / 2)) {
      const left = peaks.pop();
      if (left === undefined) throw invalid('a compact range lacks a peak that its size demands');
      hash = nodeHash(left, hash);
      height += 1;
      onNode?.(height, hash);
    }
    peaks.push(hash);
    size += 1;
  }
  return { size, peaks };
}

export function rangeRoot(range: CompactRange): Uint8Array {
  return foldPeaks(range.peaks);
}

/** Hash of neighbouring perfect subtrees, largest first: the smallest two are joined first. */
export function foldPeaks(peaks: readonly Uint8Array[]): Uint8Array {
  const last = peaks.at(-1);
  if (last === undefined) return EMPTY_ROOT;
  return peaks.slice(0, -1).reduceRight<Uint8Array>((right, left) => nodeHash(left, right), last);
}

/** Merkle tree hash of a list of leaf hashes (RFC 6962 section 2.1). */
export function rootOfLeaves(leafHashes: Iterable<Uint8Array>): Uint8Array {
  return rangeRoot(extendRange(EMPTY_RANGE, leafHashes));
}

/** The largest power of two that is at most `count`, for 1 <= count < 2^53. */
export function largestPowerOfTwo(count: number): number {
  let power = 1;
  while (power * 2 <= count) power *= 2;
  return power;
}
