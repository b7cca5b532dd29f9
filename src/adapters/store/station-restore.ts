import { PhtError } from '../../model/error.ts';
import type { EndedHop, Restoration, RestorationStore } from '../../ports/station-restore.ts';
import { type Database, integer, text } from './database.ts';
import type { Append } from './ledger-rows.ts';

/** Takes up what a ledger's mirror has and an old copy of the store has not. */
export function createRestorationStore(database: Database, append: Append): RestorationStore {
  return {
    apply: (restoration) =>
      database.transaction(() => {
        assertSame(database, restoration);
        takeRows(database, restoration);
        takeHeads(database, restoration);
        database.run('UPDATE clock SET highest = max(highest, ?)', restoration.highestMs);
        for (const hopId of restoration.startOver) startOver(database, hopId, restoration.nowMs);
        for (const hop of restoration.ended) end(database, hop);
        for (const { hopId, manifestDigest } of restoration.releases) {
          database.run(
            `INSERT INTO releases (manifest_digest, step, round, hop_id) VALUES (?, 'run', 1, ?)
             ON CONFLICT DO UPDATE SET hop_id = excluded.hop_id`,
            ...[manifestDigest, hopId],
          );
        }
        for (const run of restoration.runs) spend(database, run);
        for (const caseDigest of restoration.rejected) voidCase(database, caseDigest, restoration.nowMs);
        if (restoration.voided) voidAll(database, restoration.nowMs);
        if (restoration.wordsLostMs !== null) loseWords(database, restoration.wordsLostMs);
        database.run('UPDATE clock SET highest = max(highest, ?)', restoration.nowMs);
        return append(restoration.entries, restoration.nowMs);
      }),
  };
}

function assertSame(database: Database, { base }: Restoration): void {
  const rows = database.get('SELECT coalesce(max(idx) + 1, 0) AS size FROM ledger_entries') ?? {};
  const signed = database.get('SELECT coalesce(max(size), 0) AS size FROM ledger_checkpoints') ?? {};
  if (integer(rows, 'size') === base.rows && integer(signed, 'size') === base.signed) return;
  throw new PhtError('conflict', 'the ledger of this home has grown meanwhile; nothing was restored', {
    hint: 'stop whatever uses this home, and run this again',
  });
}

/** Rows that were never signed make room: what of them still holds follows the restored ones. */
function takeRows(database: Database, { keep, rows, carried }: Restoration): void {
  database.run('DELETE FROM ledger_entries WHERE idx >= ?', keep);
  for (const [at, bytes] of [...rows, ...carried].entries()) {
    database.run('INSERT INTO ledger_entries (idx, bytes) VALUES (?, ?)', keep + at, bytes);
  }
}

function takeHeads(database: Database, { head, published }: Restoration): void {
  database.run('INSERT INTO ledger_checkpoints (size, text) VALUES (?, ?)', head.size, head.text);
  if (published === null) return;
  database.run(
    `INSERT INTO ledger_published (one, size, text) VALUES (1, ?, ?)
     ON CONFLICT DO UPDATE SET size = excluded.size, text = excluded.text`,
    ...[published.size, published.text],
  );
}

/** Nothing of it has left, and what was decided meanwhile is lost: it is decided anew. */
function startOver(database: Database, hopId: string, nowMs: number): void {
  database.run(
    `UPDATE hops SET state = 'received', changed_at = ?, notes = '{}', outcome = NULL, code = NULL, receipt = NULL,
       receipt_digest = NULL, jwe = NULL, ledger_size = NULL
     WHERE hop_id = ?`,
    ...[nowMs, hopId],
  );
  database.run('DELETE FROM releases WHERE hop_id = ?', hopId);
  database.run('DELETE FROM outbox WHERE hop_id = ?', hopId);
}

/** An empty receipt is one whose bytes are lost: there is nothing to post, and the order is a replay. */
function end(database: Database, hop: EndedHop): void {
  database.run('DELETE FROM releases WHERE hop_id = ?', hop.hopId);
  database.run('DELETE FROM outbox WHERE hop_id = ?', hop.hopId);
  database.run(
    `INSERT INTO hops (hop_id, order_digest, manifest_digest, step, round, attempt, epoch, dispatcher,
       order_bytes, manifest_bytes, state, received_at, changed_at, notes,
       outcome, code, receipt, receipt_digest, jwe, ledger_size)
     VALUES (?, ?, ?, 'run', 1, ?, ?, ?, x'', x'', 'delivered', ?, ?, '{}', ?, ?, x'', ?, NULL, 0)
     ON CONFLICT (hop_id) DO UPDATE SET state = excluded.state, changed_at = excluded.changed_at,
       outcome = excluded.outcome, code = excluded.code, receipt = excluded.receipt,
       receipt_digest = excluded.receipt_digest, jwe = NULL, ledger_size = 0`,
    ...[hop.hopId, hop.orderDigest, hop.manifestDigest, hop.attempt, hop.epoch, hop.dispatcher],
    ...[hop.receivedAtMs, hop.endedAtMs, hop.outcome, hop.code, hop.receiptDigest],
  );
}

/** The entry hides which clearance it was: every one that may have been it is used up by one run. */
function spend(database: Database, run: Restoration['runs'][number]): void {
  const { hopId, manifestDigest, caseDigest, standing } = run;
  const [table, column, known] = standing
    ? [
        'standing_runs',
        'terms_digest',
        database.all('SELECT DISTINCT terms_digest AS digest FROM standing_clearances'),
      ]
    : [
        'clearance_runs',
        'clearance_digest',
        database.all(
          'SELECT clearance_digest AS digest FROM signed_clearances WHERE case_digest = ?',
          caseDigest,
        ),
      ];
  for (const row of known) {
    database.run(
      `INSERT INTO ${table} (${column}, manifest_digest, round, hop_id) VALUES (?, ?, 1, ?)
       ON CONFLICT DO UPDATE SET hop_id = excluded.hop_id`,
      ...[text(row, 'digest'), manifestDigest, hopId],
    );
  }
}

/** What was used or taken back in the lost time, nobody can tell by its digest. */
function loseWords(database: Database, lostMs: number): void {
  database.run(
    `INSERT INTO lost_words (one, last_at) VALUES (1, ?)
     ON CONFLICT DO UPDATE SET last_at = max(last_at, excluded.last_at)`,
    lostMs,
  );
}

/** Whoever said no is not known here, and may have approved before. */
function voidCase(database: Database, caseDigest: string, nowMs: number): void {
  database.run(
    `INSERT INTO withdrawals (clearance_digest, envelope, withdrawn_at)
     SELECT clearance_digest, x'', ? FROM signed_clearances WHERE case_digest = ? ON CONFLICT DO NOTHING`,
    ...[nowMs, caseDigest],
  );
}

function voidAll(database: Database, nowMs: number): void {
  for (const table of ['signed_clearances', 'standing_clearances']) {
    database.run(
      `INSERT INTO withdrawals (clearance_digest, envelope, withdrawn_at)
       SELECT clearance_digest, x'', ? FROM ${table} WHERE true ON CONFLICT DO NOTHING`,
      nowMs,
    );
  }
}
