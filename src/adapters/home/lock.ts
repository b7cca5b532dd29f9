import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PhtError } from '../../model/error.ts';

/**
 * Takes the exclusive lock of a home, so that two servers never sign with one identity (protocol, section 7). The
 * lock is SQLite's own on `lock.db`; the kernel drops it when the process ends in whatever way.
 *
 * @returns a function that gives the lock back
 * @throws PhtError `home.locked`, `config.invalid` when there can be no lock
 */
export function lockHome(dir: string): () => void {
  const path = join(dir, 'lock.db');
  const database = open(path);
  try {
    // A busy timeout of 0 answers at once instead of waiting for the other server to end.
    database.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    if (!isBusy(cause)) throw unusable(path, cause);
    throw new PhtError('home.locked', `${dir} is in use by another running pht server`, {
      cause,
      hint: 'stop the other process first; two servers must never share one identity',
    });
  }
  return () => database.close();
}

function open(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path);
  } catch (cause) {
    throw unusable(path, cause);
  }
}

/** SQLITE_BUSY or SQLITE_LOCKED (https://www.sqlite.org/rescode.html), the only ones that mean another process. */
function isBusy(thrown: unknown): boolean {
  return thrown instanceof Error && 'errcode' in thrown && [5, 6].includes(Number(thrown.errcode) & 0xff);
}

function unusable(path: string, cause: unknown): PhtError {
  const why = cause instanceof Error ? cause.message : 'unknown error';
  return new PhtError('config.invalid', `${path} cannot be used as a lock: ${why}`, {
    cause,
    hint: 'free the disk or make the folder writable; a damaged lock.db holds nothing and may be removed',
  });
}
