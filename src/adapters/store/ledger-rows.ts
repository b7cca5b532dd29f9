import { PhtError } from '../../model/error.ts';
import { encodeEntry } from '../../model/ledger/entry.ts';
import type { LedgerRows, NewEntry, SignedHead } from '../../ports/ledger.ts';
import { blob, type Database, integer, type Row } from './database.ts';

export const LEDGER_TABLES = `
  CREATE TABLE ledger_entries (idx INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE ledger_checkpoints (size INTEGER PRIMARY KEY, text BLOB NOT NULL) STRICT;
  CREATE TABLE ledger_published (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, text BLOB NOT NULL) STRICT;
`;

/** Appends entries inside the caller's transaction. @returns the size of the ledger after them */
export type Append = (entries: readonly NewEntry[], nowMs: number) => number;

export function createAppend(database: Database, actor: string): Append {
  return (entries, nowMs) => {
    let size = ledgerSize(database);
    for (const entry of entries) {
      const bytes = encodeEntry({ v: 1, ts: nowMs, actor, ...entry });
      database.run('INSERT INTO ledger_entries (idx, bytes) VALUES (?, ?)', size, bytes);
      size++;
    }
    return size;
  };
}

export function createLedgerRows(database: Database): LedgerRows {
  const headOf = (row: Row | undefined): SignedHead | null =>
    row === undefined ? null : { size: integer(row, 'size'), text: blob(row, 'text') };
  const last = (): SignedHead | null =>
    headOf(database.get('SELECT size, text FROM ledger_checkpoints ORDER BY size DESC LIMIT 1'));
  const savePublished = ({ size, text }: SignedHead): void => {
    database.run(
      `INSERT INTO ledger_published (one, size, text) VALUES (1, ?, ?)
       ON CONFLICT DO UPDATE SET size = excluded.size, text = excluded.text WHERE excluded.size >= size`,
      ...[size, text],
    );
  };
  return {
    size: () => ledgerSize(database),
    read: (first, end) =>
      database
        .all('SELECT bytes FROM ledger_entries WHERE idx >= ? AND idx < ? ORDER BY idx', first, end)
        .map((row) => blob(row, 'bytes')),
    checkpoint: last,
    signedAt: (size) =>
      headOf(database.get('SELECT size, text FROM ledger_checkpoints WHERE size = ?', size)),
    saveCheckpoint: (previousSize, next, published) =>
      database.transaction(() => {
        if ((last()?.size ?? -1) !== previousSize || next.size <= previousSize) {
          throw new PhtError('conflict', 'the ledger has another checkpoint than the one this builds on');
        }
        database.run('INSERT INTO ledger_checkpoints (size, text) VALUES (?, ?)', next.size, next.text);
        if (published) savePublished(next);
      }),
    published: () => headOf(database.get('SELECT size, text FROM ledger_published')),
    savePublished,
  };
}

function ledgerSize(database: Database): number {
  const row = database.get('SELECT coalesce(max(idx) + 1, 0) AS size FROM ledger_entries');
  return row === undefined ? 0 : integer(row, 'size');
}
