import type { Blobs, DispatcherStore, Replies, Stations } from '../../ports/dispatcher-store.ts';
import { blob, type Database, integer, openDatabase, text } from './database.ts';
import { MIRROR_TABLES, mirrorTable } from './dispatcher-mirrors.ts';
import { PAST_HEAD_TABLES, pastHeadTable } from './dispatcher-past-heads.ts';
import { SALT_TABLES, saltTable } from './dispatcher-salts.ts';
import { stopTable, trainTable } from './dispatcher-trains.ts';
import { createAppend, createLedgerRows, LEDGER_TABLES } from './ledger-rows.ts';
import { createWitnessStore, WITNESS_TABLES } from './witness-store.ts';

const MIGRATIONS = [
  `${LEDGER_TABLES}
  CREATE TABLE trains (
    train_id TEXT PRIMARY KEY, manifest_digest TEXT NOT NULL UNIQUE, manifest BLOB NOT NULL, researcher TEXT NOT NULL,
    title TEXT NOT NULL, state TEXT NOT NULL, submitted_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    cancellation BLOB
  ) STRICT;
  CREATE INDEX trains_by_researcher ON trains (researcher, submitted_at DESC, train_id);
  CREATE INDEX trains_open ON trains (expires_at) WHERE state IN ('loading', 'under-way');
  CREATE TABLE stops (
    train_id TEXT NOT NULL REFERENCES trains (train_id), station TEXT NOT NULL, state TEXT NOT NULL,
    code TEXT NOT NULL, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL, hop_id TEXT NOT NULL UNIQUE,
    order_bytes BLOB NOT NULL, order_digest TEXT NOT NULL, receipt_digest TEXT, changed_at INTEGER NOT NULL,
    PRIMARY KEY (train_id, station)
  ) STRICT;
  CREATE INDEX stops_open ON stops (station) WHERE receipt_digest IS NULL;
  CREATE TABLE sealed (
    hop_id TEXT PRIMARY KEY REFERENCES stops (hop_id), receipt BLOB NOT NULL, jwe BLOB
  ) STRICT;
  CREATE TABLE blobs (
    researcher TEXT NOT NULL, digest TEXT NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (researcher, digest)
  ) STRICT;
  CREATE TABLE replies (
    member TEXT NOT NULL, method TEXT NOT NULL, key TEXT NOT NULL, request_digest TEXT NOT NULL,
    response BLOB NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (member, method, key)
  ) STRICT;
  CREATE INDEX replies_by_age ON replies (at);
  CREATE TABLE stations (station TEXT PRIMARY KEY, last_seen INTEGER NOT NULL) STRICT;
  CREATE TABLE descriptions (
    station TEXT NOT NULL, position INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (station, position)
  ) STRICT;
  CREATE TABLE mirrors (
    member TEXT PRIMARY KEY, verified_size INTEGER NOT NULL, verified_peaks BLOB NOT NULL,
    stored_size INTEGER NOT NULL, stored_peaks BLOB NOT NULL, checkpoint BLOB
  ) STRICT;
  CREATE TABLE mirror_entries (
    member TEXT NOT NULL, idx INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (member, idx)
  ) STRICT;`,
  // Stations send again what the files do not hold. An admission or order from before stands in the ledger under a
  // number that only a search would find: 0 is the ledger's own beginning, and proves none.
  `${WITNESS_TABLES}
  ${MIRROR_TABLES}
  ${SALT_TABLES}
  ALTER TABLE trains ADD COLUMN admitted_at INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE stops ADD COLUMN ordered_at INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE sealed ADD COLUMN proof BLOB NOT NULL DEFAULT x'';`,
  PAST_HEAD_TABLES,
];

/** @param actor the dispatcher's member id, which each of its ledger entries names */
export function openDispatcherStore(path: string, actor: string): DispatcherStore {
  const database = openDatabase(path, MIGRATIONS);
  const append = createAppend(database, actor);
  return {
    atomically: database.transaction,
    append,
    trains: trainTable(database),
    stops: stopTable(database),
    blobs: blobTable(database),
    replies: replyTable(database),
    stations: stationTable(database),
    mirrors: mirrorTable(database),
    pastHeads: pastHeadTable(database),
    salts: saltTable(database),
    witness: createWitnessStore(database, append),
    ledgerRows: createLedgerRows(database),
    close: database.close,
  };
}

function blobTable(database: Database): Blobs {
  return {
    own: (researcher, digest, bytes) =>
      void database.run(
        'INSERT OR REPLACE INTO blobs (researcher, digest, bytes) VALUES (?, ?, ?)',
        researcher,
        digest,
        bytes,
      ),
    owned: (researcher) => {
      const rows = database.all('SELECT digest, bytes FROM blobs WHERE researcher = ?', researcher);
      return new Map(rows.map((row) => [text(row, 'digest'), integer(row, 'bytes')]));
    },
    disown: (researcher, digest) =>
      void database.run('DELETE FROM blobs WHERE researcher = ? AND digest = ?', researcher, digest),
  };
}

function replyTable(database: Database): Replies {
  return {
    find: (member, method, key) => {
      const sql = 'SELECT request_digest, response FROM replies WHERE member = ? AND method = ? AND key = ?';
      const row = database.get(sql, member, method, key);
      if (row === undefined) return null;
      return { requestDigest: text(row, 'request_digest'), response: blob(row, 'response') };
    },
    put: (member, method, key, { requestDigest, response, atMs }) =>
      void database.run(
        'INSERT INTO replies (member, method, key, request_digest, response, at) VALUES (?, ?, ?, ?, ?, ?)',
        ...[member, method, key, requestDigest, response, atMs],
      ),
    prune: (beforeMs) => void database.run('DELETE FROM replies WHERE at < ?', beforeMs),
  };
}

function stationTable(database: Database): Stations {
  const seen = (station: string, nowMs: number): void => {
    const sql = `INSERT INTO stations (station, last_seen) VALUES (?, ?)
      ON CONFLICT (station) DO UPDATE SET last_seen = max(last_seen, excluded.last_seen)`;
    database.run(sql, station, nowMs);
  };
  return {
    announce: ({ station, lastSeenMs, descriptions }) =>
      database.transaction(() => {
        seen(station, lastSeenMs);
        database.run('DELETE FROM descriptions WHERE station = ?', station);
        for (const [position, bytes] of descriptions.entries()) {
          database.run(
            'INSERT INTO descriptions (station, position, bytes) VALUES (?, ?, ?)',
            station,
            position,
            bytes,
          );
        }
      }),
    seen,
    list: () =>
      database.all('SELECT station, last_seen FROM stations ORDER BY station').map((row) => {
        const station = text(row, 'station');
        const described = database.all(
          'SELECT bytes FROM descriptions WHERE station = ? ORDER BY position',
          station,
        );
        return {
          station,
          lastSeenMs: integer(row, 'last_seen'),
          descriptions: described.map((each) => blob(each, 'bytes')),
        };
      }),
  };
}
