import { PhtError } from '../../model/error.ts';
import type { ClearanceStore, HopRecord } from '../../ports/station-store.ts';
import { blob, type Database, text } from './database.ts';

/** Persons' decisions, each by the digest of the case that was decided, and the runs they were used for. */

/** Each decision by itself, as it was signed: a later one on the same case takes only the first table's place. */
export const CLEARANCE_TABLES = `
  CREATE TABLE signed_clearances (
    clearance_digest TEXT PRIMARY KEY, case_digest TEXT NOT NULL, envelope BLOB NOT NULL
  ) STRICT;
  INSERT INTO signed_clearances (clearance_digest, case_digest, envelope)
    SELECT clearance_digest, case_digest, envelope FROM clearances;
  ALTER TABLE clearances DROP COLUMN envelope;`;

export function createClearances(database: Database): ClearanceStore {
  return {
    record: (caseDigest, clearanceDigest, envelope, nowMs) =>
      database.transaction(() => {
        database.run(
          `INSERT INTO signed_clearances (clearance_digest, case_digest, envelope) VALUES (?, ?, ?)
           ON CONFLICT DO NOTHING`,
          ...[clearanceDigest, caseDigest, envelope],
        );
        database.run(
          `INSERT INTO clearances (case_digest, clearance_digest, recorded_at) VALUES (?, ?, ?)
           ON CONFLICT (case_digest) DO UPDATE SET
             clearance_digest = excluded.clearance_digest, recorded_at = excluded.recorded_at`,
          ...[caseDigest, clearanceDigest, nowMs],
        );
      }),
    find: (caseDigest, hopId) => {
      const row = database.get(
        `SELECT envelope FROM clearances JOIN signed_clearances USING (clearance_digest)
         WHERE clearances.case_digest = ? AND NOT EXISTS (
           SELECT 1 FROM clearance_runs
           WHERE clearance_runs.clearance_digest = clearances.clearance_digest AND hop_id <> ?)`,
        ...[caseDigest, hopId],
      );
      return row === undefined ? null : blob(row, 'envelope');
    },
  };
}

export function signedClearance(database: Database, clearanceDigest: string): Uint8Array | null {
  const row = database.get(
    'SELECT envelope FROM signed_clearances WHERE clearance_digest = ?',
    clearanceDigest,
  );
  return row === undefined ? null : blob(row, 'envelope');
}

/** Runs are consumed once per (clearance, manifest, round). */
export function consume(database: Database, clearanceDigest: string, hop: HopRecord): void {
  const row = database.get(
    'SELECT hop_id FROM clearance_runs WHERE clearance_digest = ? AND manifest_digest = ? AND round = ?',
    ...[clearanceDigest, hop.manifestDigest, hop.round],
  );
  // The same hop after a crash has consumed its run already.
  if (row !== undefined && text(row, 'hop_id') === hop.hopId) return;
  if (row !== undefined)
    throw new PhtError('clearance.invalid', 'the run that this clearance allowed was used');
  database.run(
    'INSERT INTO clearance_runs (clearance_digest, manifest_digest, round, hop_id) VALUES (?, ?, ?, ?)',
    ...[clearanceDigest, hop.manifestDigest, hop.round, hop.hopId],
  );
}
