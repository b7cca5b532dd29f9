import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLedger } from '../../src/adapters/ledger/files.ts';
import { openDatabase } from '../../src/adapters/store/database.ts';
import { createAppend, createLedgerRows, LEDGER_TABLES } from '../../src/adapters/store/ledger-rows.ts';
import { cosignCheckpoint, parseCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { leafHash } from '../../src/model/ledger/merkle.ts';
import { type NoteSigner, parseNote } from '../../src/model/ledger/note.ts';
import { ledgerOrigin, logKey, witnessKey } from '../../src/model/ledger/origin.ts';
import { parseTlogProof } from '../../src/model/ledger/proof.ts';
import { formatVkey } from '../../src/model/ledger/vkey.ts';
import type { NewEntry } from '../../src/ports/ledger.ts';
import { ed25519, signerOf } from '../fakes/network.ts';
import {
  base64,
  type ConsistencyClaim,
  type HeadClaim,
  type InclusionClaim,
  type LogClaims,
  type ReceiptClaim,
} from './claims.ts';

/**
 * Sizes at which each log is signed: around the width of a tile, where a second and a third level of tiles begin, and
 * where a tree is perfect.
 */
const HEADS: readonly (readonly [number, ...number[]])[] = [
  [1],
  [2, 3, 255],
  [7, 128, 256],
  [255, 256, 257],
  [1, 256, 511, 512, 513, 700],
  [1, 257, 65_535, 65_536, 65_537, 70_000],
];

const NETWORK_ID = 'a'.repeat(64);
const WRITTEN_MS = 1_790_000_000_000;
/** The second beyond 2^31, which a reader of 32 bits would not understand. */
const COSIGNED_S = [1_790_000_000, 4_102_444_800];
/** Longer than a byte can count, so that both bytes of a bundle's lengths matter. */
const LONG_TEXT = 'Zürich, '.repeat(40);

/** Logs as a member's process makes them, in the real store and files, each in a folder of its own below `folder`. */
export async function makeLogs(folder: string): Promise<LogClaims[]> {
  const logs: LogClaims[] = [];
  for (const sizes of HEADS) logs.push(await makeLog(folder, sizes));
  logs.push(await makeLog(folder, [3, 257, 300], signerOf(ed25519())));
  return logs;
}

/** @param former whose head of two entries came before the key was rotated: nobody claims anything of that any more */
async function makeLog(
  folder: string,
  sizes: readonly [number, ...number[]],
  former?: ReturnType<typeof signerOf>,
): Promise<LogClaims> {
  const name = `${former === undefined ? 'ours' : 'rotated'}-${Math.max(...sizes)}`;
  const dir = join(folder, name);
  const database = openDatabase(join(folder, `${name}.db`), [LEDGER_TABLES]);
  try {
    const signer = signerOf(ed25519());
    const origin = ledgerOrigin(NETWORK_ID, name);
    const rows = createLedgerRows(database);
    const append = createAppend(database, name);
    const add = (entries: NewEntry[]): number => database.transaction(() => append(entries, WRITTEN_MS));
    const parts = { rows, dir, origin, publishAtOnce: () => false };
    if (former !== undefined)
      await createLedger({ ...parts, signer: former }).covered(add([entryAt(0), entryAt(1)]));
    const now = { signer, former: former === undefined ? [] : [former] };
    const rotated = { signers: async () => now, append: (entry: NewEntry) => void add([entry]) };
    const ledger = createLedger({ ...parts, signer: rotated });
    await ledger.open();
    const witnesses = ['dispatcher', 'south'].map(makeWitness);
    const heads: HeadClaim[] = [];
    const inclusions: InclusionClaim[] = [];
    const receipts: ReceiptClaim[] = [];
    const consistencies: ConsistencyClaim[] = [];
    for (const size of sizes) {
      const entries = Array.from({ length: size - rows.size() }, (_, at) => entryAt(rows.size() + at));
      await ledger.covered(add(entries));
      const { text } = parseNote(ledger.checkpoint()?.text ?? '');
      await ledger.publish(
        size,
        witnesses.map((witness, at) => cosignCheckpoint(text, witness, COSIGNED_S[at] ?? 0)),
      );
      const head = headOf(size, readFileSync(join(dir, 'checkpoint')), witnesses);
      for (const index of indexesIn(size)) {
        const file = await ledger.tree.prove(index);
        const [entry = new Uint8Array()] = rows.read(index, index + 1);
        const hashes = parseTlogProof(file).hashes.map(base64);
        const label = `entry ${index} of ${size}`;
        const leaf = base64(leafHash(entry));
        inclusions.push({ label, holds: true, leafHash: leaf, index, size, root: head.root, hashes });
        receipts.push({ label, holds: true, file: base64(file), entry: base64(entry) });
      }
      for (const { size: sizeBefore, root: rootBefore } of heads) {
        const hashes = (await ledger.tree.consistency(sizeBefore, size)).map(base64);
        const label = `from ${sizeBefore} to ${size}`;
        consistencies.push({ label, holds: true, sizeBefore, rootBefore, size, root: head.root, hashes });
      }
      heads.push(head);
    }
    const vkey = formatVkey(logKey(origin, signer.publicJwk));
    const witnessVkeys = witnesses.map(({ key }) => formatVkey(key));
    return { name, origin, vkey, witnessVkeys, treeHolds: true, heads, inclusions, consistencies, receipts };
  } finally {
    database.close();
  }
}

function makeWitness(member: string): NoteSigner {
  const { sign, publicJwk } = signerOf(ed25519());
  return { key: witnessKey(NETWORK_ID, member, publicJwk), sign };
}

function headOf(size: number, note: Uint8Array, witnesses: readonly NoteSigner[]): HeadClaim {
  const { root } = parseCheckpoint(parseNote(note).text);
  const cosignatures = witnesses.map(({ key }, at) => ({ name: key.name, timeS: COSIGNED_S[at] ?? 0 }));
  return {
    label: `checkpoint of ${size}`,
    holds: true,
    note: base64(note),
    size,
    root: base64(root),
    cosignatures,
  };
}

/** Every entry is another, so that no proof holds by chance for the wrong one. */
function entryAt(index: number): NewEntry {
  const body = index % 3 === 0 ? { count: index, place: LONG_TEXT } : { count: index };
  const nobody = { trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null };
  return { type: 'rejects.counted', ...nobody, body };
}

/** The edges of the tree and of its tiles, and some between. */
function indexesIn(size: number): number[] {
  const wanted = [0, 1, 2, 127, 128, 255, 256, 300, 511, 512, 65_535, 65_536, Math.floor(size / 3), size - 1];
  return [...new Set(wanted)].filter((index) => index < size);
}
