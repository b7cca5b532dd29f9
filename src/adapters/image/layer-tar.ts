import { assertPlainPax, readPax } from './layer-tar-pax.ts';
import { shown, unsafe, utf8 } from './layer-unsafe.ts';

/**
 * Reads the tar of a layer so strictly that no engine can read other files in it. What readers are known to disagree
 * about is refused: entries behind the end, links with content, sparse files, global headers, two names for one entry.
 * The reference is Go's `archive/tar`, with which the engines unpack; the formats are POSIX ustar and pax, and GNU.
 */

export type TarType = 'file' | 'directory' | 'symlink' | 'link' | 'fifo';

/** `at`: where the content begins in the archive, bytes. */
export type TarEntry = {
  name: string;
  type: TarType;
  mode: number;
  size: number;
  target: string;
  at: number;
};

/** After each `entry` come its bytes in pieces, and `close`; also for those that have none. */
export type TarSink = {
  entry(entry: TarEntry): void;
  content(bytes: Buffer): void;
  close(): void;
};

export type TarReader = {
  /** @throws PhtError `image.unsafe` */
  push(chunk: Uint8Array): void;
  /** @throws PhtError `image.unsafe` when the archive is cut off */
  finish(): void;
};

const BLOCK_BYTES = 512;
const EMPTY: Buffer = Buffer.alloc(64 * 1024);
const EXTRA_BYTES_MAX = 256 * 1024;
const TYPES: Readonly<Record<string, TarType>> = {
  '0': 'file',
  '\0': 'file',
  '1': 'link',
  '2': 'symlink',
  '5': 'directory',
  '6': 'fifo',
};

type Extra = { kind: 'pax' | 'long-name' | 'long-target'; parts: Buffer[] };
/** What headers before an entry say of it. */
type Said = { pax?: ReadonlyMap<string, string>; name?: string; target?: string };
type State = {
  within: 'header' | 'content' | 'extra' | 'padding' | 'end';
  block: Buffer;
  filled: number;
  left: number;
  padding: number;
  offset: number;
  extra: Extra | null;
  said: Said;
};

export function tarReader(sink: TarSink): TarReader {
  const state: State = {
    within: 'header',
    block: Buffer.alloc(BLOCK_BYTES),
    filled: 0,
    left: 0,
    padding: 0,
    offset: 0,
    extra: null,
    said: {},
  };
  return {
    push: (chunk) => {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      for (let at = 0; at < bytes.length; ) {
        const taken = step(state, bytes.subarray(at), sink);
        at += taken;
        state.offset += taken;
      }
    },
    finish: () => {
      const { within, filled, said } = state;
      if (within !== 'end' && (within !== 'header' || filled > 0)) throw unsafe('it is cut off');
      if (Object.keys(said).length > 0) throw unsafe('it ends with a header of nothing');
    },
  };
}

/** @returns how many bytes were taken, at least one */
function step(state: State, bytes: Buffer, sink: TarSink): number {
  if (state.within === 'end') {
    // Some readers stop at the end, others read on.
    if (!isEmpty(bytes)) throw unsafe('something stands behind its end');
    return bytes.length;
  }
  if (state.within === 'header') {
    const taken = bytes.copy(state.block, state.filled, 0, BLOCK_BYTES - state.filled);
    state.filled += taken;
    if (state.filled === BLOCK_BYTES) {
      state.filled = 0;
      readHeader(state, state.offset + taken, sink);
    }
    return taken;
  }
  const taken = Math.min(state.left, bytes.length);
  const part = bytes.subarray(0, taken);
  state.left -= taken;
  if (state.within === 'content') sink.content(part);
  else if (state.within === 'extra') state.extra?.parts.push(Buffer.from(part));
  if (state.left === 0) endPart(state, sink);
  return taken;
}

function endPart(state: State, sink: TarSink): void {
  if (state.within === 'content') sink.close();
  if (state.extra !== null) {
    note(state.said, state.extra);
    state.extra = null;
  }
  const padded = state.within !== 'padding' && state.padding > 0;
  state.within = padded ? 'padding' : 'header';
  state.left = padded ? state.padding : 0;
}

function readHeader(state: State, at: number, sink: TarSink): void {
  const { block, said } = state;
  if (isEmpty(block)) {
    state.within = 'end';
    return;
  }
  assertChecksum(block);
  const format = formatOf(block);
  const flag = String.fromCharCode(block[156] ?? 0);
  const size = number(block, 124, 12, 'size');
  if (flag === 'x' || flag === 'L' || flag === 'K') {
    if (size > EXTRA_BYTES_MAX) throw unsafe('it has a header of more than 256 KiB');
    const kind = flag === 'x' ? 'pax' : flag === 'L' ? 'long-name' : 'long-target';
    begin(state, 'extra', size);
    state.extra = { kind, parts: [] };
    if (size === 0) endPart(state, sink);
    return;
  }
  const type = TYPES[flag];
  if (type === undefined) throw unsafe(`it holds an entry of type ${JSON.stringify(flag)}`);
  const entry = entryOf(block, { type, size, at, format }, said);
  // A reader that skips such content sees other entries than one that does not.
  if (entry.type !== 'file' && entry.size !== 0)
    throw unsafe(`${shown(entry.name)} is no file and has content`);
  state.said = {};
  sink.entry(entry);
  if (entry.size === 0) sink.close();
  else begin(state, 'content', entry.size);
}

function begin(state: State, within: 'content' | 'extra', size: number): void {
  state.within = within;
  state.left = size;
  state.padding = (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
}

function entryOf(
  block: Buffer,
  found: { type: TarType; size: number; at: number; format: 'ustar' | 'gnu' },
  { pax, name: longName, target: longTarget }: Said,
): TarEntry {
  if (pax !== undefined && (longName !== undefined || longTarget !== undefined))
    throw unsafe('an entry is named in two ways');
  const prefix = found.format === 'ustar' ? words(block, 345, 155) : '';
  const short = words(block, 0, 100);
  const name = pax?.get('path') ?? longName ?? (prefix === '' ? short : `${prefix}/${short}`);
  if (pax !== undefined) assertPlainPax(pax, name);
  const target = pax?.get('linkpath') ?? longTarget ?? words(block, 157, 100);
  const said = pax?.get('size');
  if (said !== undefined && !/^[0-9]{1,15}$/.test(said)) throw unsafe('an entry has no readable size');
  const size = said === undefined ? found.size : Number(said);
  return { name, type: found.type, mode: number(block, 100, 8, 'mode') & 0o7777, size, target, at: found.at };
}

function note(said: Said, { kind, parts }: Extra): void {
  const bytes = Buffer.concat(parts);
  if (kind === 'pax') {
    if (said.pax !== undefined) throw unsafe('an entry has two extended headers');
    said.pax = readPax(bytes);
    return;
  }
  const member = kind === 'long-name' ? 'name' : 'target';
  if (said[member] !== undefined) throw unsafe('an entry is named in two ways');
  const long = words(bytes, 0, bytes.length);
  // Readers take an empty one as not said, or as empty.
  if (long === '') throw unsafe('an entry has an empty name');
  said[member] = long;
}

function formatOf(block: Buffer): 'ustar' | 'gnu' {
  const magic = block.toString('latin1', 257, 265);
  if (magic.startsWith('ustar\0')) {
    // The prefix of star's own format is shorter.
    if (block.toString('latin1', 508, 512) === 'tar\0') throw unsafe('it is an archive of star');
    return 'ustar';
  }
  if (magic !== 'ustar  \0') throw unsafe('it is not a tar archive of a known format');
  // Access and change time; behind them are sparse maps, which only some read.
  number(block, 345, 12, 'time');
  number(block, 357, 12, 'time');
  if (!isEmpty(block.subarray(369))) throw unsafe('it holds a sparse file');
  return 'gnu';
}

function assertChecksum(block: Buffer): void {
  let sum = 8 * 0x20;
  for (let at = 0; at < BLOCK_BYTES; at++) if (at < 148 || at >= 156) sum += block[at] ?? 0;
  if (sum !== number(block, 148, 8, 'checksum')) throw unsafe('it is not a tar archive');
}

/** Octal digits among blanks and NULs, or GNU's base 256. */
function number(block: Buffer, at: number, length: number, what: string): number {
  const field = block.subarray(at, at + length);
  if (((field[0] ?? 0) & 0x80) !== 0) {
    if (field[0] !== 0x80) throw unsafe(`an entry has no readable ${what}`);
    const value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
    if (Number.isSafeInteger(value)) return value;
    throw unsafe(`an entry has no readable ${what}`);
  }
  const match = /^[ \0]*([0-7]*)[ \0]*$/.exec(field.toString('latin1'));
  if (match === null) throw unsafe(`an entry has no readable ${what}`);
  return Number.parseInt(match[1] || '0', 8);
}

/** By the piece: an archive may end in gigabytes of it. */
function isEmpty(bytes: Buffer): boolean {
  if (bytes[0] !== 0) return bytes.length === 0;
  for (let at = 0; at < bytes.length; at += EMPTY.length) {
    const piece = bytes.subarray(at, at + EMPTY.length);
    if (!piece.equals(EMPTY.subarray(0, piece.length))) return false;
  }
  return true;
}

/** Up to the first NUL. */
function words(block: Buffer, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return utf8(end === -1 ? field : field.subarray(0, end));
}
