import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { z } from 'zod';
import { PhtError } from '../../model/error.ts';
import { parseWith, Sha256Hex } from '../../model/schema.ts';
import type { LayerEntry, LayerIndex } from './layer-index.ts';
import { ENTRIES_MAX } from './layer-tree.ts';

/**
 * One layer's index as lines of JSON, each with some hundred entries, so that neither writing nor reading one of the
 * largest holds anybody up. The last line is the SHA-256 of those before: a disk that forgets shows.
 */

const LINE_ENTRIES_MAX = 256;
const LINE_CHARS = 32 * 1024;
const LINE_BYTES_MAX = 1024 * 1024;
const PART_BYTES = 128 * 1024;
const LINE_FEED = 0x0a;
const DIGEST_LINE_BYTES = 65;
const DIGEST = /^[0-9a-f]{64}$/;

const Path = z.string().min(1).max(4096);
const Mode = z.int().min(0).max(0o7777);
/** A shape for all, since there are many: kind, path, mode, size, digest or target, whether it is text, where it is. */
const StoredEntry = z.tuple([
  z.enum(['file', 'directory', 'fifo', 'symlink', 'link']),
  Path,
  Mode,
  z.int().min(0),
  z.string().max(4096),
  z.boolean(),
  z.int().min(0),
]);
type StoredEntry = z.infer<typeof StoredEntry>;

const Head = z.strictObject({ schema: z.literal('pht-layer/v2'), diffId: Sha256Hex });
const Line = z.union([
  // In the order of the tar.
  z.strictObject({ entries: z.array(StoredEntry).max(LINE_ENTRIES_MAX) }),
  z.strictObject({ removed: z.array(Path).max(LINE_ENTRIES_MAX) }),
  z.strictObject({ opaque: z.array(z.string().max(4096)).max(LINE_ENTRIES_MAX) }),
]);
type Line = z.infer<typeof Line>;

/** @returns false for one that takes more than `bytesMax`, of which only a part was written */
export async function writeIndex(
  file: FileHandle,
  diffId: string,
  index: LayerIndex,
  bytesMax: number,
): Promise<boolean> {
  const hash = createHash('sha256');
  let bytes = 0;
  for (const line of linesOf(diffId, index)) {
    const text = Buffer.from(`${JSON.stringify(line)}\n`);
    bytes += text.byteLength;
    if (bytes + DIGEST_LINE_BYTES > bytesMax) return false;
    hash.update(text);
    await file.writeFile(text);
  }
  await file.writeFile(`${hash.digest('hex')}\n`);
  return true;
}

function* linesOf(diffId: string, { entries, removed, opaque }: LayerIndex): Generator<unknown> {
  yield { schema: 'pht-layer/v2', diffId };
  const stored = function* (): Generator<StoredEntry> {
    for (const [path, entry] of entries) yield storedOf(path, entry);
  };
  for (const batch of batches(stored(), ([, path, , , detail]) => path.length + detail.length))
    yield { entries: batch };
  for (const batch of batches(removed, (path) => path.length)) yield { removed: batch };
  for (const batch of batches(opaque, (path) => path.length)) yield { opaque: batch };
}

function* batches<T>(all: Iterable<T>, charsOf: (one: T) => number): Generator<T[]> {
  let batch: T[] = [];
  let chars = 0;
  for (const one of all) {
    batch.push(one);
    chars += charsOf(one);
    if (batch.length < LINE_ENTRIES_MAX && chars < LINE_CHARS) continue;
    yield batch;
    batch = [];
    chars = 0;
  }
  if (batch.length > 0) yield batch;
}

function storedOf(path: string, entry: LayerEntry): StoredEntry {
  if (entry.type === 'file') {
    const { type, mode, size, sha256, text, at } = entry;
    return [type, path, mode, size, sha256, text, at];
  }
  if (entry.type === 'symlink' || entry.type === 'link')
    return [entry.type, path, 0, 0, entry.target, false, 0];
  return [entry.type, path, entry.mode, 0, '', false, 0];
}

/** @returns null for what is damaged, of another layer, or of another version of this software */
export async function readIndex(file: FileHandle, diffId: string): Promise<LayerIndex | null> {
  const reader = createReader(diffId);
  try {
    for await (const line of linesIn(file)) if (!reader.take(line)) return null;
  } catch (thrown) {
    if (thrown instanceof PhtError) return null;
    throw thrown;
  }
  return reader.end();
}

type Reader = { take(line: Buffer): boolean; end(): LayerIndex | null };

function createReader(diffId: string): Reader {
  const hash: Hash = createHash('sha256');
  const index = {
    entries: new Map<string, LayerEntry>(),
    removed: new Set<string>(),
    opaque: new Set<string>(),
  };
  let head = false;
  let whole = false;
  return {
    take: (line) => {
      if (whole) return false;
      const text = line.subarray(0, -1);
      if (head && DIGEST.test(text.toString('latin1', 0, 65))) {
        whole = text.toString('latin1') === hash.digest('hex');
        return whole;
      }
      hash.update(line);
      if (!head) {
        head = parseWith(Head, text, LIMITS).diffId === diffId;
        return head;
      }
      add(index, parseWith(Line, text, LIMITS));
      return index.entries.size + index.removed.size + index.opaque.size <= ENTRIES_MAX;
    },
    end: () => (whole ? index : null),
  };
}

const LIMITS = { bytesMax: LINE_BYTES_MAX, what: 'what was learnt of a layer' };

type Growing = { entries: Map<string, LayerEntry>; removed: Set<string>; opaque: Set<string> };

function add({ entries, removed, opaque }: Growing, line: Line): void {
  if ('entries' in line) for (const entry of line.entries) entries.set(entry[1], entryOf(entry));
  else if ('removed' in line) for (const path of line.removed) removed.add(path);
  else for (const path of line.opaque) opaque.add(path);
}

function entryOf([type, , mode, size, detail, text, at]: StoredEntry): LayerEntry {
  if (type === 'file') return { type, mode, size, sha256: detail, text, at };
  if (type === 'symlink' || type === 'link') return { type, target: detail };
  return { type, mode };
}

/** With their line feeds. @throws PhtError for a line without measure, and for the end of a file within one */
async function* linesIn(file: FileHandle): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(PART_BYTES), 0, PART_BYTES, null);
    if (bytesRead === 0) break;
    rest = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
    let at = 0;
    for (let end = rest.indexOf(LINE_FEED); end !== -1; end = rest.indexOf(LINE_FEED, at)) {
      yield rest.subarray(at, end + 1);
      at = end + 1;
    }
    rest = rest.subarray(at);
    if (rest.byteLength > LINE_BYTES_MAX) throw new PhtError('input.too-large', 'a line without end');
  }
  if (rest.byteLength > 0) throw new PhtError('input.malformed', 'a line is cut off');
}
