import { createPrivateKey, createPublicKey, hash, type KeyObject, sign } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { ROOT } from '../scripts/demo/pht.ts';
import type { PinnedLog } from '../src/journey/auditor/open-head.ts';
import { digestOf, hopIdOf, trainIdOf } from '../src/model/id.ts';
import { appendEntries, EMPTY_EDGE, type TreeEdge } from '../src/model/ledger/append.ts';
import { signCheckpoint } from '../src/model/ledger/checkpoint.ts';
import { type EntryType, encodeEntry, type LedgerEntry } from '../src/model/ledger/entry.ts';
import type { NoteSigner } from '../src/model/ledger/note.ts';
import { partialTiles, TILE_WIDTH, type Tile, type TileFile, tilePath } from '../src/model/ledger/tile.ts';
import { noteKey, TYPE_LOG } from '../src/model/ledger/vkey.ts';

/** A station's log of a million entries of some 300 bytes, made once and kept, and one that grew from it. */

export const LOG_ENTRIES = 1_000_000;
export const GROWN_ENTRIES = 1_000;
export const MEMBER = 'north';
export const ORIGIN = `${'0'.repeat(64)}.example/${MEMBER}`;
const START_MS = Date.UTC(2026, 0, 1);
const CHUNK_ENTRIES = 64 * TILE_WIDTH;
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

const key: KeyObject = createPrivateKey({
  key: Buffer.concat([PKCS8_ED25519, Buffer.alloc(32, 7)]),
  format: 'der',
  type: 'pkcs8',
});
const RAW_KEY_BYTES = 32;
const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-RAW_KEY_BYTES);
const signer: NoteSigner = {
  key: noteKey(ORIGIN, TYPE_LOG, publicKey),
  sign: (message) => sign(null, message, key),
};

export const LOG: PinnedLog = { member: MEMBER, origin: ORIGIN, keys: [signer.key] };

type Body = LedgerEntry['body'];
const HOP: readonly (readonly [EntryType, (digest: string) => Body])[] = [
  ['order.received', (orderDigest) => ({ orderDigest })],
  ['manifest.verified', () => ({ networkVersion: 1 })],
  ['policy.decided', () => ({ error: false, rules: ['research', 'no-commerce'], verdict: 'permit' })],
  ['clearance.recorded', () => ({ by: 'policy' })],
  ['run.started', () => ({ runAs: '65534:65534' })],
  ['run.ended', () => ({ exit: 0 })],
  ['output.screened', (commitment) => ({ commitment })],
  ['result.released', (jweDigest) => ({ jweDigest })],
  ['receipt.issued', () => ({ code: 'released', outcome: 'released' })],
];

export function entryAt(index: number, actor: string = MEMBER): LedgerEntry {
  const hop = Math.floor(index / HOP.length);
  const [type, body] = HOP[index % HOP.length] ?? HOP[0] ?? fail();
  const manifestDigest = digestOf(`manifest ${hop}`);
  const orderDigest = digestOf(`order ${hop}`);
  return {
    v: 1,
    ts: START_MS + index,
    type,
    trainId: trainIdOf(manifestDigest),
    hopId: hopIdOf(orderDigest),
    attempt: 1,
    epoch: 1,
    manifestDigest,
    actor,
    prev: null,
    body: body(orderDigest),
  };
}

function fail(): never {
  throw new Error('there is no such entry');
}

/** @returns a folder with the log's folder in it, at `LOG_ENTRIES` or grown by `GROWN_ENTRIES` */
export function logFolder(grown: boolean, say: (line: string) => void): string {
  const size = LOG_ENTRIES + (grown ? GROWN_ENTRIES : 0);
  const folder = join(ROOT, '.state/bench-ledger', String(size));
  if (existsSync(join(folder, MEMBER, 'checkpoint'))) return folder;
  say(`writing a log of ${size} entries into ${folder}, once`);
  rmSync(folder, { recursive: true, force: true });
  writeLog(join(folder, MEMBER), size);
  return folder;
}

function writeLog(dir: string, size: number): void {
  let edge: TreeEdge = EMPTY_EDGE;
  let root: Uint8Array = new Uint8Array();
  // What is not full is written with the last of it.
  const open = new Map<Tile['level'], TileFile>();
  const made = new Set<string>();
  const write = (path: string, bytes: Uint8Array): void => {
    const folder = dirname(path);
    if (!made.has(folder)) mkdirSync(folder, { recursive: true });
    made.add(folder);
    writeFileSync(path, bytes);
  };
  while (edge.range.size < size) {
    const first = edge.range.size;
    const count = Math.min(CHUNK_ENTRIES, size - first);
    const entries = Array.from({ length: count }, (_, at) => encodeEntry(entryAt(first + at)));
    const appended = appendEntries(edge, entries);
    for (const { tile, bytes } of appended.files) {
      if (tile.width === TILE_WIDTH) write(join(dir, tilePath(tile)), bytes);
      else open.set(tile.level, { tile, bytes });
    }
    ({ edge, root } = appended);
  }
  const paths = new Set(partialTiles(size).map(tilePath));
  for (const { tile, bytes } of open.values()) {
    if (paths.has(tilePath(tile))) write(join(dir, tilePath(tile)), bytes);
  }
  write(
    join(dir, 'checkpoint'),
    Buffer.from(signCheckpoint({ origin: ORIGIN, size, root, extensions: [] }, signer)),
  );
}

export function checkpointIn(folder: string): Uint8Array {
  return readFileSync(join(folder, MEMBER, 'checkpoint'));
}

const HASHES = 300_000;
const ROW = Buffer.alloc(300, 1);

/** What one thread hashes at most: a leaf of 300 bytes and one node for each entry, and nothing else. */
export function bareHashesPerS(): number {
  const [leaf, node] = [Buffer.alloc(301, 1), Buffer.alloc(65, 1)];
  const startedMs = performance.now();
  for (let at = 0; at < HASHES; at++) {
    hash('sha256', leaf, 'hex');
    hash('sha256', node, 'hex');
  }
  return (HASHES * 1000) / (performance.now() - startedMs);
}

/** One row written behind the others and made durable, in ms. */
export function bareSyncMs(): number {
  const path = join(ROOT, '.state/bench-sync');
  const file = openSync(path, 'a');
  try {
    const startedMs = performance.now();
    writeSync(file, ROW);
    fdatasyncSync(file);
    return performance.now() - startedMs;
  } finally {
    closeSync(file);
    rmSync(path);
  }
}
