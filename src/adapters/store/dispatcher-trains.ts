import { PhtError } from '../../model/error.ts';
import type { StopState } from '../../model/hop.ts';
import type { Digest, HopId, TrainId } from '../../model/id.ts';
import type { JourneyState, SealedStop, Stop, Stops, Train, Trains } from '../../ports/dispatcher-store.ts';
import { blob, blobOrNull, type Database, integer, type Row, text, textOrNull } from './database.ts';

/** The journeys of a dispatcher: trains and their stops. */

export function trainTable(database: Database): Trains {
  return {
    insert: (train) =>
      void database.run(
        `INSERT INTO trains
          (train_id, manifest_digest, manifest, researcher, title, state, submitted_at, expires_at, cancellation,
           admitted_at)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        ...[train.trainId, train.manifestDigest, train.manifest, train.researcher, train.title, train.state],
        ...[train.submittedAtMs, train.expiresMs, train.cancellation, train.admittedAt],
      ),
    find: (trainId) => {
      const row = database.get('SELECT * FROM trains WHERE train_id = ?', trainId);
      return row === undefined ? null : trainOf(row);
    },
    page: (researcher, after, max) => {
      const { submittedAtMs, trainId } = after ?? { submittedAtMs: Number.MAX_SAFE_INTEGER, trainId: '' };
      const sql = `SELECT * FROM trains WHERE researcher = ?
        AND (submitted_at < ? OR (submitted_at = ? AND train_id > ?))
        ORDER BY submitted_at DESC, train_id LIMIT ?`;
      return database.all(sql, researcher, submittedAtMs, submittedAtMs, trainId, max).map(trainOf);
    },
    open: (which) => {
      const open = "SELECT * FROM trains WHERE state IN ('loading', 'under-way')";
      const rows =
        'researcher' in which
          ? database.all(`${open} AND researcher = ?`, which.researcher)
          : database.all(`${open} AND expires_at < ?`, which.expiredBeforeMs);
      return rows.map(trainOf);
    },
    move: (trainId, from, to) => {
      const moved = database.run(
        'UPDATE trains SET state = ? WHERE train_id = ? AND state = ?',
        to,
        trainId,
        from,
      );
      if (moved !== 1) throw new PhtError('conflict', `${trainId} is no longer ${from}`);
    },
    cancel: (trainId, cancellation) =>
      void database.run('UPDATE trains SET cancellation = ? WHERE train_id = ?', cancellation, trainId),
  };
}

function trainOf(row: Row): Train {
  return {
    trainId: text(row, 'train_id') as TrainId,
    manifestDigest: text(row, 'manifest_digest') as Digest,
    manifest: blob(row, 'manifest'),
    researcher: text(row, 'researcher'),
    title: text(row, 'title'),
    state: text(row, 'state') as JourneyState,
    submittedAtMs: integer(row, 'submitted_at'),
    expiresMs: integer(row, 'expires_at'),
    cancellation: blobOrNull(row, 'cancellation'),
    admittedAt: integer(row, 'admitted_at'),
  };
}

export function stopTable(database: Database): Stops {
  const move = (stop: Stop, to: StopState, code: string, nowMs: number): void => {
    const sql = 'UPDATE stops SET state = ?, code = ?, changed_at = ? WHERE hop_id = ? AND state = ?';
    const moved = database.run(sql, to, code, nowMs, stop.hopId, stop.state);
    if (moved !== 1) throw new PhtError('conflict', `${stop.hopId} is no longer ${stop.state}`);
  };
  return {
    insert: (stop) =>
      void database.run(
        `INSERT INTO stops
          (train_id, station, state, code, attempt, epoch, hop_id, order_bytes, order_digest, receipt_digest, changed_at,
           ordered_at)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        ...[
          stop.trainId,
          stop.station,
          stop.state,
          stop.code,
          stop.attempt,
          stop.epoch,
          stop.hopId,
          stop.order,
        ],
        ...[stop.orderDigest, stop.receiptDigest, stop.changedAtMs, stop.orderedAt],
      ),
    find: (hopId) => {
      const row = database.get('SELECT * FROM stops WHERE hop_id = ?', hopId);
      return row === undefined ? null : stopOf(row);
    },
    list: (which) => {
      const rows =
        'trainId' in which
          ? database.all('SELECT * FROM stops WHERE train_id = ? ORDER BY rowid', which.trainId)
          : database.all(
              'SELECT * FROM stops WHERE station = ? AND receipt_digest IS NULL ORDER BY rowid',
              which.openAt,
            );
      return rows.map(stopOf);
    },
    move,
    seal: (stop, { state, code, receipt, receiptDigest, jwe, proof }, nowMs) =>
      database.transaction(() => {
        move(stop, state, code, nowMs);
        const sql = 'UPDATE stops SET receipt_digest = ? WHERE hop_id = ? AND receipt_digest IS NULL';
        if (database.run(sql, receiptDigest, stop.hopId) !== 1) {
          throw new PhtError('conflict', `${stop.hopId} has a receipt already`);
        }
        database.run(
          'INSERT INTO sealed (hop_id, receipt, jwe, proof) VALUES (?, ?, ?, ?)',
          ...[stop.hopId, receipt, jwe, proof],
        );
      }),
    sealed: (hopId): SealedStop | null => {
      const row = database.get('SELECT receipt, jwe, proof FROM sealed WHERE hop_id = ?', hopId);
      if (row === undefined) return null;
      return { receipt: blob(row, 'receipt'), jwe: blobOrNull(row, 'jwe'), proof: blob(row, 'proof') };
    },
  };
}

function stopOf(row: Row): Stop {
  return {
    trainId: text(row, 'train_id') as TrainId,
    station: text(row, 'station'),
    state: text(row, 'state') as StopState,
    code: text(row, 'code'),
    attempt: integer(row, 'attempt'),
    epoch: integer(row, 'epoch'),
    hopId: text(row, 'hop_id') as HopId,
    order: blob(row, 'order_bytes'),
    orderDigest: text(row, 'order_digest') as Digest,
    receiptDigest: textOrNull(row, 'receipt_digest') as Digest | null,
    changedAtMs: integer(row, 'changed_at'),
    orderedAt: integer(row, 'ordered_at'),
  };
}
