import type { StationArchive } from '../../ports/station-archive.ts';
import { blob, type Database, integer, text } from './database.ts';

/** What opens the salted commitments of a station's ledger. A value may speak of several members. */

export const SALT_TABLES = `
  CREATE TABLE salt_subjects (
    member TEXT NOT NULL, commitment TEXT NOT NULL, PRIMARY KEY (member, commitment)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX salt_subjects_by_commitment ON salt_subjects (commitment);`;

export function createSalts(database: Database): Pick<StationArchive, 'keepSalt' | 'opening'> {
  return {
    keepSalt: (commitment, salt, value, about) =>
      database.transaction(() => {
        database.run('INSERT INTO salts (commitment, salt, value) VALUES (?, ?, ?)', commitment, salt, value);
        for (const member of new Set(about)) {
          database.run('INSERT INTO salt_subjects (member, commitment) VALUES (?, ?)', member, commitment);
        }
      }),
    opening: (commitment) => {
      const row = database.get('SELECT salt, value FROM salts WHERE commitment = ?', commitment);
      return row === undefined ? null : { salt: blob(row, 'salt'), value: text(row, 'value') };
    },
  };
}

/** @returns how many salts went; those about others too where one value named both */
export function eraseSalts(database: Database, member: string): number {
  const about = 'SELECT commitment FROM salt_subjects WHERE member = ?';
  const count = integer(database.get(`SELECT count(*) AS n FROM (${about})`, member) ?? {}, 'n');
  database.run(`DELETE FROM salts WHERE commitment IN (${about})`, member);
  database.run(`DELETE FROM salt_subjects WHERE commitment IN (${about})`, member);
  return count;
}
