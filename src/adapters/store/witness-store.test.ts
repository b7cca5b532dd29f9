import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ed25519, signerOf } from '../../../test/fakes/network.ts';
import { digestOf } from '../../model/id.ts';
import { signCheckpoint } from '../../model/ledger/checkpoint.ts';
import { decodeEntry } from '../../model/ledger/entry.ts';
import { codeOf } from '../../model/ledger/golden.fixture.ts';
import { EMPTY_ROOT, leafHash } from '../../model/ledger/merkle.ts';
import { conflictDigest } from '../../model/ledger/misconduct.ts';
import type { NoteSigner } from '../../model/ledger/note.ts';
import { ledgerOrigin, logKey } from '../../model/ledger/origin.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import type { NewEntry } from '../../ports/ledger.ts';
import type { WitnessedHead, WitnessStore } from '../../ports/witness.ts';
import { type Database, integer, openDatabase } from './database.ts';
import { createAppend, createLedgerRows, LEDGER_TABLES } from './ledger-rows.ts';
import { createWitnessStore, eraseDecisions, WITNESS_TABLES } from './witness-store.ts';

const ORIGIN = ledgerOrigin('a'.repeat(64), 'dispatcher');
const OTHER = ledgerOrigin('a'.repeat(64), 'south');
const NOW_MS = 1_000;

let home: string;
let database: Database;
let store: WitnessStore;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'witness-store-'));
  open();
});

afterEach(() => {
  database.close();
  rmSync(home, { recursive: true, force: true });
});

function open(): void {
  database = openDatabase(join(home, 'store.db'), [LEDGER_TABLES, WITNESS_TABLES]);
  store = createWitnessStore(database, createAppend(database, 'north'));
}

const key = ed25519();

function head(size: number, root: string, origin: string = ORIGIN): WitnessedHead {
  const signer: NoteSigner = { key: logKey(origin, signerOf(key).publicJwk), sign: signerOf(key).sign };
  const hash = leafHash(Buffer.from(root));
  return { size, root: hash, note: signCheckpoint({ origin, size, root: hash, extensions: [] }, signer) };
}

const note = (next: WitnessedHead, nowMs: number = NOW_MS) =>
  store.noteHead('dispatcher', ORIGIN, next, nowMs);

function entries(): { type: string; body: object }[] {
  const rows = createLedgerRows(database);
  return rows.read(0, rows.size()).map((bytes) => {
    const { type, body } = decodeEntry(bytes);
    return { type, body };
  });
}

const decided: NewEntry = {
  type: 'trust.decided',
  trainId: null,
  hopId: null,
  attempt: null,
  epoch: null,
  manifestDigest: null,
  prev: null,
  body: {},
};

describe('the last cosigned head', () => {
  test('moves by compare-and-set, one ledger apart from the other, and survives a restart', () => {
    expect(store.head(ORIGIN)).toBeNull();
    expect(store.advance(ORIGIN, 3, head(5, 'a'))).toBe(false);
    expect(store.advance(ORIGIN, 0, head(5, 'a'))).toBe(true);
    expect(store.advance(OTHER, 0, head(2, 'x', OTHER))).toBe(true);
    expect(store.advance(ORIGIN, 0, head(9, 'b'))).toBe(false);
    expect(store.advance(ORIGIN, 5, head(7, 'b'))).toBe(true);
    database.close();
    open();
    expect(store.head(ORIGIN)).toMatchObject({ size: 7, note: head(7, 'b').note });
    expect(store.head(OTHER)?.size).toBe(2);
  });

  test('never goes back and never takes another root for its size', () => {
    store.advance(ORIGIN, 0, head(5, 'a'));
    expect(store.advance(ORIGIN, 5, head(4, 'a'))).toBe(false);
    expect(store.advance(ORIGIN, 5, head(5, 'b'))).toBe(false);
    expect(store.advance(ORIGIN, 5, { ...head(5, 'a'), note: 'again' })).toBe(true);
    expect(store.head(ORIGIN)).toMatchObject({ size: 5, note: 'again' });
  });

  test('that of an empty ledger is one like others', () => {
    const empty = { size: 0, root: EMPTY_ROOT, note: 'first' };
    expect(store.advance(ORIGIN, 0, empty)).toBe(true);
    expect(store.head(ORIGIN)).toMatchObject({ size: 0, note: 'first' });
    expect(store.advance(ORIGIN, 0, head(1, 'a'))).toBe(true);
    expect(store.head(ORIGIN)?.size).toBe(1);
  });
});

describe('two roots for one size', () => {
  test('are kept with both notes and one entry, once, also after a restart', () => {
    expect(note(head(5, 'a'))).toBeNull();
    expect(note(head(5, 'a'))).toBeNull();
    expect(note(head(6, 'c'))).toBeNull();
    const conflict = note(head(5, 'b'), 2_000);
    const notes = [head(5, 'a').note, head(5, 'b').note] as const;
    expect(conflict).toEqual({ member: 'dispatcher', origin: ORIGIN, size: 5, notes, foundAtMs: 2_000 });
    database.close();
    open();
    expect(note(head(5, 'b'), 3_000)).toEqual(conflict);
    expect(store.conflicts()).toEqual([conflict]);
    const digest = conflictDigest({ origin: ORIGIN, size: 5, notes });
    expect(entries()).toEqual([
      { type: 'witness.conflict', body: { origin: ORIGIN, size: 5, conflictDigest: digest } },
    ]);
  });

  test('are found against the cosigned head as well', () => {
    store.advance(ORIGIN, 0, head(5, 'a'));
    expect(note(head(5, 'a'))).toBeNull();
    expect(note(head(5, 'b'))?.notes).toEqual([head(5, 'a').note, head(5, 'b').note]);
  });

  test('of two ledgers contradict nothing', () => {
    note(head(5, 'a'));
    expect(store.noteHead('south', OTHER, head(5, 'b', OTHER), NOW_MS)).toBeNull();
    expect(store.conflicts()).toEqual([]);
  });

  test('are kept by a witness without a ledger too', () => {
    store = createWitnessStore(database, null);
    note(head(5, 'a'));
    note(head(5, 'b'));
    expect(store.conflicts()).toHaveLength(1);
    expect(entries()).toEqual([]);
  });

  test('are not kept without their entry', () => {
    store = createWitnessStore(database, () => {
      throw new Error('the disk is full');
    });
    note(head(5, 'a'));
    expect(() => note(head(5, 'b'))).toThrow('the disk is full');
    expect(store.conflicts()).toEqual([]);
  });
});

describe('a bound on what a liar can fill', () => {
  test('the newest heads stay, each ledger for itself', () => {
    store.noteHead('south', OTHER, head(1, 'x', OTHER), NOW_MS);
    database.transaction(() => {
      for (let size = 1; size <= 1_100; size++) note(head(size, 'a'));
    });
    const held = database.get(
      'SELECT count(*) AS n, min(size) AS least FROM witness_heads WHERE origin = ?',
      ORIGIN,
    );
    expect(held).toMatchObject({ n: 1024, least: 77 });
    expect(note(head(77, 'b'))).not.toBeNull();
    expect(note(head(76, 'b')), 'no longer remembered').toBeNull();
    expect(store.noteHead('south', OTHER, head(1, 'y', OTHER), NOW_MS)).not.toBeNull();
  });

  test('the cosigned head stays whatever is shown after it', () => {
    note(head(5, 'a'));
    store.advance(ORIGIN, 0, head(5, 'a'));
    database.transaction(() => {
      for (let size = 10_000; size < 11_100; size++) note(head(size, 'a'));
    });
    expect(note(head(5, 'b'))).not.toBeNull();
  });

  test('a ledger that signs root after root is on record sixteen times until somebody decides', () => {
    note(head(5, 'a'));
    for (let root = 0; root < 40; root++) expect(note(head(5, `b${root}`))).not.toBeNull();
    expect(store.conflicts()).toHaveLength(16);
    expect(entries()).toHaveLength(16);
    for (const conflict of store.unresolved('dispatcher')) {
      store.resolve(
        conflictDigest(conflict),
        { envelope: Buffer.from('{}'), verdict: 'resume', decidedAtMs: 1 },
        [],
        NOW_MS,
      );
    }
    note(head(5, 'again'));
    expect(store.unresolved('dispatcher')).toHaveLength(1);
    expect(integer(database.get('SELECT count(*) AS n FROM witness_conflicts') ?? {}, 'n')).toBe(17);
  });
});

describe('a decision about a conflict', () => {
  const envelope = new TextEncoder().encode('{"payload":"…"}');
  const stop = (decidedAtMs: number) =>
    ({
      envelope: new TextEncoder().encode(`{"payload":"${decidedAtMs}"}`),
      verdict: 'stop',
      decidedAtMs,
    }) as const;
  let digest: ReturnType<typeof conflictDigest>;

  beforeEach(() => {
    note(head(5, 'a'));
    const conflict = note(head(5, 'b'));
    if (conflict === null) throw new Error('no conflict');
    digest = conflictDigest(conflict);
  });

  test('ends it, with its entry, and the same pair does not open it again', () => {
    expect(store.unresolved('dispatcher')).toHaveLength(1);
    expect(store.unresolved('south')).toEqual([]);
    store.resolve(digest, { envelope, verdict: 'resume', decidedAtMs: 7 }, [decided], NOW_MS);
    expect(store.unresolved('dispatcher')).toEqual([]);
    expect(note(head(5, 'b'))).not.toBeNull();
    expect(store.unresolved('dispatcher')).toEqual([]);
    expect(store.conflicts()).toHaveLength(1);
    expect(entries().map(({ type }) => type)).toEqual(['witness.conflict', 'trust.decided']);
    expect(note(head(5, 'c'))).not.toBeNull();
    expect(store.unresolved('dispatcher'), 'another pair is another conflict').toHaveLength(1);
  });

  test('is taken once', () => {
    store.resolve(digest, { envelope, verdict: 'resume', decidedAtMs: 7 }, [decided], NOW_MS);
    store.resolve(digest, { envelope, verdict: 'resume', decidedAtMs: 8 }, [decided], NOW_MS);
    expect(entries()).toHaveLength(2);
    expect(store.conflicts()[0]?.decision).toEqual({ envelope, verdict: 'resume', decidedAtMs: 7 });
    expect(codeOf(() => store.resolve(digestOf('x'), stop(8), [decided], NOW_MS))).toBe('not-found');
  });

  test('to stop keeps the conflict open, until a later one resumes', () => {
    store.resolve(digest, stop(7), [decided], NOW_MS);
    expect(store.unresolved('dispatcher')).toHaveLength(1);
    database.close();
    open();
    expect(store.conflicts()[0]?.decision).toEqual(stop(7));
    store.resolve(digest, { envelope, verdict: 'resume', decidedAtMs: 8 }, [decided], NOW_MS);
    expect(store.unresolved('dispatcher')).toEqual([]);
    store.resolve(digest, stop(9), [decided], NOW_MS);
    expect(store.unresolved('dispatcher')).toHaveLength(1);
    expect(entries()).toHaveLength(4);
  });

  test('that is as old as the one in force undoes nothing', () => {
    store.resolve(digest, stop(7), [decided], NOW_MS);
    for (const decidedAtMs of [6, 7]) {
      const late = { envelope, verdict: 'resume', decidedAtMs } as const;
      expect(codeOf(() => store.resolve(digest, late, [decided], NOW_MS))).toBe('conflict');
    }
    expect(store.unresolved('dispatcher')).toHaveLength(1);
    expect(entries()).toHaveLength(2);
  });

  test('loses the word of whoever is forgotten, and still holds', () => {
    store.resolve(digest, { envelope, verdict: 'resume', decidedAtMs: 7 }, [decided], NOW_MS);
    expect(eraseDecisions(database, () => false)).toBe(0);
    expect(eraseDecisions(database, (bytes) => sameBytes(bytes, envelope))).toBe(1);
    expect(
      eraseDecisions(database, () => true),
      'nothing is left of it',
    ).toBe(0);
    expect(store.unresolved('dispatcher')).toEqual([]);
    expect(store.conflicts()[0]?.decision).toMatchObject({ verdict: 'resume', envelope: new Uint8Array() });
  });

  test('is not kept without its entries', () => {
    store = createWitnessStore(database, null);
    expect(
      codeOf(() => store.resolve(digest, { envelope, verdict: 'resume', decidedAtMs: 7 }, [decided], NOW_MS)),
    ).toBe('internal');
    expect(store.unresolved('dispatcher')).toHaveLength(1);
  });
});
