import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { PhtError } from '../../src/model/error.ts';
import { appendEntries, EMPTY_EDGE } from '../../src/model/ledger/append.ts';
import { type Checkpoint, type CheckpointTrust, openCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { leafHash } from '../../src/model/ledger/merkle.ts';
import {
  parseTlogProof,
  verifyConsistency,
  verifyInclusion,
  verifyTlogProof,
} from '../../src/model/ledger/proof.ts';
import { invalid, sameBytes } from '../../src/model/ledger/strict.ts';
import { decodeBundle, tilePath, tilesOfTree } from '../../src/model/ledger/tile.ts';
import { parseVkey } from '../../src/model/ledger/vkey.ts';
import {
  bytesOf,
  type Claim,
  type ConsistencyClaim,
  type HeadClaim,
  type InclusionClaim,
  type LogClaims,
  type ReceiptClaim,
} from './claims.ts';
import { failed, type Outcome, passed } from './outcome.ts';

/** Holds claims against Signalbox; the same against Go's libraries is go/check.go. `folder` is that of the claims. */
export function judgeLog(log: LogClaims, folder: string): Outcome[] {
  const trust: CheckpointTrust = {
    origin: log.origin,
    logKeys: [parseVkey(log.vkey)],
    witnessKeys: log.witnessVkeys.map(parseVkey),
  };
  return [
    judgeFiles(log, trust, join(folder, log.name)),
    ...judgeAll(log.name, 'checkpoints', log.heads, (claim) => judgeHead(claim, trust)),
    ...judgeAll(log.name, 'inclusion proofs', log.inclusions, judgeInclusion),
    ...judgeAll(log.name, 'consistency proofs', log.consistencies, judgeConsistency),
    ...judgeAll(log.name, 'receipts', log.receipts, (claim) => judgeReceipt(claim, trust)),
  ];
}

function judgeAll<T extends Claim>(
  log: string,
  what: string,
  claims: readonly T[],
  judge: (claim: T) => void,
): Outcome[] {
  return [true, false].flatMap((holds) => {
    const meant = claims.filter((claim) => claim.holds === holds);
    if (meant.length === 0) return [];
    const name = holds ? `${log}: ${what} accepted` : `${log}: wrong ${what} refused`;
    const wrong = meant.find((claim) => (refusal(() => judge(claim)) === null) !== holds);
    if (wrong === undefined) return [passed(name, meant.length)];
    const said = refusal(() => judge(wrong));
    return [failed(name, meant.length, `${wrong.label}: should hold: ${holds}, but: ${said}`)];
  });
}

/** Why it was refused, or null. Only a refusal in our own words is one: anything else is a fault of ours. */
function refusal(attempt: () => void): string | null {
  try {
    attempt();
    return null;
  } catch (thrown) {
    if (thrown instanceof PhtError) return thrown.message;
    throw thrown;
  }
}

function judgeHead(claim: HeadClaim, trust: CheckpointTrust): void {
  const { checkpoint, cosignatures } = openCheckpoint(bytesOf(claim.note), trust);
  if (checkpoint.size !== claim.size || !sameBytes(checkpoint.root, bytesOf(claim.root)))
    throw invalid('another size or root than claimed');
  const found = cosignatures.map(({ key, timeS }) => ({ name: key.name, timeS }));
  if (!isDeepStrictEqual(found, claim.cosignatures)) throw invalid('other cosignatures than claimed');
}

function judgeInclusion(claim: InclusionClaim): void {
  const { index, size } = claim;
  const [leaf, root] = [bytesOf(claim.leafHash), bytesOf(claim.root)];
  verifyInclusion({ leafHash: leaf, index, size, root, hashes: claim.hashes.map(bytesOf) });
}

function judgeConsistency(claim: ConsistencyClaim): void {
  const { sizeBefore, size } = claim;
  const [rootBefore, root] = [bytesOf(claim.rootBefore), bytesOf(claim.root)];
  verifyConsistency({ sizeBefore, rootBefore, size, root, hashes: claim.hashes.map(bytesOf) });
}

function judgeReceipt(claim: ReceiptClaim, trust: CheckpointTrust): void {
  const proof = parseTlogProof(bytesOf(claim.file));
  const entry = bytesOf(claim.entry);
  if (proof.extra === null || !sameBytes(proof.extra, entry)) throw invalid('another entry than claimed');
  const { cosignatures } = verifyTlogProof(proof, leafHash(proof.extra), trust);
  if (cosignatures.length !== trust.witnessKeys.length) throw invalid('not every witness has cosigned');
}

function judgeFiles(log: LogClaims, trust: CheckpointTrust, dir: string): Outcome {
  const { checkpoint } = openCheckpoint(readFileSync(join(dir, 'checkpoint')), trust);
  const files = [...tilesOfTree(checkpoint.size)];
  const said = refusal(() => recompute(checkpoint, dir));
  if (!log.treeHolds) {
    const name = `${log.name}: refused`;
    return said !== null ? passed(name, 1) : failed(name, 1, 'every tile and the root fit the bundles');
  }
  const name = `${log.name}: files recomputed from the bundles`;
  return said === null ? passed(name, files.length) : failed(name, files.length, said);
}

/** The tree once more from nothing but its bundles. */
function recompute({ size, root }: Checkpoint, dir: string): void {
  const tiles = [...tilesOfTree(size)];
  const entries = tiles
    .filter(({ level }) => level === 'entries')
    .flatMap((tile) => decodeBundle(readTile(dir, tilePath(tile)), tile.width));
  const appended = appendEntries(EMPTY_EDGE, entries);
  if (!sameBytes(appended.root, root)) throw invalid('the entries do not give the root that was signed');
  const made = new Map(appended.files.map(({ tile, bytes }) => [tilePath(tile), bytes]));
  for (const path of tiles.map(tilePath)) {
    const bytes = made.get(path);
    if (bytes === undefined || !sameBytes(bytes, readTile(dir, path)))
      throw invalid(`${path} is not what the entries give`);
  }
}

function readTile(dir: string, path: string): Buffer {
  if (!existsSync(join(dir, path))) throw invalid(`${path} is missing`);
  return readFileSync(join(dir, path));
}
