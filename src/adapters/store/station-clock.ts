import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { PhtError } from '../../model/error.ts';

/**
 * The highest time that a station has on record, read beside its running agent without changing anything.
 *
 * @returns milliseconds since the Unix epoch, null where no station has run yet
 * @throws PhtError `conflict` when the file is no database of a station
 */
export function highestSeenMs(path: string): number | null {
  if (!existsSync(path)) return null;
  try {
    const database = new DatabaseSync(path, { readOnly: true, timeout: 5000 });
    try {
      const highest = database.prepare('SELECT highest FROM clock').get()?.['highest'];
      return typeof highest === 'number' && highest > 0 ? highest : null;
    } finally {
      database.close();
    }
  } catch (cause) {
    throw new PhtError('conflict', `${path} is not the database of a station`, { cause });
  }
}
