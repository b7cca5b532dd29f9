import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { PhtError } from '../../model/error.ts';

/** Small files of a home: read with a bound, replaced as a whole, closed to everybody else. */

const OPEN_TO_OTHERS = 0o077;

/**
 * Replaces a file so that a crash leaves either the old or the new bytes, never a mixture. Synchronous, since these
 * files are small and a caller must not observe the state between.
 */
export function writeAtomic(path: string, bytes: Uint8Array | string, mode = 0o600): void {
  writeAtomicAll([{ path, bytes }], mode);
}

/** The same for several files of one folder, which then needs to be made durable once only. Each by itself is atomic. */
export function writeAtomicAll(
  files: readonly { path: string; bytes: Uint8Array | string }[],
  mode = 0o600,
): void {
  const drafts = files.map(({ path, bytes }) => {
    const draft = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.new`);
    return { path, draft, bytes: typeof bytes === 'string' ? Buffer.from(bytes) : bytes };
  });
  let at = files[0]?.path ?? '';
  try {
    for (const { path, draft, bytes } of drafts) {
      at = path;
      const file = openSync(draft, 'wx', mode);
      try {
        writeAll(file, bytes);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
    }
    for (const { path, draft } of drafts) {
      at = path;
      renameSync(draft, path);
    }
    for (const folder of new Set(files.map(({ path }) => dirname(path)))) syncFolder(folder);
  } catch (cause) {
    for (const { draft } of drafts) rmSync(draft, { force: true });
    throw fileError(cause, at, 'could not be written');
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.byteLength; ) at += writeSync(file, bytes, at);
}

/** Makes a rename in this folder survive a power cut. */
export function syncFolder(folder: string): void {
  const file = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Reads one regular file of at most `bytesMax` bytes. A pipe or device is refused instead of waited for.
 *
 * @param what the file's name in an error, e.g. `the network file`
 * @throws PhtError `config.missing`, `config.invalid`, `input.too-large`, `input.malformed`
 */
export function readBounded(path: string, bytesMax: number, what: string): Uint8Array {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw fileError(cause, path, `(${what}) could not be read`);
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new PhtError('input.malformed', `${path} (${what}) is not a regular file`);
    if (stat.size > bytesMax) throw tooLarge(path, what, bytesMax);
    const bytes = readUpTo(file, bytesMax + 1);
    if (bytes.byteLength > bytesMax) throw tooLarge(path, what, bytesMax);
    if (bytes.byteLength === 0) throw new PhtError('input.malformed', `${path} (${what}) is empty`);
    return bytes;
  } finally {
    closeSync(file);
  }
}

/** The size that the kernel reported is not believed: the file may grow while it is read. */
function readUpTo(file: number, bytesMax: number): Uint8Array {
  const chunks: Uint8Array[] = [];
  let total = 0;
  while (total < bytesMax) {
    const chunk = Buffer.alloc(Math.min(64 * 1024, bytesMax - total));
    const count = readSync(file, chunk);
    if (count === 0) break;
    chunks.push(chunk.subarray(0, count));
    total += count;
  }
  return Buffer.concat(chunks);
}

const tooLarge = (path: string, what: string, bytesMax: number): PhtError =>
  new PhtError('input.too-large', `${path} (${what}) is larger than ${bytesMax} bytes`);

/** @throws PhtError `config.invalid` when group or others may read, write or enter it */
export function assertPrivate(path: string, what: string): void {
  let mode: number;
  try {
    mode = statSync(path).mode;
  } catch (cause) {
    throw fileError(cause, path, `(${what}) could not be read`);
  }
  if ((mode & OPEN_TO_OTHERS) === 0) return;
  const octal = (mode & 0o777).toString(8).padStart(4, '0');
  throw new PhtError('config.invalid', `${path} (${what}) is open to other users (mode ${octal})`, {
    hint: `close it with: chmod go-rwx '${path}'`,
  });
}

const CAUSES: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  ENOTDIR: 'a part of its path is not a folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a folder',
  ELOOP: 'too many symbolic links',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only',
  EDQUOT: 'the disk quota is used up',
  EEXIST: 'something else stands there',
  ENAMETOOLONG: 'the name is too long',
  EMFILE: 'this process has too many files open',
  EFBIG: 'it would be larger than this user may write',
  EIO: 'the disk reports an error',
};

const FIXES: Readonly<Record<string, string>> = {
  ENOSPC: 'free some space there, then run the same command again',
  EDQUOT: 'free some space there, then run the same command again',
  EROFS: 'choose a place that can be written, or mount it so',
  EACCES: 'let the user that runs pht read and write there, and nobody else',
  EPERM: 'let the user that runs pht read and write there, and nobody else',
};

/** A file system error in words; its cause stays for the log. Our own errors pass through. */
export function fileError(cause: unknown, path: string, what: string): PhtError {
  if (cause instanceof PhtError) return cause;
  const code = errnoOf(cause);
  const why = CAUSES[code] ?? code;
  const missing = code === 'ENOENT' || code === 'ENOTDIR';
  const hint = FIXES[code];
  return new PhtError(missing ? 'config.missing' : 'config.invalid', `${path} ${what}: ${why}`, {
    cause,
    ...(hint === undefined ? {} : { hint }),
  });
}

export function errnoOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown error';
}
