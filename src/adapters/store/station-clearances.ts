import type { NewEntry } from '../../ports/ledger.ts';
import type {
  ClearanceStore,
  HopNotes,
  ImageRecord,
  KnownStatement,
  SignedClearance,
  StandingRecord,
} from '../../ports/station-store.ts';
import { blob, blobOrNull, type Database, integer, type Row, text } from './database.ts';
import { hasRun } from './station-runs.ts';

/** Persons' decisions, on one case each or standing, and what was taken back. */

/** Each decision by itself, as it was signed: a later one on the same case takes only the first table's place. */
export const CLEARANCE_TABLES = `
  CREATE TABLE signed_clearances (
    clearance_digest TEXT PRIMARY KEY, case_digest TEXT NOT NULL, envelope BLOB NOT NULL
  ) STRICT;
  INSERT INTO signed_clearances (clearance_digest, case_digest, envelope)
    SELECT clearance_digest, case_digest, envelope FROM clearances;
  ALTER TABLE clearances DROP COLUMN envelope;`;

/** Several persons decide on one case; runs of standing ones are counted by their terms. */
export const STANDING_TABLES = `
  ALTER TABLE signed_clearances ADD COLUMN recorded_at INTEGER NOT NULL DEFAULT 0;
  UPDATE signed_clearances SET recorded_at = coalesce((SELECT recorded_at FROM clearances
    WHERE clearances.clearance_digest = signed_clearances.clearance_digest), 0);
  DROP TABLE clearances;
  CREATE INDEX signed_clearances_by_case ON signed_clearances (case_digest);
  CREATE TABLE standing_clearances (
    clearance_digest TEXT PRIMARY KEY, terms_digest TEXT NOT NULL, researcher TEXT NOT NULL, dataset TEXT NOT NULL,
    approvals INTEGER NOT NULL, envelope BLOB NOT NULL, recorded_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX standing_clearances_by_train ON standing_clearances (researcher, dataset);
  CREATE TABLE standing_runs (
    terms_digest TEXT NOT NULL, manifest_digest TEXT NOT NULL, round INTEGER NOT NULL, hop_id TEXT NOT NULL,
    PRIMARY KEY (terms_digest, manifest_digest, round)
  ) STRICT;
  CREATE TABLE withdrawals (
    clearance_digest TEXT PRIMARY KEY, envelope BLOB NOT NULL, withdrawn_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX hops_by_image ON hops (json_extract(notes, '$.image'));`;

/** Up to when a restored backup has lost which words of persons were used or taken back. */
export const LOST_WORDS_TABLE = `
  CREATE TABLE lost_words (one INTEGER PRIMARY KEY CHECK (one = 1), last_at INTEGER NOT NULL) STRICT;`;

const STANDING = `SELECT *,
    (SELECT count(*) FROM standing_runs WHERE standing_runs.terms_digest = standing_clearances.terms_digest) AS used,
    EXISTS (SELECT 1 FROM withdrawals
      WHERE withdrawals.clearance_digest = standing_clearances.clearance_digest) AS withdrawn
  FROM standing_clearances`;
const NEWEST_FIRST = 'ORDER BY recorded_at DESC, rowid DESC';
const CLEARED_MAX = 20;

type Append = (entries: NewEntry[], nowMs: number) => number;

/** @param append appends entries within the transaction under way */
export function createClearances(database: Database, append: Append): ClearanceStore {
  return {
    record: (caseDigest, clearanceDigest, envelope, nowMs) => {
      database.run(
        `INSERT INTO signed_clearances (clearance_digest, case_digest, envelope, recorded_at) VALUES (?, ?, ?, ?)
         ON CONFLICT DO NOTHING`,
        ...[clearanceDigest, caseDigest, envelope, nowMs],
      );
    },
    find: (caseDigest, hopId) =>
      database
        .all(
          `SELECT clearance_digest, envelope, recorded_at FROM signed_clearances
           WHERE case_digest = ? AND clearance_digest NOT IN (SELECT clearance_digest FROM withdrawals)
             AND NOT EXISTS (SELECT 1 FROM clearance_runs
               WHERE clearance_runs.clearance_digest = signed_clearances.clearance_digest AND hop_id <> ?)
           ORDER BY recorded_at, rowid`,
          ...[caseDigest, hopId],
        )
        .map(signedOf),
    isSpent: (clearanceDigest, hopId) =>
      database.get(
        'SELECT 1 FROM clearance_runs WHERE clearance_digest = ? AND hop_id <> ?',
        ...[clearanceDigest, hopId],
      ) !== undefined,
    recordStanding: ({ digest, termsDigest, researcher, dataset, approvals, envelope }, entries, nowMs) =>
      database.transaction(() => {
        const added = database.run(
          `INSERT INTO standing_clearances
             (clearance_digest, terms_digest, researcher, dataset, approvals, envelope, recorded_at)
           VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
          ...[digest, termsDigest, researcher, dataset, approvals, envelope, nowMs],
        );
        if (added > 0) append(entries(), nowMs);
        return added > 0;
      }),
    standing: (about) =>
      (about === 'all'
        ? database.all(`${STANDING} ${NEWEST_FIRST}`)
        : database.all(
            `${STANDING} WHERE researcher = ? AND dataset = ? ${NEWEST_FIRST}`,
            ...[about.researcher, about.dataset],
          )
      ).map(standingOf),
    hasRun: (terms, visit) => hasRun(database, terms, visit),
    statement: (digest) => statementOf(database, digest),
    withdraw: (digest, withdrawal, entries, nowMs) =>
      database.transaction(() => {
        const added = database.run(
          `INSERT INTO withdrawals (clearance_digest, envelope, withdrawn_at) VALUES (?, ?, ?)
           ON CONFLICT DO NOTHING`,
          ...[digest, withdrawal, nowMs],
        );
        if (added > 0) append(entries(), nowMs);
        return added > 0;
      }),
    wordsLostMs: () => {
      const row = database.get('SELECT last_at FROM lost_words');
      return row === undefined ? null : integer(row, 'last_at');
    },
    image: (configDigest, but) => imageOf(database, configDigest, but),
    clearedWith: (configDigest, but) => clearedWith(database, configDigest, but),
    hasCleared: (clearanceDigest, configDigest) =>
      database.get(
        `SELECT 1 FROM hops, json_each(notes, '$.clearances') AS by
         WHERE json_extract(notes, '$.image') = ? AND by.value = ?`,
        ...[configDigest, clearanceDigest],
      ) !== undefined,
  };
}

function signedOf(row: Row): SignedClearance {
  return {
    digest: text(row, 'clearance_digest'),
    envelope: blob(row, 'envelope'),
    recordedAtMs: integer(row, 'recorded_at'),
  };
}

function standingOf(row: Row): StandingRecord {
  return {
    ...signedOf(row),
    termsDigest: text(row, 'terms_digest'),
    approvals: integer(row, 'approvals'),
    runsUsed: integer(row, 'used'),
    withdrawn: integer(row, 'withdrawn') === 1,
  };
}

function statementOf(database: Database, digest: string): KnownStatement | null {
  const row = database.get(
    `SELECT 'clearance' AS kind, envelope FROM signed_clearances WHERE clearance_digest = ?
     UNION ALL SELECT 'standing', envelope FROM standing_clearances WHERE clearance_digest = ?`,
    ...[digest, digest],
  );
  if (row === undefined) return null;
  const withdrawal = database.get('SELECT envelope FROM withdrawals WHERE clearance_digest = ?', digest);
  return {
    kind: row['kind'] === 'standing' ? 'standing' : 'clearance',
    envelope: blob(row, 'envelope'),
    withdrawal: withdrawal === undefined ? null : blobOrNull(withdrawal, 'envelope'),
  };
}

/** The envelope of a person's statement of either kind. */
export function signedClearance(database: Database, clearanceDigest: string): Uint8Array | null {
  return statementOf(database, clearanceDigest)?.envelope ?? null;
}

function imageOf(database: Database, configDigest: string, but: string): ImageRecord {
  const row =
    database.get(
      `SELECT count(*) AS hops, count(*) FILTER (WHERE outcome = 'released') AS released,
         count(*) FILTER (WHERE outcome = 'refused') AS refused, min(received_at) AS first
       FROM hops WHERE json_extract(notes, '$.image') = ? AND hop_id <> ?`,
      ...[configDigest, but],
    ) ?? {};
  return {
    hops: integer(row, 'hops'),
    released: integer(row, 'released'),
    refused: integer(row, 'refused'),
    firstSeenMs: row['first'] === null ? null : integer(row, 'first'),
    cleared: clearedWith(database, configDigest, but),
  };
}

/** Newest first. */
function clearedWith(database: Database, configDigest: string, but: string): ImageRecord['cleared'] {
  const cleared = database.all(
    `SELECT notes, changed_at FROM hops WHERE json_extract(notes, '$.image') = ? AND hop_id <> ?
       AND json_array_length(notes, '$.clearances') > 0 ORDER BY rowid DESC LIMIT ?`,
    ...[configDigest, but, CLEARED_MAX],
  );
  return cleared.map((hop) => {
    const { clearances = [], clearedAtMs = integer(hop, 'changed_at') } = JSON.parse(
      text(hop, 'notes'),
    ) as HopNotes;
    return { clearances, clearedAtMs };
  });
}
