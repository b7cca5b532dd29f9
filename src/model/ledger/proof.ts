import { PhtError } from '../error.ts';
import { type CheckpointTrust, type OpenedCheckpoint, openCheckpoint } from './checkpoint.ts';
import { EMPTY_ROOT, HASH_BYTES, nodeHash } from './merkle.ts';
import { NOTE_BYTES_MAX, parseNote } from './note.ts';
import { assertCount, invalid, sameBytes, strictBase64, strictDecimal, strictText } from './strict.ts';

/** A tree of fewer than 2^53 entries needs no more hashes than this on any path. */
const PROOF_HASHES_MAX = 64;
const EXTRA_BYTES_MAX = 65_536;
const HEADER = 'c2sp.org/tlog-proof@v1';

export interface InclusionClaim {
  readonly leafHash: Uint8Array;
  readonly index: number;
  readonly size: number;
  readonly root: Uint8Array;
  readonly hashes: readonly Uint8Array[];
}

export interface ConsistencyClaim {
  readonly sizeBefore: number;
  readonly rootBefore: Uint8Array;
  readonly size: number;
  readonly root: Uint8Array;
  readonly hashes: readonly Uint8Array[];
}

/** A receipt that an entry stands in a ledger (C2SP tlog-proof@v1). `extra` is not authenticated by anything. */
export interface TlogProof {
  readonly extra: Uint8Array | null;
  readonly index: number;
  readonly hashes: readonly Uint8Array[];
  /** The signed checkpoint, verbatim. */
  readonly checkpoint: string;
}

/**
 * The loop of RFC 9162 section 2.1.3.2.
 *
 * @throws PhtError `ledger.invalid` unless the leaf stands at this index under this root
 */
export function verifyInclusion(claim: InclusionClaim): void {
  const { index, size, root, hashes } = claim;
  assertCount(index, 'the index in a proof');
  assertCount(size, 'the size in a proof');
  assertHashes([claim.leafHash, root, ...hashes]);
  if (index >= size) throw invalid(`entry ${index} is not in a tree of ${size} entries`);
  let [fn, sn] = [index, size - 1];
  let hash = claim.leafHash;
  for (const sibling of hashes) {
    if (sn === 0) throw invalid('an inclusion proof is too long');
    if (fn % 2 === 1 || fn === sn) {
      hash = nodeHash(sibling, hash);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  if (sn !== 0) throw invalid('an inclusion proof is too short');
  if (!sameBytes(hash, root)) throw invalid('an inclusion proof does not lead to the root');
}

/**
 * The loop of RFC 9162 section 2.1.4.2, and for trees of equal size or from size 0 an empty proof (C2SP tlog-witness).
 *
 * @throws PhtError `ledger.invalid` for a malformed claim, `ledger.inconsistent` where the proof does not hold
 */
export function verifyConsistency(claim: ConsistencyClaim): void {
  const { sizeBefore, rootBefore, size, root, hashes } = claim;
  assertCount(sizeBefore, 'the old size in a proof');
  assertCount(size, 'the size in a proof');
  assertHashes([rootBefore, root, ...hashes]);
  if (sizeBefore > size) throw inconsistent('the ledger has become shorter');
  if (sizeBefore === 0 && !sameBytes(rootBefore, EMPTY_ROOT))
    throw inconsistent('the old root is not that of no entries');
  if (sizeBefore === size && !sameBytes(rootBefore, root)) throw inconsistent('two roots for one size');
  if (sizeBefore === 0 || sizeBefore === size) {
    if (hashes.length > 0) throw inconsistent('a consistency proof must be empty here');
    return;
  }
  let [fn, sn] = [sizeBefore - 1, size - 1];
  while (fn % 2 === 1) [fn, sn] = [half(fn), half(sn)];
  // A power of two: the old root stands in the new tree as it is, and the proof leaves it out.
  const [start, ...rest] = fn === 0 ? [rootBefore, ...hashes] : hashes;
  if (start === undefined) throw inconsistent('a consistency proof is too short');
  let [oldHash, newHash] = [start, start];
  for (const sibling of rest) {
    if (sn === 0) throw inconsistent('a consistency proof is too long');
    if (fn % 2 === 1 || fn === sn) {
      oldHash = nodeHash(sibling, oldHash);
      newHash = nodeHash(sibling, newHash);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      newHash = nodeHash(newHash, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  if (sn !== 0) throw inconsistent('a consistency proof is too short');
  if (!sameBytes(oldHash, rootBefore))
    throw inconsistent('a consistency proof does not lead to the old root');
  if (!sameBytes(newHash, root)) throw inconsistent('a consistency proof does not lead to the new root');
}

/** Bit operators of the language stop at 32 bits; sizes do not. */
function half(value: number): number {
  return Math.floor(value / 2);
}

function inconsistent(message: string): PhtError {
  return new PhtError('ledger.inconsistent', message);
}

function assertHashes(hashes: readonly Uint8Array[]): void {
  if (hashes.length > PROOF_HASHES_MAX + 2)
    throw invalid(`a proof holds more than ${PROOF_HASHES_MAX} hashes`);
  if (hashes.some((hash) => hash.length !== HASH_BYTES))
    throw invalid('a hash in a proof is not 32 bytes long');
}

/** @throws PhtError `ledger.invalid` where a part does not fit the format */
export function formatTlogProof(proof: TlogProof): string {
  const extra = proof.extra === null ? [] : [`extra ${Buffer.from(proof.extra).toString('base64')}`];
  const hashes = proof.hashes.map((hash) => Buffer.from(hash).toString('base64'));
  const written = [HEADER, ...extra, `index ${proof.index}`, ...hashes, '', proof.checkpoint].join('\n');
  parseTlogProof(written);
  return written;
}

/**
 * Reads a receipt without trusting it; the checkpoint in it is a well-formed signed note, no more.
 *
 * @throws PhtError `ledger.invalid`
 */
export function parseTlogProof(input: Uint8Array | string): TlogProof {
  const text = strictText(input, NOTE_BYTES_MAX, 'a ledger proof');
  const split = text.indexOf('\n\n');
  if (split < 0) throw invalid('a ledger proof has no empty line before its checkpoint');
  const [header, ...lines] = text.slice(0, split).split('\n');
  if (header !== HEADER) throw invalid(`a ledger proof does not begin with ${HEADER}`);
  const extra = lines[0]?.startsWith('extra ')
    ? strictBase64(lines[0].slice('extra '.length), 'extra data')
    : null;
  if (extra !== null && extra.length > EXTRA_BYTES_MAX)
    throw invalid('a ledger proof has too much extra data');
  const [indexLine = '', ...encoded] = extra === null ? lines : lines.slice(1);
  if (!indexLine.startsWith('index ')) throw invalid('a ledger proof has no index');
  const index = strictDecimal(indexLine.slice('index '.length), 'the index in a ledger proof');
  if (encoded.length > PROOF_HASHES_MAX) throw invalid(`a proof holds more than ${PROOF_HASHES_MAX} hashes`);
  const hashes = encoded.map((line) => strictBase64(line, 'a hash in a ledger proof'));
  assertHashes(hashes);
  const checkpoint = text.slice(split + 2);
  parseNote(checkpoint);
  return { extra, index, hashes, checkpoint };
}

/**
 * Verifies offline that an entry stands in a ledger: the checkpoint's signatures with pinned keys, then the path.
 *
 * @throws PhtError `ledger.invalid`, `signature.invalid` or `signer.unknown`
 */
export function verifyTlogProof(
  proof: TlogProof,
  leafHash: Uint8Array,
  trust: CheckpointTrust,
): OpenedCheckpoint {
  const opened = openCheckpoint(proof.checkpoint, trust);
  const { size, root } = opened.checkpoint;
  verifyInclusion({ leafHash, index: proof.index, size, root, hashes: proof.hashes });
  return opened;
}
