import { isUtf8 } from 'node:buffer';
import { createHash, type Hash, hash as hashOf } from 'node:crypto';
import { type TarEntry, tarReader } from './layer-tar.ts';
import { type LayerPaths, layerTree, type PathEntry } from './layer-tree.ts';

/** What one layer changes, without its content: made in one pass over its tar, kept when the tar has gone. */

export const SOURCE_BYTES_MAX: number = 64 * 1024;

/** `at`: where its content stands in the tar. `text`: UTF-8 of at most 64 KiB. */
export type FileEntry = {
  type: 'file';
  mode: number;
  size: number;
  sha256: string;
  text: boolean;
  at: number;
};
export type LayerEntry = FileEntry | PathEntry;
export type LayerIndex = LayerPaths<FileEntry>;

export type LayerIndexer = {
  /** @throws PhtError `image.unsafe` for a tar that engines could read in two ways, and one without measure */
  push(chunk: Uint8Array): void;
  /** @throws PhtError `image.unsafe` */
  finish(): LayerIndex;
};

export function layerIndexer(): LayerIndexer {
  const tree = layerTree<FileEntry>();
  let open: { path: string; entry: TarEntry; content: Content } | null = null;
  const reader = tarReader({
    entry: (entry) => {
      const path = tree.admit(entry);
      open = path === null || entry.type !== 'file' ? null : { path, entry, content: contentOf(entry.size) };
    },
    content: (bytes) => open?.content.push(bytes),
    close: () => {
      if (open === null) return;
      const { path, content, entry } = open;
      const { mode, size, at } = entry;
      tree.put(path, { type: 'file', mode, size, ...content.end(), at });
      open = null;
    },
  });
  return {
    push: reader.push,
    finish: () => {
      reader.finish();
      return tree.finish().paths;
    },
  };
}

/** What an entry takes in memory beside its names: its object, its digest, its place in a map. */
const ENTRY_BYTES = 320;

/** About how many bytes an index takes in memory. */
export function heldBytes({ entries, removed, opaque }: LayerIndex): number {
  let chars = 0;
  for (const [path, entry] of entries) chars += path.length + ('target' in entry ? entry.target.length : 0);
  for (const paths of [removed, opaque]) for (const path of paths) chars += path.length;
  return (entries.size + removed.size + opaque.size) * ENTRY_BYTES + chars;
}

type Content = { push(bytes: Buffer): void; end(): { sha256: string; text: boolean } };

/** Small files are gathered, since whether they are text shows only in the whole. */
function contentOf(size: number): Content {
  if (size > SOURCE_BYTES_MAX) {
    const hash: Hash = createHash('sha256');
    return {
      push: (bytes) => void hash.update(bytes),
      end: () => ({ sha256: hash.digest('hex'), text: false }),
    };
  }
  const parts: Buffer[] = [];
  return {
    push: (bytes) => void parts.push(bytes),
    end: () => {
      const bytes = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
      return { sha256: hashOf('sha256', bytes, 'hex'), text: isText(bytes) };
    },
  };
}

export function isText(bytes: Buffer): boolean {
  return !bytes.includes(0) && isUtf8(bytes);
}
