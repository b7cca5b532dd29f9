import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { PhtError } from '../../model/error.ts';

/**
 * One SQLite file per member: WAL with `synchronous=FULL`, so a commit that returned survives a power cut
 * (https://www.sqlite.org/pragma.html#pragma_synchronous).
 */
export type Database = {
  run(sql: string, ...values: SQLInputValue[]): number;
  get(sql: string, ...values: SQLInputValue[]): Row | undefined;
  all(sql: string, ...values: SQLInputValue[]): Row[];
  /** Runs `work` in one immediate transaction; a throw rolls all of it back. Nested calls join the outer one. */
  transaction<T>(work: () => T): T;
  /** Runs `work` when the transaction under way is rolled back: what was kept in memory has to be undone too. */
  onRollback(work: () => void): void;
  close(): void;
};

export type Row = Record<string, unknown>;

/** @param migrations SQL scripts; script n brings the schema from version n to n + 1 and is never edited once released */
export function openDatabase(path: string, migrations: readonly string[]): Database {
  let sqlite: DatabaseSync | undefined;
  try {
    sqlite = new DatabaseSync(path);
    return opened(sqlite, migrations);
  } catch (thrown) {
    sqlite?.close();
    throw unusable(path, thrown);
  }
}

/** What SQLite refuses at the start has its cause on this machine, and a person there can mend it. */
function unusable(path: string, thrown: unknown): unknown {
  if (!(thrown instanceof Error) || !('errcode' in thrown)) return thrown;
  return new PhtError('config.invalid', `${path} (the database) cannot be used: ${thrown.message}`, {
    cause: thrown,
    hint: 'free the disk or make the folder writable; restore a damaged one from a backup, ledger folder included',
  });
}

function opened(sqlite: DatabaseSync, migrations: readonly string[]): Database {
  sqlite.exec(
    'PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=5000;',
  );
  const prepared = new Map<string, StatementSync>();
  const prepare = (sql: string): StatementSync => {
    const known = prepared.get(sql);
    if (known !== undefined) return known;
    const statement = sqlite.prepare(sql);
    prepared.set(sql, statement);
    return statement;
  };
  let depth = 0;
  let undoing: (() => void)[] = [];
  const transaction = <T>(work: () => T): T => {
    if (depth > 0) return work();
    sqlite.exec('BEGIN IMMEDIATE');
    depth++;
    try {
      const value = work();
      sqlite.exec('COMMIT');
      return value;
    } catch (thrown) {
      // A full disk has rolled it back already, and the attempt would hide why.
      if (sqlite.isTransaction) sqlite.exec('ROLLBACK');
      for (const undo of undoing) undo();
      throw thrown;
    } finally {
      undoing = [];
      depth--;
    }
  };
  const database: Database = {
    run: (sql, ...values) => Number(prepare(sql).run(...values).changes),
    get: (sql, ...values) => prepare(sql).get(...values) as Row | undefined,
    all: (sql, ...values) => prepare(sql).all(...values) as Row[],
    transaction,
    onRollback: (work) => void undoing.push(work),
    close: () => sqlite.close(),
  };
  migrate(sqlite, database, migrations);
  return database;
}

function migrate(sqlite: DatabaseSync, database: Database, migrations: readonly string[]): void {
  const version = Number(database.get('PRAGMA user_version')?.['user_version'] ?? 0);
  if (version > migrations.length) {
    throw new PhtError('conflict', 'the database was written by a newer version of this software', {
      hint: 'install that version again; nothing was changed',
    });
  }
  for (const [index, script] of migrations.entries()) {
    if (index < version) continue;
    database.transaction(() => sqlite.exec(`${script}; PRAGMA user_version = ${index + 1};`));
  }
}

export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw new PhtError('internal', `column ${column} is not text`);
  return value;
}

export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null || row[column] === undefined ? null : text(row, column);
}

export function integer(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== 'number') throw new PhtError('internal', `column ${column} is not a number`);
  return value;
}

export function blob(row: Row, column: string): Uint8Array {
  const value = row[column];
  if (!(value instanceof Uint8Array)) throw new PhtError('internal', `column ${column} is not bytes`);
  return value;
}

export function blobOrNull(row: Row, column: string): Uint8Array | null {
  return row[column] === null || row[column] === undefined ? null : blob(row, column);
}
