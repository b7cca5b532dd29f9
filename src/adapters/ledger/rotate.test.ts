import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ed25519, signerOf } from '../../../test/fakes/network.ts';
import { openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { decodeEntry, type LedgerEntry } from '../../model/ledger/entry.ts';
import { ledgerOrigin, logKey } from '../../model/ledger/origin.ts';
import { keyIdText, readRotation } from '../../model/ledger/rotation.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import type { Ledger, LedgerRows, NewEntry } from '../../ports/ledger.ts';
import type { Signer } from '../../ports/signer.ts';
import { type Database, openDatabase } from '../store/database.ts';
import { createAppend, createLedgerRows, LEDGER_TABLES } from '../store/ledger-rows.ts';
import { createLedger, type LedgerOptions } from './files.ts';

/** A ledger whose key is replaced between two starts. */

const ORIGIN = ledgerOrigin('a'.repeat(64), 'north');
const NOTHING = { trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null };
const ENTRY: NewEntry = { type: 'rejects.counted', ...NOTHING, body: { count: 1 } };

let dir: string;
let database: Database;
let rows: LedgerRows;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rotate-'));
  database = openDatabase(join(dir, 'store.db'), [LEDGER_TABLES]);
  rows = createLedgerRows(database);
});
afterEach(() => {
  database.close();
  rmSync(dir, { recursive: true, force: true });
});

const [first, second, third] = [signerOf(ed25519()), signerOf(ed25519()), signerOf(ed25519())];
const keyOf = ({ publicJwk }: Signer): NoteKey => logKey(ORIGIN, publicJwk);
const KEYS = [first, second, third].map(keyOf);

function append(...entries: NewEntry[]): number {
  const write = createAppend(database, 'north');
  return database.transaction(() => write(entries, 1000));
}

function started(signer: Signer, former: Signer[], options: Partial<LedgerOptions> = {}): Ledger {
  const rotation = { former, append: (entry: NewEntry) => void append(entry) };
  return createLedger({ rows, dir: join(dir, 'ledger'), origin: ORIGIN, signer, rotation, ...options });
}

/** Which key signed the head of this size. */
function signerAt(size: number): string[] {
  const head = rows.signedAt(size);
  if (head === null) return [];
  return openCheckpoint(head.text, { origin: ORIGIN, logKeys: KEYS, witnessKeys: [] }).signedBy.map(
    keyIdText,
  );
}

const ids = (...signers: Signer[]): string[] => signers.map((signer) => keyIdText(keyOf(signer)));
const entries = (): LedgerEntry[] => rows.read(0, rows.size()).map(decodeEntry);
const rotations = (): { index: number; from: string; to: string }[] =>
  entries().flatMap(({ type, body }, index) => {
    if (type !== 'log.rotated') return [];
    const { from, to } = readRotation(body, index, KEYS);
    return [{ index, from: keyIdText(from), to: keyIdText(to) }];
  });

describe('a ledger with a new key', () => {
  it('goes on behind an entry that both keys have signed', async () => {
    await started(first, []).covered(append(ENTRY, ENTRY));
    const log = started(second, [first]);
    await log.open();
    expect(rotations()).toEqual([{ index: 2, from: ids(first)[0], to: ids(second)[0] }]);
    expect(rows.checkpoint()?.size).toBe(2);
    await log.covered(rows.size());
    await log.covered(append(ENTRY));
    expect([signerAt(2), signerAt(3), signerAt(4)]).toEqual([ids(first), ids(second), ids(second)]);
  });

  it('does so once, however often it is started', async () => {
    await started(first, []).covered(append(ENTRY));
    for (let starts = 0; starts < 3; starts++) await started(second, [first]).open();
    await started(second, [first]).covered(append(ENTRY));
    for (let starts = 0; starts < 3; starts++) await started(second, [first]).open();
    expect(rotations()).toHaveLength(1);
    expect(rows.size()).toBe(3);
    expect(signerAt(3)).toEqual(ids(second));
  });

  it('puts the boundary behind what the old key had not signed yet', async () => {
    await started(first, []).covered(append(ENTRY));
    append(ENTRY, ENTRY);
    await started(second, [first]).covered(3);
    expect(rotations()).toMatchObject([{ index: 3 }]);
    expect([1, 2, 3, 4].map(signerAt)).toEqual([ids(first), [], [], ids(second)]);
  });

  it('goes on from a key that was announced and never signed a head', async () => {
    await started(first, []).covered(append(ENTRY));
    await started(second, [first]).open();
    await started(third, [second, first]).covered(append(ENTRY));
    expect(rotations()).toMatchObject([
      { index: 1, from: ids(first)[0], to: ids(second)[0] },
      { index: 3, from: ids(second)[0], to: ids(third)[0] },
    ]);
    expect(signerAt(4)).toEqual(ids(third));
  });

  it('signs nothing before others have said what they saw, and keeps the entry for then', async () => {
    await started(first, []).covered(append(ENTRY));
    const asked: number[] = [];
    const beforeSigning = async ({ size }: { size: number }): Promise<void> => {
      asked.push(size);
      if (asked.length === 1) throw new Error('not yet');
    };
    const log = started(second, [first], { beforeSigning });
    await log.open();
    await expect(log.covered(2)).rejects.toThrow('not yet');
    await log.covered(2);
    expect([asked, rotations().length, signerAt(2)]).toEqual([[1, 1], 1, ids(second)]);
  });

  it('of which the old private half is gone, signs nothing', async () => {
    await started(first, []).covered(append(ENTRY));
    await expect(started(second, []).open()).rejects.toMatchObject({ code: 'signer.unknown' });
    expect(rows.size()).toBe(1);
  });

  it('that never signed anything has nothing to rotate', async () => {
    append(ENTRY);
    await started(second, [first]).covered(1);
    expect([rotations(), signerAt(1)]).toEqual([[], ids(second)]);
  });
});
