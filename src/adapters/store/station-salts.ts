import type { StationArchive } from '../../ports/station-archive.ts';
import { blob, type Database, integer, text } from './database.ts';

/** What opens the salted commitments of a station's ledger. A value may speak of several members. */

export const SALT_TABLES = `
  CREATE TABLE salt_subjects (
    member TEXT NOT NULL, commitment TEXT NOT NULL, PRIMARY KEY (member, commitment)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX salt_subjects_by_commitment ON salt_subjects (commitment);`;

type Salt = { commitment: string; salt: Uint8Array; value: string; about: readonly string[] };

export type Salts = Pick<StationArchive, 'keepSalt' | 'opening'> & {
  /** Writes what is kept and not yet on disk, within the transaction that appends the entries which need it. */
  write(): void;
};

/** A commitment means nothing before its entry is written, so its salt waits for that and costs no commit of its own. */
export function createSalts(database: Database): Salts {
  const waiting = new Map<string, Salt>();
  return {
    keepSalt: (commitment, salt, value, about) =>
      void waiting.set(commitment, { commitment, salt, value, about }),
    opening: (commitment) => {
      const row = waiting.get(commitment) ?? database.get(OPENING, commitment);
      return row === undefined ? null : { salt: blob(row, 'salt'), value: text(row, 'value') };
    },
    write: () => {
      const written = [...waiting.values()];
      waiting.clear();
      database.onRollback(() => {
        for (const salt of written) waiting.set(salt.commitment, salt);
      });
      for (const salt of written) insert(database, salt);
    },
  };
}

const OPENING = 'SELECT salt, value FROM salts WHERE commitment = ?';

function insert(database: Database, { commitment, salt, value, about }: Salt): void {
  database.run('INSERT INTO salts (commitment, salt, value) VALUES (?, ?, ?)', commitment, salt, value);
  for (const member of new Set(about))
    database.run('INSERT INTO salt_subjects (member, commitment) VALUES (?, ?)', member, commitment);
}

/** @returns how many salts went; those about others too where one value named both */
export function eraseSalts(database: Database, member: string): number {
  const about = 'SELECT commitment FROM salt_subjects WHERE member = ?';
  const count = integer(database.get(`SELECT count(*) AS n FROM (${about})`, member) ?? {}, 'n');
  database.run(`DELETE FROM salts WHERE commitment IN (${about})`, member);
  database.run(`DELETE FROM salt_subjects WHERE commitment IN (${about})`, member);
  return count;
}
