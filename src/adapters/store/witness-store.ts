import { PhtError } from '../../model/error.ts';
import type { Digest } from '../../model/id.ts';
import { conflictDigest } from '../../model/ledger/misconduct.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import type { TrustVerdict } from '../../model/trust.ts';
import type { NewEntry } from '../../ports/ledger.ts';
import type { KnownConflict, LedgerConflict, WitnessedHead, WitnessStore } from '../../ports/witness.ts';
import { blob, blobOrNull, type Database, integer, type Row, text } from './database.ts';
import type { Append } from './ledger-rows.ts';

/** Heads remembered for each ledger, so that a conflict between two of them is found; the newest stay. */
const HEADS_MAX = 1024;
/** Conflicts kept for each ledger while it is not trusted again: one proves the misconduct, and a liar could sign any number. */
const UNRESOLVED_MAX = 16;

export const WITNESS_TABLES = `
  CREATE TABLE witness_cosigned (
    origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL
  ) STRICT;
  CREATE TABLE witness_heads (
    seq INTEGER PRIMARY KEY, origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL,
    UNIQUE (origin, size)
  ) STRICT;
  CREATE INDEX witness_heads_in_order ON witness_heads (origin, seq);
  CREATE TABLE witness_conflicts (
    digest TEXT PRIMARY KEY, member TEXT NOT NULL, origin TEXT NOT NULL, size INTEGER NOT NULL,
    first_note TEXT NOT NULL, second_note TEXT NOT NULL, found_at INTEGER NOT NULL,
    verdict TEXT, decision BLOB, decided_at INTEGER
  ) STRICT;
  CREATE INDEX witness_unresolved ON witness_conflicts (member) WHERE verdict IS NOT 'resume';
`;

/** @param append adds the entries of a conflict to this member's own ledger; null for a witness that keeps none */
export function createWitnessStore(database: Database, append: Append | null): WitnessStore {
  const head = (origin: string): WitnessedHead | null =>
    headOf(database.get('SELECT size, root, note FROM witness_cosigned WHERE origin = ?', origin));

  /** What was seen first for this size, cosigned or not. */
  const known = (origin: string, size: number): WitnessedHead | null => {
    const cosigned = head(origin);
    if (cosigned?.size === size) return cosigned;
    return headOf(
      database.get('SELECT size, root, note FROM witness_heads WHERE origin = ? AND size = ?', origin, size),
    );
  };

  const remember = (origin: string, { size, root, note }: WitnessedHead): void => {
    database.run(
      'INSERT OR IGNORE INTO witness_heads (origin, size, root, note) VALUES (?, ?, ?, ?)',
      ...[origin, size, root, note],
    );
    database.run(
      `DELETE FROM witness_heads WHERE origin = ? AND seq <= (
         SELECT seq FROM witness_heads WHERE origin = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)`,
      ...[origin, origin, HEADS_MAX],
    );
  };

  const keep = (conflict: LedgerConflict, nowMs: number): LedgerConflict => {
    const digest = conflictDigest(conflict);
    const row = database.get('SELECT * FROM witness_conflicts WHERE digest = ?', digest);
    if (row !== undefined) return conflictOf(row);
    const { member, origin, size, notes, foundAtMs } = conflict;
    if (unresolved(member).length >= UNRESOLVED_MAX) return conflict;
    database.run(
      `INSERT INTO witness_conflicts (digest, member, origin, size, first_note, second_note, found_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      ...[digest, member, origin, size, notes[0], notes[1], foundAtMs],
    );
    append?.([conflictEntry(conflict, digest)], nowMs);
    return conflict;
  };

  const unresolved = (member: string): LedgerConflict[] =>
    database
      .all(
        `SELECT * FROM witness_conflicts WHERE member = ? AND verdict IS NOT 'resume' ORDER BY found_at, digest`,
        member,
      )
      .map(conflictOf);

  return {
    head,
    advance: (origin, sizeBefore, next) =>
      database.transaction(() => {
        const before = head(origin);
        if ((before?.size ?? 0) !== sizeBefore || next.size < sizeBefore) return false;
        // A caller's mistake here would be a cosigned second root.
        if (before?.size === next.size && !sameBytes(before.root, next.root)) return false;
        database.run(
          `INSERT INTO witness_cosigned (origin, size, root, note) VALUES (?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note`,
          ...[origin, next.size, next.root, next.note],
        );
        return true;
      }),
    noteHead: (member, origin, next, nowMs) =>
      database.transaction(() => {
        const before = known(origin, next.size);
        if (before === null) {
          remember(origin, next);
          return null;
        }
        if (sameBytes(before.root, next.root)) return null;
        const notes = [before.note, next.note] as const;
        return keep({ member, origin, size: next.size, notes, foundAtMs: nowMs }, nowMs);
      }),
    conflicts: () => database.all('SELECT * FROM witness_conflicts ORDER BY found_at, digest').map(knownOf),
    unresolved,
    resolve: (digest, { envelope, verdict, decidedAtMs }, entries, nowMs) =>
      database.transaction(() => {
        const row = database.get('SELECT * FROM witness_conflicts WHERE digest = ?', digest);
        if (row === undefined)
          throw new PhtError('not-found', 'there is no such conflict of two signed heads');
        const { decision: before } = knownOf(row);
        if (before !== undefined && sameBytes(before.envelope, envelope)) return;
        // An old word that is shown again must not undo a newer one.
        if (before !== undefined && decidedAtMs <= before.decidedAtMs)
          throw new PhtError('conflict', 'about this conflict of two signed heads was decided since');
        database.run(
          'UPDATE witness_conflicts SET verdict = ?, decision = ?, decided_at = ? WHERE digest = ?',
          ...[verdict, envelope, decidedAtMs, digest],
        );
        if (entries.length === 0) return;
        if (append === null) throw new PhtError('internal', 'this witness keeps no ledger of its own');
        append(entries, nowMs);
      }),
  };
}

function headOf(row: Row | undefined): WitnessedHead | null {
  if (row === undefined) return null;
  return { size: integer(row, 'size'), root: blob(row, 'root'), note: text(row, 'note') };
}

function conflictOf(row: Row): LedgerConflict {
  return {
    member: text(row, 'member'),
    origin: text(row, 'origin'),
    size: integer(row, 'size'),
    notes: [text(row, 'first_note'), text(row, 'second_note')],
    foundAtMs: integer(row, 'found_at'),
  };
}

function knownOf(row: Row): KnownConflict {
  const envelope = blobOrNull(row, 'decision');
  if (envelope === null) return conflictOf(row);
  const verdict = text(row, 'verdict') as TrustVerdict;
  return { ...conflictOf(row), decision: { envelope, verdict, decidedAtMs: integer(row, 'decided_at') } };
}

/** What was decided stays; who did goes. @returns how many of the signed decisions were about the member */
export function eraseDecisions(database: Database, isAbout: (envelope: Uint8Array) => boolean): number {
  let count = 0;
  for (const row of database.all(`SELECT digest, decision FROM witness_conflicts WHERE decision <> x''`)) {
    if (!isAbout(blob(row, 'decision'))) continue;
    database.run(`UPDATE witness_conflicts SET decision = x'' WHERE digest = ?`, text(row, 'digest'));
    count++;
  }
  return count;
}

function conflictEntry({ origin, size }: LedgerConflict, digest: Digest): NewEntry {
  const nothing = {
    trainId: null,
    hopId: null,
    attempt: null,
    epoch: null,
    manifestDigest: null,
    prev: null,
  };
  return { type: 'witness.conflict', ...nothing, body: { origin, size, conflictDigest: digest } };
}
