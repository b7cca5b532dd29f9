import { PhtError } from '../../model/error.ts';
import { type HopState, hopEntryHead, mayMove } from '../../model/hop.ts';
import type { Digest } from '../../model/id.ts';
import type { ClearedImages } from '../../ports/image-review.ts';
import type { LedgerRows } from '../../ports/ledger.ts';
import type { Notices } from '../../ports/notify.ts';
import type { StationArchive } from '../../ports/station-archive.ts';
import type { RestorationStore } from '../../ports/station-restore.ts';
import type {
  ClearanceStore,
  HopNotes,
  HopRecord,
  HopStore,
  InquiryStore,
  Outbox,
  StationLog,
} from '../../ports/station-store.ts';
import type { WitnessStore } from '../../ports/witness.ts';
import { type Database, integer, openDatabase } from './database.ts';
import { hopOf, OPEN_HOPS, openHopOf } from './hop-row.ts';
import { type Append, createAppend, createLedgerRows, LEDGER_TABLES } from './ledger-rows.ts';
import { createArchive, POLICY_TABLES } from './station-archive.ts';
import {
  CLEARANCE_TABLES,
  createClearances,
  LOST_WORDS_TABLE,
  STANDING_TABLES,
} from './station-clearances.ts';
import { createClearedImages } from './station-images.ts';
import { createInquiries, INQUIRY_TABLES } from './station-inquiries.ts';
import { createNotices, NOTICE_TABLES, NOTICES_BY_VERDICT, recordNotice } from './station-notices.ts';
import { createOutbox, createPost, type Post, WAIT_COLUMNS } from './station-outbox.ts';
import { claimRelease, giveBack, hold } from './station-releases.ts';
import { createRestorationStore } from './station-restore.ts';
import { consume } from './station-runs.ts';
import { createSalts, SALT_TABLES } from './station-salts.ts';
import { createWitnessStore, WITNESS_TABLES } from './witness-store.ts';

const MIGRATIONS = [
  `${LEDGER_TABLES}
  ${WITNESS_TABLES}
  CREATE TABLE hops (
    hop_id TEXT PRIMARY KEY, order_digest TEXT NOT NULL, manifest_digest TEXT NOT NULL,
    step TEXT NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL,
    dispatcher TEXT NOT NULL, order_bytes BLOB NOT NULL, manifest_bytes BLOB NOT NULL, state TEXT NOT NULL,
    received_at INTEGER NOT NULL, changed_at INTEGER NOT NULL, notes TEXT NOT NULL,
    outcome TEXT, code TEXT, receipt BLOB, receipt_digest TEXT, jwe BLOB, ledger_size INTEGER
  ) STRICT;
  CREATE INDEX hops_by_visit ON hops (manifest_digest, step, round);
  CREATE INDEX hops_open ON hops (state) WHERE state <> 'delivered';
  CREATE TABLE releases (
    manifest_digest TEXT NOT NULL, step TEXT NOT NULL, round INTEGER NOT NULL, hop_id TEXT NOT NULL,
    PRIMARY KEY (manifest_digest, step, round)
  ) STRICT;
  CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, hop_id TEXT NOT NULL, epoch INTEGER NOT NULL,
    ledger_size INTEGER NOT NULL, progress TEXT
  ) STRICT;
  CREATE TABLE clearances (
    case_digest TEXT PRIMARY KEY, clearance_digest TEXT NOT NULL, envelope BLOB NOT NULL, recorded_at INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE salts (commitment TEXT PRIMARY KEY, salt BLOB NOT NULL, value TEXT NOT NULL) STRICT;
  CREATE TABLE clearance_runs (
    clearance_digest TEXT NOT NULL, manifest_digest TEXT NOT NULL, round INTEGER NOT NULL, hop_id TEXT NOT NULL,
    PRIMARY KEY (clearance_digest, manifest_digest, round)
  ) STRICT;
  CREATE TABLE clock (one INTEGER PRIMARY KEY CHECK (one = 1), highest INTEGER NOT NULL) STRICT;
  INSERT INTO clock (one, highest) VALUES (1, 0);`,
  `${SALT_TABLES} ${POLICY_TABLES} ${CLEARANCE_TABLES}`,
  STANDING_TABLES,
  `${WAIT_COLUMNS} ${NOTICE_TABLES}`,
  `${INQUIRY_TABLES} ${NOTICES_BY_VERDICT}`,
  LOST_WORDS_TABLE,
];

export type StationStore = {
  hops: HopStore;
  outbox: Outbox;
  notices: Notices;
  clearances: ClearanceStore;
  clearedImages: ClearedImages;
  inquiries: InquiryStore;
  log: StationLog;
  archive: StationArchive;
  ledgerRows: LedgerRows;
  witness: WitnessStore;
  restoration: RestorationStore;
  close(): void;
};

/**
 * @param actor the station's member id, which each of its ledger entries names
 * @param posted told after a transaction that left something in the outbox
 */
export function openStationStore(path: string, actor: string, posted: () => void = () => {}): StationStore {
  const database = openDatabase(path, MIGRATIONS);
  const salts = createSalts(database);
  const appendBare = createAppend(database, actor);
  const append: Append = (entries, nowMs) => {
    salts.write();
    return appendBare(entries, nowMs);
  };
  const appendSeen: StationLog['append'] = (entries, nowMs) =>
    database.transaction(() => {
      seen(database, nowMs);
      return append(entries, nowMs);
    });
  return {
    hops: hopStore(database, append, createPost(database, posted)),
    outbox: createOutbox(database, posted),
    notices: createNotices(database),
    clearances: createClearances(database, appendSeen),
    clearedImages: createClearedImages(database),
    inquiries: createInquiries(database),
    log: {
      append: appendSeen,
      saw: (nowMs) => seen(database, nowMs),
      highestMs: () => integer(database.get('SELECT highest FROM clock') ?? {}, 'highest'),
    },
    archive: createArchive(database, salts, appendSeen),
    ledgerRows: createLedgerRows(database),
    witness: createWitnessStore(database, append),
    restoration: createRestorationStore(database, append),
    close: database.close,
  };
}

function hopStore(database: Database, append: Append, post: Post): HopStore {
  const find = (hopId: string): HopRecord | null => {
    const row = database.get('SELECT * FROM hops WHERE hop_id = ?', hopId);
    return row === undefined ? null : hopOf(row);
  };
  const found = (hopId: string): HopRecord => {
    const hop = find(hopId);
    if (hop === null) throw new PhtError('not-found', `there is no hop ${hopId} here`);
    return hop;
  };
  return {
    find,
    accept: (order, manifest, prev, nowMs) =>
      database.transaction(() => {
        const known = find(order.hopId);
        if (known !== null) return again(post, known, order.digest);
        const { step, round, attempt, epoch, issuer } = order.predicate;
        const envelope = Buffer.from(JSON.stringify(order.envelope));
        database.run(
          `INSERT INTO hops (hop_id, order_digest, manifest_digest, step, round, attempt, epoch, dispatcher,
             order_bytes, manifest_bytes, state, received_at, changed_at, notes)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'received', ?, ?, '{}')`,
          ...[order.hopId, order.digest, order.subject, step, round, attempt, epoch, issuer],
          ...[envelope, manifest, nowMs, nowMs],
        );
        const hop = found(order.hopId);
        seen(database, nowMs);
        const size = append(
          [{ type: 'order.received', ...hopEntryHead(hop, prev), body: { orderDigest: order.digest } }],
          nowMs,
        );
        post(hop, size, 'received');
        return hop;
      }),
    open: () => database.all(OPEN_HOPS).map(openHopOf),
    list: ({ newest }) =>
      database.all('SELECT * FROM hops ORDER BY received_at DESC, hop_id LIMIT ?', newest).map(hopOf),
    move: (hop, to, change) =>
      database.transaction(() => {
        change.guard?.();
        if (change.consume) consume(database, change.consume, hop);
        if (to === 'awaiting-witness') claimRelease(database, hop);
        transition(database, hop, to, change.nowMs, change.notes ?? {});
        const size = append(change.entries, change.nowMs);
        recordNotice(database, hop, change);
        if (hop.state === 'awaiting-witness') giveBack(database, hop);
        if (to === 'awaiting-witness') hold(database, hop, change.hold, size);
        if (change.progress !== undefined) post(hop, size, change.progress);
        return found(hop.hopId);
      }),
    seal: (hop, sealed, entries, nowMs, guard) =>
      database.transaction(() => {
        guard();
        if (sealed.outcome === 'released') claimRelease(database, hop);
        else if (hop.state === 'awaiting-witness') giveBack(database, hop);
        transition(database, hop, 'sealed', nowMs, {});
        const size = append(entries, nowMs);
        database.run(
          `UPDATE hops SET outcome = ?, code = ?, receipt = ?, receipt_digest = ?, jwe = ?, ledger_size = ?
           WHERE hop_id = ?`,
          ...[sealed.outcome, sealed.code, sealed.receipt, sealed.receiptDigest, sealed.jwe, size, hop.hopId],
        );
        post(hop, size, null);
        return found(hop.hopId);
      }),
    rival: (hop) => {
      const rows = database.all(
        `SELECT * FROM hops WHERE manifest_digest = ? AND step = ? AND round = ? AND hop_id <> ?
           AND rowid < (SELECT rowid FROM hops WHERE hop_id = ?)
           AND (outcome = 'released' OR outcome IS NULL OR epoch >= ?)
         ORDER BY outcome = 'released' DESC NULLS LAST, outcome IS NULL DESC, rowid LIMIT 1`,
        ...[hop.manifestDigest, hop.step, hop.round, hop.hopId, hop.hopId, hop.epoch],
      );
      return rows[0] === undefined ? null : hopOf(rows[0]);
    },
  };
}

/** The same order again: the same receipt and the same sealed bytes, under the key they were sent with before. */
function again(post: Post, hop: HopRecord, orderDigest: Digest): HopRecord {
  if (hop.orderDigest !== orderDigest) {
    throw new PhtError('conflict', `another order has the id ${hop.hopId} already`);
  }
  if (hop.sealed !== null && hop.sealed.receipt.byteLength > 0) post(hop, hop.sealed.ledgerSize, null);
  return hop;
}

/** Compare-and-set on state and epoch; assertions before and after writing. */
function transition(database: Database, hop: HopRecord, to: HopState, nowMs: number, notes: HopNotes): void {
  if (!mayMove(hop.state, to)) throw new PhtError('conflict', `a hop cannot move from ${hop.state} to ${to}`);
  const changed = database.run(
    'UPDATE hops SET state = ?, changed_at = ?, notes = ? WHERE hop_id = ? AND state = ? AND epoch = ?',
    ...[to, nowMs, JSON.stringify({ ...hop.notes, ...notes }), hop.hopId, hop.state, hop.epoch],
  );
  if (changed !== 1) throw new PhtError('conflict', `hop ${hop.hopId} has moved meanwhile`);
  seen(database, nowMs);
}

function seen(database: Database, nowMs: number): void {
  database.run('UPDATE clock SET highest = max(highest, ?)', nowMs);
}
