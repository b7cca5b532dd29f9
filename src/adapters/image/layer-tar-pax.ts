import type { PhtError } from '../../model/error.ts';
import { shown, unsafe, utf8 } from './layer-unsafe.ts';

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
      records.set(key, utf8(value));
    } else records.set(key, '');
    at = end;
  }
  return records;
}

/** The value of anything else, such as a time, is not needed. */
function isRead(key: string): boolean {
  return key === 'path' || key === 'linkpath' || key === 'size';
}

const XATTR = 'SCHILY.xattr.';
/** By these an overlay of folders, in the kernel or of a user's own, is told which files to hide or to fetch elsewhere. */
const OVERLAYS = ['trusted.', 'user.overlay.', 'user.fuseoverlayfs.', 'user.containers.'];

/**
 * @param name of the entry that has these records
 * @throws PhtError `image.unsafe` for what would change the content, or what the kernel does with a file
 */
export function assertPlainPax(records: ReadonlyMap<string, string>, name: string): void {
  for (const key of records.keys()) {
    if (key.startsWith('GNU.sparse.')) throw unsafe(`${shown(name)} is a sparse file`);
    if (!key.startsWith(XATTR)) continue;
    const attribute = key.slice(XATTR.length);
    if (attribute === 'security.capability') throw unsafe(`${shown(name)} carries file capabilities`);
    if (OVERLAYS.some((prefix) => attribute.startsWith(prefix)))
      throw unsafe(`${shown(name)} carries attributes of the file system`);
  }
}

function malformed(): PhtError {
  return unsafe('an extended header is malformed');
}
