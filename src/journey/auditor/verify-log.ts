import { PhtError } from '../../model/error.ts';
import { type Appended, appendEntries, EMPTY_EDGE, type TreeEdge } from '../../model/ledger/append.ts';
import { type Checkpoint, openCheckpoint, parseCheckpoint } from '../../model/ledger/checkpoint.ts';
import { decodeEntry, type LedgerEntry } from '../../model/ledger/entry.ts';
import { EMPTY_ROOT, rangeRoot } from '../../model/ledger/merkle.ts';
import { parseNote } from '../../model/ledger/note.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import {
  encodeBundle,
  encodeTile,
  partialTiles,
  TILE_WIDTH,
  type TileFile,
} from '../../model/ledger/tile.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import { SKEW_MS } from '../../model/train.ts';
import type { LogCopy, LogSource } from '../../ports/log-source.ts';
import { type Finding, type FindingCode, finding, type Severity } from './findings.ts';
import { compareTiles } from './tiles.ts';

/** One member's log as the network file pins it. */
export type PinnedLog = { member: string; origin: string; key: NoteKey };

/** What this auditor saw of the log before. */
export type Anchor = Pick<Checkpoint, 'size' | 'root'>;

export type LogReading = {
  log: PinnedLog;
  anchor: Anchor | null;
  /** Wall clock to judge entries by; null for a copy, which may be read at any later time. */
  nowMs: number | null;
  found: (finding: Finding) => void;
  onEntry: (index: number, entry: LedgerEntry) => void;
  progress: (done: number, size: number) => void;
  copy: LogCopy | null;
};

/** `sound`: every entry is what the member signed, and continues what was seen before. */
export type LogHead = {
  checkpoint: Checkpoint;
  signed: Uint8Array;
  sound: boolean;
  newestMs: number | null;
  /** Size of the earlier checkpoint that this log was shown to continue. */
  continues: number | null;
};

const STRANGERS_MAX = 20;

/**
 * Verifies one log from its first entry to its signed head, in memory that does not grow with it: the checkpoint's
 * signature, the root recomputed, the root at the size last seen, every entry in its strict form and by its member,
 * and where the source stores them each tile of hashes.
 *
 * @returns null when there is no head to verify against
 * @throws PhtError `unreachable`, `timed-out`, `cancelled`, `forbidden`: those say nothing about the log
 */
export async function verifyLog(
  source: LogSource,
  signed: Uint8Array,
  reading: LogReading,
): Promise<LogHead | null> {
  const { member } = reading.log;
  const checkpoint = openHead(signed, reading);
  if (checkpoint === null) return null;
  const head: LogHead = { checkpoint, signed, sound: true, newestMs: null, continues: null };
  const wrong = (severity: Severity, code: FindingCode, text: string): void => {
    reading.found(finding(severity, code, { log: member }, text));
    if (severity !== 'warning') head.sound = false;
  };
  judgeSize(checkpoint, reading, wrong);
  try {
    for (const path of await source.strangers(member, checkpoint.size, STRANGERS_MAX)) {
      const text = `${path} is no file of a log of this size`;
      reading.found(finding('warning', 'file.unknown', { log: member }, text));
    }
    const { range, forked } = await recompute(source, head, reading, wrong);
    if (range.size < checkpoint.size) {
      wrong('error', 'entries.missing', `${range.size} entries are there; ${checkpoint.size} were signed`);
    } else if (!sameBytes(rangeRoot(range), checkpoint.root)) {
      wrong('error', 'entries.altered', `the root over ${checkpoint.size} entries is not the signed one`);
    } else if (forked) {
      // Only now is it the member's own word, and not that of whoever serves the log.
      const text = `the first ${reading.anchor?.size} entries are not those that an earlier audit saw`;
      wrong('misconduct', 'log.forked', text);
    }
  } catch (thrown) {
    reading.found(servedFinding(member, thrown));
    head.sound = false;
  }
  return head;
}

function openHead(signed: Uint8Array, { log, found }: LogReading): Checkpoint | null {
  const { member, origin, key } = log;
  try {
    return openCheckpoint(signed, { origin, logKeys: [key], witnessKeys: [] }).checkpoint;
  } catch (thrown) {
    if (!isAboutTheLog(thrown)) throw thrown;
    const other = originOf(signed);
    const foreign = other !== null && other !== origin;
    const malformed = thrown.code === 'ledger.invalid';
    const code = foreign ? 'checkpoint.foreign' : malformed ? 'checkpoint.malformed' : 'checkpoint.unsigned';
    const text = foreign ? `the checkpoint says that it is of ${other}` : thrown.message;
    found(finding('error', code, { log: member }, text));
    return null;
  }
}

/** What an unverified checkpoint claims to be of; null where it has no form. */
function originOf(signed: Uint8Array): string | null {
  try {
    return parseCheckpoint(parseNote(signed).text).origin;
  } catch (thrown) {
    if (thrown instanceof PhtError) return null;
    throw thrown;
  }
}

function judgeSize({ size, root }: Checkpoint, { anchor, nowMs }: LogReading, wrong: Wrong): void {
  if (anchor === null) return;
  if (size < anchor.size) {
    const text = `${size} entries; an earlier audit saw ${anchor.size}`;
    // An old copy is no roll-back, but it cannot be tied to what was seen later either.
    wrong(nowMs === null ? 'warning' : 'error', nowMs === null ? 'log.older-copy' : 'log.rolled-back', text);
  } else if (size === anchor.size && !sameBytes(root, anchor.root)) {
    wrong(
      'misconduct',
      'log.forked',
      `two different checkpoints of ${size} entries carry the member's signature`,
    );
  }
}

/** What a source threw instead of what it was asked for. Throws what says nothing about the log. */
export function servedFinding(member: string, thrown: unknown): Finding {
  if (!isAboutTheLog(thrown)) throw thrown;
  const code = thrown.code === 'ledger.invalid' ? 'file.damaged' : 'log.withheld';
  return finding('error', code, { log: member }, thrown.message);
}

/** The codes that say something about what was served, rather than about the way to it. */
function isAboutTheLog(thrown: unknown): thrown is PhtError {
  if (!(thrown instanceof PhtError)) return false;
  return !['unreachable', 'timed-out', 'cancelled', 'forbidden', 'config.invalid'].includes(thrown.code);
}

type Wrong = (severity: Severity, code: FindingCode, text: string) => void;

/** Streams the log once. @returns the tree over what was served, at most as many entries as were signed */
async function recompute(
  source: LogSource,
  head: LogHead,
  reading: LogReading,
  wrong: Wrong,
): Promise<{ range: TreeEdge['range']; forked: boolean }> {
  const { size } = head.checkpoint;
  const { log, anchor, copy } = reading;
  const judge = createEntryJudge(head, reading);
  let edge = EMPTY_EDGE;
  let forked = false;
  const compare = (root: Uint8Array): void => {
    if (edge.range.size !== anchor?.size) return;
    if (sameBytes(root, anchor.root)) head.continues = anchor.size;
    // For equal sizes the two signed checkpoints were compared already.
    else forked = size > anchor.size;
  };
  const keep = async (files: readonly TileFile[]): Promise<void> => {
    if (copy !== null) await copy.write(files);
    if (await compareTiles(source, log.member, files, reading.found)) head.sound = false;
  };
  const take = async (entries: readonly Uint8Array[]): Promise<void> => {
    if (entries.length === 0) return;
    for (const [at, bytes] of entries.entries()) judge(edge.range.size + at, bytes);
    const appended: Appended = appendEntries(edge, entries);
    edge = appended.edge;
    compare(appended.root);
    await keep(appended.files.filter(({ tile }) => tile.width === TILE_WIDTH));
  };
  compare(EMPTY_ROOT);
  for await (const batch of source.entries(log.member, 0, size)) {
    const wanted = batch.slice(0, size - edge.range.size);
    // The root at the size last seen is taken on the way, which costs nothing and needs no proof from anybody.
    const split = Math.max(0, Math.min(wanted.length, (anchor?.size ?? 0) - edge.range.size));
    await take(wanted.slice(0, split));
    await take(wanted.slice(split));
    reading.progress(edge.range.size, size);
    if (wanted.length < batch.length) {
      wrong('error', 'entries.excess', `more than the ${size} signed entries were served`);
      break;
    }
  }
  if (edge.range.size === size) await keep(openFiles(edge));
  return { range: edge.range, forked };
}

/** The tiles that are not full, as they stand at the end. */
function openFiles(edge: TreeEdge): TileFile[] {
  return partialTiles(edge.range.size).map((tile) => ({
    tile,
    bytes: tile.level === 'entries' ? encodeBundle(edge.entries) : encodeTile(edge.levels[tile.level] ?? []),
  }));
}

function createEntryJudge(head: LogHead, reading: LogReading): (index: number, bytes: Uint8Array) => void {
  const { log, found, nowMs, onEntry } = reading;
  const { member } = log;
  return (index, bytes) => {
    let entry: LedgerEntry;
    try {
      entry = decodeEntry(bytes);
    } catch (thrown) {
      if (!isAboutTheLog(thrown)) throw thrown;
      found(finding('error', 'entry.malformed', { log: member, index }, thrown.message));
      return;
    }
    const wrong = (severity: Severity, code: FindingCode, text: string): void =>
      found(finding(severity, code, { log: member, index }, text));
    if (entry.actor !== member)
      wrong('misconduct', 'entry.foreign', `the entry names ${entry.actor} as its author`);
    if (head.newestMs !== null && entry.ts < head.newestMs - SKEW_MS) {
      const minutes = Math.round((head.newestMs - entry.ts) / 60_000);
      wrong('error', 'clock.backwards', `the entry is dated ${minutes} min before one that precedes it`);
    }
    if (nowMs !== null && entry.ts > nowMs + SKEW_MS) {
      const minutes = Math.round((entry.ts - nowMs) / 60_000);
      wrong('error', 'clock.ahead', `the entry is dated ${minutes} min ahead of this machine's clock`);
    }
    head.newestMs = Math.max(head.newestMs ?? 0, entry.ts);
    onEntry(index, entry);
  };
}
