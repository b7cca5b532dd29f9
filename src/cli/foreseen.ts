import { fileError } from '../adapters/home/files.ts';
import { asPhtError, PhtError } from '../model/error.ts';

/**
 * Any thrown value as a PhtError, for a person at this machine: what the file system or SQLite refused is told in its
 * own words. Only for the command line, since it names local files; a peer is never told them.
 */
export function foreseen(thrown: unknown): PhtError {
  if (thrown instanceof PhtError || !(thrown instanceof Error)) return asPhtError(thrown);
  if ('errcode' in thrown) {
    const message = `state.db (the database of this home) cannot be used: ${thrown.message}`;
    return new PhtError('config.invalid', message, { cause: thrown });
  }
  if (!('code' in thrown && 'syscall' in thrown)) return asPhtError(thrown);
  const path = 'path' in thrown && typeof thrown.path === 'string' ? thrown.path : 'a file of this home';
  if (thrown.syscall === 'mkdir' && thrown.code === 'ENOENT') {
    // Node.js tells it so when a folder above cannot be written.
    const hint = 'look whether the folder above is there and can be written';
    return new PhtError('config.invalid', `${path} could not be made`, { cause: thrown, hint });
  }
  return fileError(thrown, path, `could not be used (${String(thrown.syscall)})`);
}
