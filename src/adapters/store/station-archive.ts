import { ClearancePredicate } from '../../model/clearance.ts';
import { parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { StandingPredicate } from '../../model/standing.ts';
import { readStatement } from '../../model/statement.ts';
import { Manifest } from '../../model/train.ts';
import { TrustPredicate } from '../../model/trust.ts';
import { WithdrawalPredicate } from '../../model/withdrawal.ts';
import type { NewEntry } from '../../ports/ledger.ts';
import type { Erased, StationArchive } from '../../ports/station-archive.ts';
import type { HopNotes } from '../../ports/station-store.ts';
import { blob, type Database, text, textOrNull } from './database.ts';
import { signedClearance } from './station-clearances.ts';
import { eraseInquiries } from './station-inquiries.ts';
import { eraseSalts, type Salts } from './station-salts.ts';
import { eraseDecisions } from './witness-store.ts';

export const POLICY_TABLES = `
  CREATE TABLE policies (digest TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT;`;

/** @param append appends entries within the transaction under way */
export function createArchive(
  database: Database,
  { write, ...salts }: Salts,
  append: (entries: NewEntry[], nowMs: number) => number,
): StationArchive {
  // What is deleted is overwritten, so that no copy of it stays in the file's free space.
  database.get('PRAGMA secure_delete = ON');
  return {
    ...salts,
    keepPolicy: (digest, policy) => {
      database.run(
        'INSERT INTO policies (digest, text) VALUES (?, ?) ON CONFLICT DO NOTHING',
        digest,
        policy,
      );
    },
    policy: (digest) => {
      const row = database.get('SELECT text FROM policies WHERE digest = ?', digest);
      return row === undefined ? null : text(row, 'text');
    },
    clearance: (clearanceDigest) => signedClearance(database, clearanceDigest),
    erase: (member, nowMs, entryOf) => {
      const erased = database.transaction((): Erased => {
        write();
        const gone = eraseSalts(database, member);
        eraseInquiries(database, member);
        const hops = eraseHops(database, member);
        const trust = eraseDecisions(database, (envelope) => isAbout(envelope, member, trustNames));
        const clearances = eraseClearances(database, member) + trust;
        return { salts: gone, clearances, ...hops, ledgerSize: append([entryOf(gone)], nowMs) };
      });
      // Until it is folded into the database the write-ahead log still holds the old pages.
      overwrite(database);
      return erased;
    },
  };
}

function overwrite(database: Database): void {
  if (database.get('PRAGMA wal_checkpoint(TRUNCATE)')?.['busy'] === 0) return;
  throw new PhtError(
    'conflict',
    'it was deleted, but another program reads the database and old copies stay on disk',
    {
      hint: 'end that program, for instance a backup, and run this again',
    },
  );
}

/** A hop that is under way is held to its signed statements until it has ended; then nothing needs them any more. */
function eraseHops(database: Database, member: string): { redacted: number; open: number } {
  let redacted = 0;
  let open = 0;
  for (const id of database.all('SELECT hop_id FROM hops')) {
    const row = database.get(
      'SELECT state, notes, manifest_bytes FROM hops WHERE hop_id = ?',
      text(id, 'hop_id'),
    );
    if (row === undefined) continue;
    const notes = JSON.parse(text(row, 'notes')) as HopNotes;
    if (notes.researcher !== member && !isAbout(blob(row, 'manifest_bytes'), member, manifestNames)) continue;
    if (text(row, 'state') !== 'delivered') {
      open++;
      continue;
    }
    const { title: _title, researcher: _researcher, reasons: _reasons, problem: _problem, ...kept } = notes;
    database.run(
      `UPDATE hops SET notes = ?, manifest_bytes = x'' WHERE hop_id = ?`,
      ...[JSON.stringify({ ...kept, erased: true }), text(id, 'hop_id')],
    );
    redacted++;
  }
  return { redacted, open };
}

/** What a hop that is under way was decided or cleared by is needed until that has ended. */
function eraseClearances(database: Database, member: string): number {
  const open = database
    .all(`SELECT notes FROM hops WHERE state <> 'delivered'`)
    .map((row) => JSON.parse(text(row, 'notes')) as HopNotes);
  const cases = new Set(open.flatMap(({ caseDigest }) => caseDigest ?? []));
  const needed = new Set(
    open.flatMap(({ clearances = [], approvals = [] }) => [...clearances, ...approvals]),
  );
  const gone = (table: string, names: (payload: Uint8Array) => string[]): string[] =>
    database
      .all(`SELECT * FROM ${table}`)
      .filter(
        (row) =>
          !needed.has(text(row, 'clearance_digest')) && !cases.has(textOrNull(row, 'case_digest') ?? ''),
      )
      .filter((row) => isAbout(blob(row, 'envelope'), member, names))
      .map((row) => text(row, 'clearance_digest'));
  const clearances = gone('signed_clearances', clearanceNames);
  const standing = gone('standing_clearances', standingNames);
  for (const digest of clearances)
    database.run('DELETE FROM signed_clearances WHERE clearance_digest = ?', digest);
  for (const digest of standing)
    database.run('DELETE FROM standing_clearances WHERE clearance_digest = ?', digest);
  const withdrawn = database
    .all('SELECT clearance_digest, envelope FROM withdrawals')
    .filter((row) => isAbout(blob(row, 'envelope'), member, withdrawalNames));
  // What was taken back stays so, whoever did it.
  for (const row of withdrawn) {
    database.run(
      `UPDATE withdrawals SET envelope = x'' WHERE clearance_digest = ?`,
      text(row, 'clearance_digest'),
    );
  }
  return clearances.length + standing.length + withdrawn.length;
}

/** What cannot be read as what it should be may still hold a name. */
function isAbout(bytes: Uint8Array, member: string, names: (payload: Uint8Array) => string[]): boolean {
  let payload = bytes;
  try {
    payload = payloadOf(parseEnvelope(bytes, 'statement'));
    return names(payload).includes(member);
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    return Buffer.from(payload).includes(`"${member}"`);
  }
}

function manifestNames(payload: Uint8Array): string[] {
  const { issuer, recipients } = readStatement('manifest', Manifest, payload).predicate;
  return [issuer, ...recipients.map(({ member }) => member)];
}

/** The member it is about is a dispatcher or a station: what is forgotten is who decided. */
function trustNames(payload: Uint8Array): string[] {
  return [readStatement('trust', TrustPredicate, payload).predicate.issuer];
}

function clearanceNames(payload: Uint8Array): string[] {
  return [readStatement('clearance', ClearancePredicate, payload).predicate.issuer];
}

function standingNames(payload: Uint8Array): string[] {
  const { issuer, researcher, recipients } = readStatement('standing', StandingPredicate, payload).predicate;
  return [issuer, researcher, ...recipients];
}

function withdrawalNames(payload: Uint8Array): string[] {
  return [readStatement('withdrawal', WithdrawalPredicate, payload).predicate.issuer];
}
