import { PhtError } from '../../model/error.ts';
import { STANDING_ATTEMPTS_MAX } from '../../model/standing.ts';
import type { Consumption, HopRecord, Visit } from '../../ports/station-store.ts';
import { type Database, integer, type Row, text } from './database.ts';

/** The runs that persons' decisions allow, and which hops used them. */

/** Runs are consumed once per (clearance or terms, manifest, round), so the same hop after a crash has its run already. */
export function consume(database: Database, { clearances, terms }: Consumption, hop: HopRecord): void {
  for (const digest of clearances) {
    if (database.get('SELECT 1 FROM withdrawals WHERE clearance_digest = ?', digest) !== undefined)
      throw new PhtError('clearance.invalid', 'the clearance was withdrawn');
    if (terms === null) consumeOne(database, digest, hop);
  }
  if (terms !== null) consumeTerms(database, terms, hop);
}

function consumeOne(database: Database, clearanceDigest: string, hop: HopRecord): void {
  const row = database.get(
    'SELECT hop_id FROM clearance_runs WHERE clearance_digest = ? AND manifest_digest = ? AND round = ?',
    ...[clearanceDigest, hop.manifestDigest, hop.round],
  );
  if (isOwn(row, hop)) return;
  database.run(
    'INSERT INTO clearance_runs (clearance_digest, manifest_digest, round, hop_id) VALUES (?, ?, ?, ?)',
    ...[clearanceDigest, hop.manifestDigest, hop.round, hop.hopId],
  );
}

function consumeTerms(database: Database, terms: NonNullable<Consumption['terms']>, hop: HopRecord): void {
  if (!hasRun(database, terms, hop))
    throw new PhtError('clearance.invalid', 'all runs that this standing clearance allowed were used');
  database.run(
    `INSERT INTO standing_runs (terms_digest, manifest_digest, round, hop_id) VALUES (?, ?, ?, ?)
     ON CONFLICT DO NOTHING`,
    ...[terms.digest, hop.manifestDigest, hop.round, hop.hopId],
  );
}

/** An attempt at this visit has used a run of these terms and it is not one too many, or a run is left. */
export function hasRun(
  database: Database,
  { digest, runsMax }: NonNullable<Consumption['terms']>,
  { manifestDigest, round, hopId }: Visit,
): boolean {
  const run = database.get(
    'SELECT hop_id FROM standing_runs WHERE terms_digest = ? AND manifest_digest = ? AND round = ?',
    ...[digest, manifestDigest, round],
  );
  if (run === undefined) {
    const used = 'SELECT count(*) AS used FROM standing_runs WHERE terms_digest = ?';
    return integer(database.get(used, digest) ?? {}, 'used') < runsMax;
  }
  if (text(run, 'hop_id') === hopId) return true;
  const before = database.get(
    `SELECT count(*) AS n FROM hops WHERE manifest_digest = ? AND round = ? AND hop_id <> ?
       AND rowid < coalesce((SELECT rowid FROM hops WHERE hop_id = ?), 9223372036854775807)`,
    ...[manifestDigest, round, hopId, hopId],
  );
  return integer(before ?? {}, 'n') < STANDING_ATTEMPTS_MAX;
}

/** @throws PhtError `clearance.invalid` when the run went to another hop */
function isOwn(row: Row | undefined, hop: HopRecord): boolean {
  if (row !== undefined && text(row, 'hop_id') !== hop.hopId)
    throw new PhtError('clearance.invalid', 'the run that this clearance allowed was used');
  return row !== undefined;
}
