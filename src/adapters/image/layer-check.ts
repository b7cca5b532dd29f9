import { once } from 'node:events';
import { extract, type Header } from 'tar-stream';
import { PhtError } from '../../model/error.ts';

/**
 * What a layer's archive may hold, judged entry by entry while it streams by: at the researcher when packing and at the
 * station before an engine sees it. Setuid bits pass, since no-new-privileges makes them void and every Debian image
 * has some; file capabilities do not, since hardly any has.
 */

const ENTRIES_MAX = 200_000;
const UNPACKED_BYTES_MAX = 8 * 1024 * 1024 * 1024;
const NAME_CHARS_MAX = 4096;
const ALLOWED_TYPES: ReadonlySet<string> = new Set([
  'file',
  'directory',
  'symlink',
  'link',
  'fifo',
  'contiguous-file',
]);

export type LayerSummary = { entries: number; unpackedBytes: number };

export type LayerCheck = {
  /** @throws PhtError `image.unsafe` naming the entry */
  push(chunk: Uint8Array): Promise<void>;
  finish(): Promise<LayerSummary>;
  /** Lets go of what was pushed when the rest will not come. */
  abandon(): void;
};

export function layerCheck(): LayerCheck {
  const reader = extract();
  const summary: LayerSummary = { entries: 0, unpackedBytes: 0 };
  const symlinks = new Set<string>();
  let failure: unknown;
  const closed = new Promise<void>((resolve) => reader.once('close', resolve));
  reader.on('error', (error: unknown) => {
    failure ??= error;
  });
  reader.on('entry', (header, content, next) => {
    try {
      assertEntry(header, symlinks, summary);
    } catch (thrown) {
      failure = thrown;
      reader.destroy();
      return;
    }
    content.on('error', (error) => {
      failure ??= error;
    });
    content.once('end', next);
    content.resume();
  });
  const assertSound = (): void => {
    if (failure === undefined) return;
    if (failure instanceof PhtError) throw failure;
    throw unsafe('it is not a tar archive', failure);
  };
  return {
    async push(chunk): Promise<void> {
      assertSound();
      if (!reader.write(chunk)) await Promise.race([once(reader, 'drain').catch(() => undefined), closed]);
      assertSound();
    },
    async finish(): Promise<LayerSummary> {
      reader.end(undefined);
      await closed;
      assertSound();
      return summary;
    },
    abandon: () => {
      reader.destroy();
    },
  };
}

/** @throws PhtError `image.unsafe` */
export async function checkLayer(chunks: AsyncIterable<Uint8Array>): Promise<LayerSummary> {
  const check = layerCheck();
  try {
    for await (const chunk of chunks) await check.push(chunk);
    return await check.finish();
  } finally {
    check.abandon();
  }
}

function assertEntry(header: Header, symlinks: Set<string>, summary: LayerSummary): void {
  const { name, linkname, type, size } = header;
  summary.entries += 1;
  summary.unpackedBytes += size;
  if (summary.entries > ENTRIES_MAX) throw unsafe(`it has more than ${ENTRIES_MAX} entries`);
  if (summary.unpackedBytes > UNPACKED_BYTES_MAX) throw unsafe('it unpacks to more than 8 GiB');
  if (!ALLOWED_TYPES.has(type)) {
    throw unsafe(`${shown(name)} is a ${type ?? 'thing of unknown kind'}`);
  }
  const parts = pathOf(name);
  if (type === 'link') pathOf(linkname.replace(/^\/+/, ''));
  let ancestor = '';
  for (const part of parts.slice(0, -1)) {
    ancestor = ancestor === '' ? part : `${ancestor}/${part}`;
    if (symlinks.has(ancestor)) throw unsafe(`${shown(name)} lies behind a link of the same layer`);
  }
  const path = parts.join('/');
  if (type === 'symlink') symlinks.add(path);
  else symlinks.delete(path);
  if (hasCapability(header)) throw unsafe(`${shown(name)} carries file capabilities`);
}

/** @throws PhtError `image.unsafe` for names that leave the root or that systems read differently */
function pathOf(name: string): string[] {
  if (name.startsWith('/')) throw unsafe(`${shown(name)} is an absolute name`);
  if (name.length > NAME_CHARS_MAX) throw unsafe('it has a name of more than 4096 characters');
  if (name.includes('\0')) throw unsafe(`${shown(name)} holds a NUL`);
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw unsafe(`${shown(name)} leaves the root`);
  return parts;
}

function hasCapability(header: Header): boolean {
  const { pax } = header;
  return typeof pax === 'object' && pax !== null && 'SCHILY.xattr.security.capability' in pax;
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 120));
}

function unsafe(why: string, cause?: unknown): PhtError {
  return new PhtError('image.unsafe', `a layer of the image is refused: ${why}`, { cause });
}
