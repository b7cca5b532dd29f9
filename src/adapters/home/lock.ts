import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PhtError } from '../../model/error.ts';

/**
 * Takes the exclusive lock of a home, so that two servers never sign with one identity (protocol, section 7). The
 * lock is SQLite's own on `lock.db`; the kernel drops it when the process ends in whatever way.
 *
 * @returns a function that gives the lock back
 * @throws PhtError `home.locked`
 */
export function lockHome(dir: string): () => void {
  const database = new DatabaseSync(join(dir, 'lock.db'));
  try {
    // A busy timeout of 0 answers at once instead of waiting for the other server to end.
    database.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    throw new PhtError('home.locked', `${dir} is in use by another running pht server`, {
      cause,
      hint: 'stop the other process first; two servers must never share one identity',
    });
  }
  return () => database.close();
}
