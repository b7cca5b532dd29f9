import type { HopId } from '../../model/id.ts';
import type { HopRecord, Message, Outbox } from '../../ports/station-store.ts';
import { blob, blobOrNull, type Database, integer, type Row, text, textOrNull } from './database.ts';

/** What a station has to tell its dispatcher, in the transaction that made it so and until it is acknowledged. */

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
    // Transactions are synchronous, so this one is over when a microtask runs.
    queueMicrotask(posted);
  };
}

export function createOutbox(database: Database): Outbox {
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
