import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { signCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { rootOfLeaves } from '../../src/model/ledger/merkle.ts';
import { logKey } from '../../src/model/ledger/origin.ts';
import { encodeBundle, encodeTile } from '../../src/model/ledger/tile.ts';
import { formatVkey } from '../../src/model/ledger/vkey.ts';
import { ed25519, signerOf } from '../fakes/network.ts';
import type { LogClaims } from './claims.ts';

const CLAIMS_NOTHING = { treeHolds: false, heads: [], inclusions: [], consistencies: [], receipts: [] };

/** What each damage does to a log of 700 entries: it overwrites one byte, cuts the file short or takes it away. */
const DAMAGES: readonly { name: string; path: string; damage: (bytes: Buffer) => Buffer | null }[] = [
  { name: 'entry-changed', path: 'tile/entries/001', damage: (bytes) => turned(bytes, 40) },
  { name: 'length-changed', path: 'tile/entries/000', damage: (bytes) => turned(bytes, 1) },
  { name: 'bundle-cut', path: 'tile/entries/002.p/188', damage: (bytes) => bytes.subarray(0, -1) },
  { name: 'bundle-missing', path: 'tile/entries/001', damage: () => null },
  { name: 'leaf-tile-changed', path: 'tile/0/000', damage: (bytes) => turned(bytes, 8191) },
  { name: 'upper-tile-changed', path: 'tile/1/000.p/2', damage: (bytes) => turned(bytes, 33) },
  { name: 'tile-missing', path: 'tile/0/002.p/188', damage: () => null },
];

function turned(bytes: Buffer, at: number): Buffer {
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  return bytes;
}

/** Copies of `log`, which has 700 entries, with one damage each, and a log with one rule of RFC 6962 broken. */
export function makeDamaged(folder: string, log: LogClaims): LogClaims[] {
  const copies = DAMAGES.map(({ name, path, damage }) => {
    cpSync(join(folder, log.name), join(folder, name), { recursive: true });
    const file = join(folder, name, path);
    const bytes = damage(readFileSync(file));
    if (bytes === null) rmSync(file);
    else writeFileSync(file, bytes);
    return { ...log, ...CLAIMS_NOTHING, name };
  });
  return [...copies, makeWrongLeaves(folder)];
}

/** Sound in itself and properly signed, but its leaves are hashed as nodes are. */
function makeWrongLeaves(folder: string): LogClaims {
  const name = 'wrong-leaf-prefix';
  const signer = signerOf(ed25519());
  const key = logKey(name, signer.publicJwk);
  const entries = Array.from({ length: 5 }, (_, at) => Buffer.from(`entry ${at}`));
  const leaves = entries.map((entry) => createHash('sha256').update(Buffer.of(0x01)).update(entry).digest());
  const head = { origin: name, size: entries.length, root: rootOfLeaves(leaves), extensions: [] };
  const files = {
    'tile/entries/000.p/5': encodeBundle(entries),
    'tile/0/000.p/5': encodeTile(leaves),
    checkpoint: signCheckpoint(head, { key, sign: signer.sign }),
  };
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name, path)), { recursive: true });
    writeFileSync(join(folder, name, path), bytes);
  }
  return { name, origin: name, vkey: formatVkey(key), witnessVkeys: [], ...CLAIMS_NOTHING };
}
