import type { Salts } from '../../ports/dispatcher-store.ts';
import { blob, type Database, text } from './database.ts';

/** What opens the salted commitments of a dispatcher's ledger. */

export const SALT_TABLES = `
  CREATE TABLE salts (commitment TEXT PRIMARY KEY, salt BLOB NOT NULL, value TEXT NOT NULL) STRICT;
  CREATE INDEX salts_by_value ON salts (value);
`;

export function saltTable(database: Database): Salts {
  return {
    keep: (commitment, salt, value) =>
      void database.run(
        'INSERT INTO salts (commitment, salt, value) VALUES (?, ?, ?)',
        commitment,
        salt,
        value,
      ),
    open: (value) =>
      database
        .all('SELECT commitment, salt FROM salts WHERE value = ? ORDER BY rowid', value)
        .map((row) => ({ commitment: text(row, 'commitment'), salt: blob(row, 'salt') })),
    forget: (value) => {
      // What is erased must not stay behind in free pages (https://www.sqlite.org/pragma.html#pragma_secure_delete).
      database.get('PRAGMA secure_delete = ON');
      return database.run('DELETE FROM salts WHERE value = ?', value);
    },
    // https://www.sqlite.org/pragma.html#pragma_wal_checkpoint
    scrub: () => void database.get('PRAGMA wal_checkpoint(TRUNCATE)'),
  };
}
