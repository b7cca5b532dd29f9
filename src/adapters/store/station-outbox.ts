import { type HopState, progressOf } from '../../model/hop.ts';
import type { HopId } from '../../model/id.ts';
import type { HopRecord, Message, Outbox } from '../../ports/station-store.ts';
import { blob, blobOrNull, type Database, integer, type Row, text, textOrNull } from './database.ts';

/** What a station has to tell its dispatcher, in the transaction that made it so and until it is acknowledged. */

/** `told`: the progress that was posted last; `waits`: what else was said to keep the hop from going on since. */
export const WAIT_COLUMNS = `
  ALTER TABLE hops ADD COLUMN told TEXT NOT NULL DEFAULT '';
  ALTER TABLE hops ADD COLUMN waits TEXT NOT NULL DEFAULT '';`;

/** `progress` null posts the receipt, whose bytes stay in the hop's own row. */
export type Post = (hop: HopRecord, ledgerSize: number, progress: string | null) => void;

export function createPost(database: Database, posted: () => void): Post {
  return (hop, ledgerSize, progress) => {
    const key = `${hop.hopId}.${progress ?? 'receipt'}.${ledgerSize}`;
    // The one key of a receipt may wait already.
    database.run(
      'INSERT INTO outbox (key, hop_id, epoch, ledger_size, progress) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
      ...[key, hop.hopId, hop.epoch, ledgerSize, progress],
    );
    if (progress !== null)
      database.run(`UPDATE hops SET told = ?, waits = '' WHERE hop_id = ?`, progress, hop.hopId);
    // Transactions are synchronous, so this one is over when a microtask runs.
    queueMicrotask(posted);
  };
}

export function createOutbox(database: Database, posted: () => void): Outbox {
  return {
    waiting: (max) =>
      database
        .all(
          `SELECT outbox.key, outbox.hop_id, outbox.epoch, outbox.ledger_size, outbox.progress, hops.receipt, hops.jwe,
             hops.outcome
           FROM outbox JOIN hops USING (hop_id) ORDER BY seq LIMIT ?`,
          max,
        )
        .map(messageOf),
    tell: (hopId, wait, nowMs) =>
      database.transaction(() => {
        const row = database.get(
          `SELECT epoch, told, waits, state FROM hops WHERE hop_id = ? AND state NOT IN ('sealed', 'delivered')`,
          hopId,
        );
        if (row === undefined || text(row, 'waits') === (wait ?? '')) return;
        database.run('UPDATE hops SET waits = ? WHERE hop_id = ?', wait ?? '', hopId);
        // A hop that an older version took on has not said yet how far it was.
        const progress = wait ?? (text(row, 'told') || progressOf(text(row, 'state') as HopState));
        // The same wait may come again, and is another report then.
        const key = `${hopId}.${progress}.${nowMs}ms`;
        database.run(
          `INSERT INTO outbox (key, hop_id, epoch, ledger_size, progress) VALUES (?, ?, ?, 0, ?)
           ON CONFLICT DO NOTHING`,
          ...[key, hopId, integer(row, 'epoch'), progress],
        );
        queueMicrotask(posted);
      }),
    done: (key, nowMs) =>
      database.transaction(() => {
        const row = database.get('SELECT hop_id, progress FROM outbox WHERE key = ?', key);
        if (row === undefined) return;
        database.run('DELETE FROM outbox WHERE key = ?', key);
        if (row['progress'] !== null) return;
        database.run(
          `UPDATE hops SET state = 'delivered', changed_at = ? WHERE hop_id = ? AND state = 'sealed'`,
          ...[nowMs, text(row, 'hop_id')],
        );
      }),
  };
}

function messageOf(row: Row): Message {
  const head = {
    key: text(row, 'key'),
    hopId: text(row, 'hop_id') as HopId,
    epoch: integer(row, 'epoch'),
    ledgerSize: integer(row, 'ledger_size'),
  };
  const progress = textOrNull(row, 'progress');
  if (progress !== null) return { ...head, kind: 'progress', progress };
  return {
    ...head,
    kind: 'receipt',
    receipt: blob(row, 'receipt'),
    jwe: blobOrNull(row, 'jwe'),
    releases: row['outcome'] === 'released',
  };
}
