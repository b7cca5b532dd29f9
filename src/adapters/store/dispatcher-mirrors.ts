import { PhtError } from '../../model/error.ts';
import { HASH_BYTES } from '../../model/ledger/merkle.ts';
import type { MirrorHead, Mirrors } from '../../ports/dispatcher-store.ts';
import { blob, blobOrNull, type Database, integer, type Row, text } from './database.ts';

/** The heads of the mirrored ledgers, and what stations have sent ahead of a checkpoint. */

export const MIRROR_TABLES = `
  DROP TABLE mirror_entries;
  DROP TABLE mirrors;
  CREATE TABLE mirrors (
    member TEXT PRIMARY KEY, verified_size INTEGER NOT NULL, verified_peaks BLOB NOT NULL,
    stored_size INTEGER NOT NULL, stored_peaks BLOB NOT NULL, pending_bytes INTEGER NOT NULL, checkpoint BLOB
  ) STRICT;
  CREATE TABLE mirror_pending (
    member TEXT NOT NULL, idx INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (member, idx)
  ) STRICT;
`;

export function mirrorTable(database: Database): Mirrors {
  return {
    heads: () => database.all('SELECT * FROM mirrors ORDER BY member').map(headOf),
    head: (member) => {
      const row = database.get('SELECT * FROM mirrors WHERE member = ?', member);
      return row === undefined ? null : headOf(row);
    },
    add: (member, first, entries) => {
      const sql = 'INSERT INTO mirror_pending (member, idx, bytes) VALUES (?, ?, ?)';
      for (const [at, bytes] of entries.entries()) database.run(sql, member, first + at, bytes);
    },
    read: (member, first, end) => {
      const sql = 'SELECT bytes FROM mirror_pending WHERE member = ? AND idx >= ? AND idx < ? ORDER BY idx';
      return database.all(sql, member, first, end).map((row) => blob(row, 'bytes'));
    },
    drop: (member) => void database.run('DELETE FROM mirror_pending WHERE member = ?', member),
    save: ({ member, verified, stored, pendingBytes, checkpoint }) =>
      void database.run(
        `INSERT OR REPLACE INTO mirrors
          (member, verified_size, verified_peaks, stored_size, stored_peaks, pending_bytes, checkpoint)
          VALUES (?, ?, ?, ?, ?, ?, ?)`,
        ...[member, verified.size, Buffer.concat(verified.peaks)],
        ...[stored.size, Buffer.concat(stored.peaks), pendingBytes, checkpoint],
      ),
  };
}

function headOf(row: Row): MirrorHead {
  return {
    member: text(row, 'member'),
    verified: { size: integer(row, 'verified_size'), peaks: peaksOf(blob(row, 'verified_peaks')) },
    stored: { size: integer(row, 'stored_size'), peaks: peaksOf(blob(row, 'stored_peaks')) },
    pendingBytes: integer(row, 'pending_bytes'),
    checkpoint: blobOrNull(row, 'checkpoint'),
  };
}

function peaksOf(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length % HASH_BYTES !== 0)
    throw new PhtError('internal', 'a mirror has peaks of a broken length');
  return Array.from({ length: bytes.length / HASH_BYTES }, (_, at) =>
    bytes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES),
  );
}
