import { pack } from 'tar-stream';
import { type LayerIndex, layerIndexer } from './layer-index.ts';

/** Layers for tests: whole ones by tar-stream, and single headers with whatever a stranger could write. */

export type Entry = {
  name: string;
  type?: 'file' | 'directory' | 'symlink' | 'link' | 'fifo' | 'character-device' | 'block-device';
  content?: string | Buffer;
  target?: string;
  mode?: number;
  pax?: Record<string, string>;
};

export async function layer(...entries: Entry[]): Promise<Buffer> {
  const tar = pack();
  for (const { name, type, content, target, mode, pax } of entries) {
    const header = {
      name,
      type: type ?? 'file',
      ...(mode === undefined ? {} : { mode }),
      ...(target === undefined ? {} : { linkname: target }),
      ...(pax === undefined ? {} : { pax }),
      mtime: new Date(0),
    };
    if (content === undefined) tar.entry(header);
    else tar.entry(header, content);
  }
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

/** One header with a right checksum, and content padded to whole blocks. */
export function raw(fields: {
  name: string;
  flag?: string;
  size?: string;
  mode?: string;
  target?: string;
  magic?: string;
  prefix?: string;
  trailer?: string;
  content?: Buffer;
}): Buffer {
  const content = fields.content ?? Buffer.alloc(0);
  const block = Buffer.alloc(512);
  block.write(fields.name, 0, 100, 'latin1');
  block.write(fields.mode ?? '0000644\0', 100, 'latin1');
  block.write(fields.size ?? `${content.length.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  block.write(fields.flag ?? '0', 156, 'latin1');
  block.write(fields.target ?? '', 157, 100, 'latin1');
  block.write(fields.magic ?? 'ustar\x0000', 257, 'latin1');
  block.write(fields.prefix ?? '', 345, 155, 'latin1');
  block.write(fields.trailer ?? '', 508, 'latin1');
  return Buffer.concat([summed(block), content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

function summed(block: Buffer): Buffer {
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

export function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest);
  while (String(length).length + Buffer.byteLength(rest) !== length)
    length = String(length).length + Buffer.byteLength(rest);
  return Buffer.from(`${length}${rest}`);
}

export const END: Buffer = Buffer.alloc(1024);

export function indexOf(bytes: Uint8Array, step: number = bytes.byteLength): LayerIndex {
  const indexer = layerIndexer();
  for (let at = 0; at < bytes.byteLength; at += step) indexer.push(bytes.subarray(at, at + step));
  return indexer.finish();
}
