import type { PastHeads } from '../../ports/dispatcher-store.ts';
import { blob, type Database, integer } from './database.ts';

/** Earlier heads of the dispatcher's own ledger and of those that it mirrors. */

export const PAST_HEAD_TABLES = `
  CREATE TABLE past_heads (
    member TEXT NOT NULL, version INTEGER NOT NULL, size INTEGER NOT NULL, at INTEGER NOT NULL, text BLOB NOT NULL,
    PRIMARY KEY (member, version, size)
  ) STRICT;
`;

export function pastHeadTable(database: Database): PastHeads {
  return {
    list: (member) => {
      const sql = 'SELECT version, size, at, length(text) AS bytes FROM past_heads WHERE member = ?';
      return database.all(sql, member).map((row) => ({
        member,
        version: integer(row, 'version'),
        size: integer(row, 'size'),
        atMs: integer(row, 'at'),
        bytes: integer(row, 'bytes'),
      }));
    },
    texts: (member, sizeMax) => {
      const sql = 'SELECT text FROM past_heads WHERE member = ? AND size <= ? ORDER BY size, at';
      return database.all(sql, member, sizeMax).map((row) => blob(row, 'text'));
    },
    add: ({ member, version, size, atMs, text }) => {
      const sql = 'INSERT OR IGNORE INTO past_heads (member, version, size, at, text) VALUES (?, ?, ?, ?, ?)';
      return database.run(sql, member, version, size, atMs, text) > 0;
    },
    remove: ({ member, version, size }) => {
      const sql = 'DELETE FROM past_heads WHERE member = ? AND version = ? AND size = ?';
      database.run(sql, member, version, size);
    },
  };
}
