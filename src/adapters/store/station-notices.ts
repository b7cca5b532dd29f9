import { type Digest, type HopId, trainIdOf } from '../../model/id.ts';
import type { Notices, NoticeVerdict } from '../../ports/notify.ts';
import type { Change, HopRecord } from '../../ports/station-store.ts';
import { type Database, integer, text } from './database.ts';

/** What people are to be told of hops: one row for each verdict that one met, and when that was told. */

export const NOTICE_TABLES = `
  CREATE TABLE notices (
    hop_id TEXT PRIMARY KEY, verdict TEXT NOT NULL, at INTEGER NOT NULL, version INTEGER NOT NULL, told_at INTEGER
  ) STRICT;
  CREATE INDEX notices_untold ON notices (at) WHERE told_at IS NULL;
  INSERT INTO notices (hop_id, verdict, at, version)
    SELECT hop_id, 'ask', changed_at, 1 FROM hops WHERE state = 'awaiting-clearance';
  CREATE TABLE digests (one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL) STRICT;
  INSERT INTO digests (one, at) VALUES (1, 0);`;

/** Each verdict once: a train that is decided anew, or waits for the next person, is no news. */
export const NOTICES_BY_VERDICT = `
  ALTER TABLE notices RENAME TO old_notices;
  DROP INDEX notices_untold;
  CREATE TABLE notices (
    hop_id TEXT NOT NULL, verdict TEXT NOT NULL, at INTEGER NOT NULL, told_at INTEGER,
    PRIMARY KEY (hop_id, verdict)
  ) STRICT;
  CREATE INDEX notices_untold ON notices (at) WHERE told_at IS NULL;
  INSERT INTO notices (hop_id, verdict, at, told_at) SELECT hop_id, verdict, at, told_at FROM old_notices;
  DROP TABLE old_notices;`;

/** Within the transaction of the move itself, so that a crash loses none. */
export function recordNotice(database: Database, hop: HopRecord, change: Change): void {
  const verdict = verdictOf(change);
  if (verdict === null) return;
  // What was decided otherwise before anybody heard of it is not brought up.
  database.run(
    'DELETE FROM notices WHERE hop_id = ? AND verdict <> ? AND told_at IS NULL',
    ...[hop.hopId, verdict],
  );
  database.run(
    'INSERT INTO notices (hop_id, verdict, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    ...[hop.hopId, verdict, change.nowMs],
  );
}

/** A train that a standing clearance lets through asks nobody, whatever the policy said. */
function verdictOf({ notes, progress }: Change): NoticeVerdict | null {
  if (progress === 'awaiting-clearance' || progress === 'awaiting-second-clearance') return 'ask';
  return notes?.verdict === undefined || notes.verdict === 'ask' ? null : notes.verdict;
}

export function createNotices(database: Database): Notices {
  return {
    waiting: (on, remindBeforeMs, max) =>
      database
        .all(
          `SELECT notices.hop_id, verdict, manifest_digest FROM notices JOIN hops USING (hop_id)
           WHERE verdict IN (SELECT value FROM json_each(?))
             AND (verdict <> 'ask' OR state = 'awaiting-clearance')
             AND (told_at IS NULL OR (verdict = 'ask' AND told_at <= ?))
           ORDER BY at, notices.hop_id LIMIT ?`,
          ...[JSON.stringify(on), remindBeforeMs, max],
        )
        .map((row) => ({
          hopId: text(row, 'hop_id') as HopId,
          trainId: trainIdOf(text(row, 'manifest_digest') as Digest),
          verdict: text(row, 'verdict') as NoticeVerdict,
        })),
    told: (notices, nowMs) =>
      database.transaction(() => {
        for (const { hopId, verdict } of notices) {
          const sql = 'UPDATE notices SET told_at = ? WHERE hop_id = ? AND verdict = ?';
          database.run(sql, nowMs, hopId, verdict);
        }
      }),
    settle: (but, nowMs) =>
      void database.run(
        `UPDATE notices SET told_at = ?
         WHERE told_at IS NULL AND verdict NOT IN (SELECT value FROM json_each(?))`,
        ...[nowMs, JSON.stringify(but)],
      ),
    lastDigestMs: () => integer(database.get('SELECT at FROM digests') ?? {}, 'at'),
    digestMade: (nowMs) => void database.run('UPDATE digests SET at = ?', nowMs),
  };
}
