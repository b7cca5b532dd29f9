import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ed25519, signerOf } from '../../../test/fakes/network.ts';
import { openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { decodeEntry, type LedgerEntry } from '../../model/ledger/entry.ts';
import { leafHash, rootOfLeaves } from '../../model/ledger/merkle.ts';
import { ledgerOrigin, logKey } from '../../model/ledger/origin.ts';
import { keyIdText, readRotation, wrongKeyOf } from '../../model/ledger/rotation.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import type { Ledger, LedgerRows, LogSigners, NewEntry } from '../../ports/ledger.ts';
import type { Signer } from '../../ports/signer.ts';
import { type Database, openDatabase } from '../store/database.ts';
import { createAppend, createLedgerRows, LEDGER_TABLES } from '../store/ledger-rows.ts';
import { DISK } from './disk.ts';
import { createLedger, type LedgerOptions } from './files.ts';

/** A ledger whose key is replaced, between two starts or while it is at work. */

const ORIGIN = ledgerOrigin('a'.repeat(64), 'north');
const NOTHING = { trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null };
const ENTRY: NewEntry = { type: 'rejects.counted', ...NOTHING, body: { count: 1 } };

let dir: string;
let database: Database;
let rows: LedgerRows;

beforeEach(() => {
  // Hundreds of synced commits are slow on a disk.
  dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'rotate-'));
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
  return running(() => ({ signer, former }), options);
}

function running(now: () => LogSigners, options: Partial<LedgerOptions> = {}): Ledger {
  let last = now();
  const signers = async (): Promise<LogSigners> => {
    const { signer, former } = now();
    // As it is while nothing changes.
    if (signer !== last.signer) last = { signer, former };
    return last;
  };
  const rotated = { signers, append: (entry: NewEntry) => void append(entry) };
  return createLedger({ rows, dir: join(dir, 'ledger'), origin: ORIGIN, signer: rotated, ...options });
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

/** What an audit asks of every head that was ever signed: its key by the rotations below it, and its root. */
function assertSound(): void {
  const leaves = rows.read(0, rows.size()).map(leafHash);
  const all = entries().flatMap(({ type, body }, index) =>
    type === 'log.rotated' ? [readRotation(body, index, KEYS)] : [],
  );
  for (const [at, { from }] of all.entries()) if (at > 0) expect(from).toBe(all[at - 1]?.to);
  for (let size = 1; size <= rows.size(); size++) {
    const head = rows.signedAt(size);
    if (head === null) continue;
    const trust = { origin: ORIGIN, logKeys: KEYS, witnessKeys: [] };
    const { checkpoint, signedBy } = openCheckpoint(head.text, trust);
    expect(wrongKeyOf(size, signedBy, all)).toBeNull();
    expect(Buffer.from(checkpoint.root)).toEqual(Buffer.from(rootOfLeaves(leaves.slice(0, size))));
  }
}

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

describe('a key that is replaced while the ledger is at work', () => {
  it('signs from the next head on, behind an entry of both', async () => {
    let now: LogSigners = { signer: first, former: [] };
    const log = running(() => now);
    await log.covered(append(ENTRY, ENTRY));
    now = { signer: second, former: [first] };
    // Nothing is there to be signed, and nothing is.
    await log.covered(2);
    expect(rotations()).toEqual([]);
    await log.covered(append(ENTRY));
    expect(rotations()).toEqual([{ index: 3, from: ids(first)[0], to: ids(second)[0] }]);
    await log.covered(append(ENTRY));
    now = { signer: third, former: [second, first] };
    await log.covered(append(ENTRY));
    expect([2, 4, 5, 7].map(signerAt)).toEqual([ids(first), ids(second), ids(second), ids(third)]);
    expect(rotations()).toHaveLength(2);
    assertSound();
    await started(third, [second, first]).open();
    expect([rows.size(), rows.checkpoint()?.size]).toEqual([7, 7]);
  });

  it('loses none of the appends that go on meanwhile', async () => {
    let now: LogSigners = { signer: first, former: [] };
    const log = running(() => now);
    const waits: Promise<void>[] = [];
    for (let count = 0; count < 60; count++) {
      // At least one head with each of the keys.
      if (count === 20 || count === 40) await waits[count - 20];
      if (count === 20) now = { signer: second, former: [first] };
      if (count === 40) now = { signer: third, former: [second, first] };
      waits.push(log.covered(append(ENTRY)));
      if (count % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(waits);
    expect(entries().filter(({ type }) => type === 'rejects.counted')).toHaveLength(60);
    expect(rotations()).toHaveLength(2);
    expect(signerAt(rows.checkpoint()?.size ?? 0)).toEqual(ids(third));
    assertSound();
  });

  it('waits for others to say what they saw where those that did are doubted', async () => {
    let [now, vouched, asked]: [LogSigners, boolean, number] = [{ signer: first, former: [] }, false, 0];
    const beforeSigning = async (): Promise<void> => {
      asked++;
      if (!vouched) throw new Error('not yet');
    };
    const log = running(() => now, { beforeSigning, isVouchedFor: () => vouched });
    vouched = true;
    await log.covered(append(ENTRY));
    [vouched, now] = [false, { signer: second, former: [first] }];
    await expect(log.covered(append(ENTRY))).rejects.toThrow('not yet');
    vouched = true;
    await log.covered(append(ENTRY));
    expect([asked, rotations().length, signerAt(4)]).toEqual([2, 1, ids(second)]);
    assertSound();
  });

  it('is not given up for an older one, whoever lists that again', async () => {
    let now: LogSigners = { signer: first, former: [] };
    const log = running(() => now);
    await log.covered(append(ENTRY));
    now = { signer: second, former: [first] };
    await log.covered(append(ENTRY));
    now = { signer: first, former: [] };
    await expect(log.covered(append(ENTRY))).rejects.toMatchObject({ code: 'signer.unknown' });
    // Announced, and never signed with: the same.
    append(ENTRY);
    now = { signer: third, former: [second, first] };
    const beforeSigning = async (): Promise<void> => {
      throw new Error('not yet');
    };
    await expect(running(() => now, { beforeSigning }).covered(rows.size())).rejects.toThrow('not yet');
    await expect(started(second, [first]).open()).rejects.toMatchObject({ code: 'signer.unknown' });
    await started(third, [second, first]).covered(rows.size());
    assertSound();
  });

  it('leaves a ledger that verifies wherever the process dies', async () => {
    let kills = 0;
    for (let finished = false; !finished; ) {
      database.run('DELETE FROM ledger_entries');
      database.run('DELETE FROM ledger_checkpoints');
      database.run('DELETE FROM ledger_published');
      rmSync(join(dir, 'ledger'), { recursive: true, force: true });
      finished = !(await dies(kills++));
      assertSound();
      const appended = entries().filter(({ type }) => type === 'rejects.counted').length;
      // The file was in force before the key was replaced, so that is what the next start finds.
      await started(second, [first]).covered(append(ENTRY));
      await started(second, [first]).open();
      expect(entries().filter(({ type }) => type === 'rejects.counted')).toHaveLength(appended + 1);
      expect(rotations().length).toBeLessThanOrEqual(1);
      expect(signerAt(rows.size())).toEqual(ids(second));
      assertSound();
    }
    expect(kills).toBeGreaterThan(40);
  });
});

/** A ledger at work whose key is replaced, killed before one call on store, disk or keys. @returns whether it was */
async function dies(at: number): Promise<boolean> {
  let calls = 0;
  const alive = (): void => {
    if (calls++ >= at) throw new Error('killed');
  };
  const mortal = <T extends object>(port: T): T =>
    new Proxy(port, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== 'function') return member;
        return (...parameters: unknown[]): unknown => {
          alive();
          return Reflect.apply(member, target, parameters);
        };
      },
    });
  let now: LogSigners = { signer: first, former: [] };
  const signer = mortal({
    signers: async () => now,
    append: (entry: NewEntry) => void append(entry),
  });
  const parts = { rows: mortal(rows), disk: mortal(DISK), signer };
  const log = createLedger({ ...parts, dir: join(dir, 'ledger'), origin: ORIGIN });
  try {
    await log.open();
    await log.covered(append(ENTRY));
    now = { signer: second, former: [first] };
    await log.covered(append(ENTRY, ENTRY));
    await log.covered(append(ENTRY));
    return false;
  } catch (thrown) {
    if (calls <= at) throw thrown;
    return true;
  }
}
