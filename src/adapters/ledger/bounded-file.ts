import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { PhtError } from '../../model/error.ts';

/**
 * One regular file within a bound; a link or a pipe in a copy is nothing that a log has. Read at one go: a million
 * entries are 8000 files, and waiting for each costs more than reading it.
 *
 * @returns null where there is no such file
 * @throws PhtError `ledger.invalid` for what is no regular file or too large, `config.invalid` when it cannot be read
 */
export function readBoundedFile(path: string, bytesMax: number): Uint8Array | null {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : '';
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    if (code === 'ELOOP') throw new PhtError('ledger.invalid', `${path} is a symbolic link`, { cause });
    throw new PhtError('config.invalid', `${path} could not be read`, { cause });
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new PhtError('ledger.invalid', `${path} is not a regular file`);
    if (stat.size > bytesMax)
      throw new PhtError('ledger.invalid', `${path} is larger than ${bytesMax} bytes`);
    const bytes = Buffer.allocUnsafeSlow(stat.size);
    return bytes.subarray(0, readSync(file, bytes, 0, stat.size, 0));
  } finally {
    closeSync(file);
  }
}
