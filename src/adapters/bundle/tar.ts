import { extract, type Header, pack } from 'tar-stream';
import { PhtError } from '../../model/error.ts';

/** A small archive of plain files, written in one form and read strictly: whoever hands it over may be hostile. */

export const BUNDLE_BYTES_MAX: number = 128 * 1024 * 1024;
const FILES_MAX = 50_000;
const FILE_BYTES_MAX = 4 * 1024 * 1024;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,79}(?:\/[A-Za-z0-9][A-Za-z0-9._-]{0,79}){0,3}$/;
/** The end of an archive is made of empty blocks. */
const BLOCK_BYTES = 512;
/** Where a header says what kind of thing it is, and what it says of a plain file (POSIX.1-2017, pax, ustar). */
const KIND_AT = 156;
const PLAIN_FILE = 0x30;

/** The same files give the same bytes: sorted, without owner or time. */
export async function writeBundle(files: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array> {
  const archive = pack();
  for (const name of [...files.keys()].toSorted()) {
    archive.entry({ name, mode: 0o644, mtime: new Date(0) }, Buffer.from(files.get(name) ?? []));
  }
  archive.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

/**
 * Nothing is ever unpacked to a disk. Links, devices, folders, extended headers, names that lead elsewhere or stand
 * twice, and anything behind the end are refused.
 *
 * @throws PhtError `input.malformed`, `input.too-large`
 */
export async function readBundle(bytes: Uint8Array): Promise<Map<string, Uint8Array>> {
  if (bytes.byteLength > BUNDLE_BYTES_MAX)
    throw new PhtError('input.too-large', `a bundle has at most ${BUNDLE_BYTES_MAX} bytes`);
  if (bytes.byteLength === 0 || bytes.byteLength % BLOCK_BYTES !== 0)
    throw malformed('it is cut off, or no tar archive');
  const files = new Map<string, Uint8Array>();
  let read = 0;
  const reader = extract();
  try {
    reader.end(Buffer.from(bytes));
    for await (const entry of reader) {
      // The reader passes over long names, global headers and empty blocks, which others take otherwise.
      if (bytes[read + KIND_AT] !== PLAIN_FILE) throw malformed('it holds more than its files');
      assertPlain(entry.header, files);
      const chunks: Uint8Array[] = [];
      for await (const chunk of entry) chunks.push(chunk as Uint8Array);
      const content = Buffer.concat(chunks);
      files.set(entry.header.name, content);
      read += BLOCK_BYTES + Math.ceil(content.length / BLOCK_BYTES) * BLOCK_BYTES;
    }
  } catch (thrown) {
    if (thrown instanceof PhtError) throw thrown;
    throw malformed('it is cut off, or no tar archive', thrown);
  }
  if (bytes.subarray(read).some((byte) => byte !== 0)) throw malformed('it holds more than its files');
  return files;
}

function assertPlain({ name, type, size, pax }: Header, files: ReadonlyMap<string, Uint8Array>): void {
  const shown = name.slice(0, 100);
  if (type !== 'file') throw malformed(`${shown} is a ${type ?? 'thing'} and no plain file`);
  if (!NAME.test(name)) throw malformed(`${shown} is no name that a bundle has`);
  if (pax !== null && pax !== undefined) throw malformed(`${shown} has an extended header`);
  if (files.has(name)) throw malformed(`${shown} stands in it twice`);
  if ((size ?? 0) > FILE_BYTES_MAX)
    throw new PhtError('input.too-large', `the bundle: ${shown} has more than ${FILE_BYTES_MAX} bytes`);
  if (files.size >= FILES_MAX) throw malformed(`it holds more than ${FILES_MAX} files`);
}

function malformed(why: string, cause?: unknown): PhtError {
  return new PhtError('input.malformed', `this is no bundle that can be read: ${why}`, { cause });
}
