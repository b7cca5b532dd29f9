import { PhtError } from '../../model/error.ts';

/** Extended headers of POSIX pax: `"%d %s=%s\n"`, each with its own length (POSIX.1-2017, pax, "Extended Header"). */

const NUMBER = /^[1-9][0-9]{0,8}$/;

/** @throws PhtError `image.unsafe` for records that are not exactly of this form, or that stand twice */
export function readPax(bytes: Buffer): ReadonlyMap<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const blank = bytes.indexOf(0x20, at);
    const digits = bytes.toString('latin1', at, blank === -1 ? at : Math.min(blank, at + 10));
    const end = at + (NUMBER.test(digits) ? Number(digits) : 0);
    if (end <= blank + 1 || end > bytes.length || bytes[end - 1] !== 0x0a) throw malformed();
    const record = bytes.subarray(blank + 1, end - 1);
    const equals = record.indexOf(0x3d);
    if (equals < 1) throw malformed();
    const key = record.toString('utf8', 0, equals);
    if (records.has(key)) throw malformed();
    const value = record.subarray(equals + 1);
    if (isRead(key)) {
      // Readers take an empty one as not said, or as empty.
      if (value.length === 0 || value.includes(0)) throw malformed();
      records.set(key, strictUtf8(value));
    } else records.set(key, '');
    at = end;
  }
  return records;
}

/** The value of anything else, such as a time, is not needed. */
function isRead(key: string): boolean {
  return key === 'path' || key === 'linkpath' || key === 'size';
}

/** @throws PhtError `image.unsafe` for what would change the content, or what the kernel does with a file */
export function assertPlainPax(records: ReadonlyMap<string, string>): void {
  for (const key of records.keys()) {
    if (key.startsWith('GNU.sparse.')) throw refused('it holds a sparse file');
    if (key === 'SCHILY.xattr.security.capability') throw refused('a file carries capabilities');
    if (key.startsWith('SCHILY.xattr.trusted.')) throw refused('a file carries attributes of the file system');
  }
}

function strictUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw malformed(cause);
  }
}

function malformed(cause?: unknown): PhtError {
  return refused('an extended header is malformed', cause);
}

function refused(why: string, cause?: unknown): PhtError {
  return new PhtError('image.unsafe', `a layer of the image cannot be looked into: ${why}`, { cause });
}
