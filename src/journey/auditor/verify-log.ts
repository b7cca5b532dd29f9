import type { Checkpoint, OpenedCheckpoint } from '../../model/ledger/checkpoint.ts';
import type { LedgerEntry } from '../../model/ledger/entry.ts';
import { type CompactRange, rangeRoot } from '../../model/ledger/merkle.ts';
import type { Rotation } from '../../model/ledger/rotation.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import { growTiles } from '../../model/ledger/tile-tree.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import type { LogCopy, LogSource } from '../../ports/log-source.ts';
import { type Finding, type FindingCode, finding, type Severity } from './findings.ts';
import { createEntryJudge } from './judge-entry.ts';
import { keyedHead, openHead, type PinnedLog } from './open-head.ts';
import { type EarlierHead, headsWithin, judgePast, watchPast } from './past-heads.ts';
import { type Growth, type Recomputed, recompute } from './recompute.ts';
import { followRotations } from './rotations.ts';
import { isAboutTheLog, servedFinding } from './served.ts';
import { isRangeOf, takeUp } from './take-up.ts';

/** What this auditor saw of the log before. */
export type Anchor = Pick<Checkpoint, 'size' | 'root'> & {
  /** What it was signed with. */
  signedBy?: readonly NoteKey[];
  /** The tree at that size, as the audit that saw it had recomputed it; without it the log is read from its start. */
  range?: CompactRange;
  /** The newest date among those entries. */
  newestMs?: number | null;
};

export type LogReading = {
  log: PinnedLog;
  anchor: Anchor | null;
  /**
   * Where reading begins. From the `anchor` only what came after it is read, if the log fits it; if not, the whole log
   * is read, since only that says what is wrong. What was altered in the part that is not read again stays unseen.
   */
  from?: 'first' | 'anchor';
  /** Earlier heads, the smallest first. */
  past?: readonly EarlierHead[];
  /** Wall clock to judge entries by; null for a copy, which may be read at any later time. */
  nowMs: number | null;
  found: (finding: Finding) => void;
  onEntry: (index: number, entry: LedgerEntry, bytes: Uint8Array) => void;
  /** Reading begins again with the first entry: what `onEntry` was told until now is void. */
  restarted?: () => void;
  progress: (done: number, size: number) => void;
  copy: LogCopy | null;
};

/** `sound`: every entry that was read is what the member signed, and continues what was seen before. */
export type LogHead = {
  checkpoint: Checkpoint;
  signed: Uint8Array;
  signedBy: readonly NoteKey[];
  /** Changes of its key among the entries that were read. */
  rotations: readonly Rotation[];
  sound: boolean;
  newestMs: number | null;
  /** Size of the earlier checkpoint that this log was shown to continue. */
  continues: number | null;
  /** Index of the first entry that was read; what precedes it was only held against what an earlier audit kept. */
  from: number;
  /** Those of `reading.past` that are heads of this very log, and prove something. */
  past: readonly OpenedCheckpoint[];
  /** The tree of a sound log, for the next audit to go on from. */
  range: CompactRange | null;
};

const STRANGERS_MAX = 20;
/** With more findings than this a log is in no state to be continued. */
const CONTINUED_FINDINGS_MAX = 1000;

/**
 * Verifies one log to its signed head, in memory that does not grow with it: the checkpoint's signature, the root
 * recomputed, the root at the size last seen, every entry in its strict form and by its member, and where the source
 * stores them each tile of hashes. From its first entry, unless `reading.from` says otherwise.
 *
 * @returns null when there is no head to verify against
 * @throws PhtError `unreachable`, `timed-out`, `cancelled`, `forbidden`: those say nothing about the log
 */
export async function verifyLog(
  source: LogSource,
  signed: Uint8Array,
  reading: LogReading,
): Promise<LogHead | null> {
  const head = openHead(signed, reading);
  if (head === null) return null;
  const opened = { checkpoint: head.checkpoint, signed, signedBy: head.signedBy };
  const continued = reading.from === 'anchor' ? await continueLog(source, opened, reading) : null;
  if (continued !== null) return continued;
  if (reading.from === 'anchor') reading.restarted?.();
  return readLog(source, opened, reading, { tree: growTiles(), bundle: [] });
}

type Opened = Pick<LogHead, 'checkpoint' | 'signed' | 'signedBy'>;

/** @returns null where the log does not fit what was seen, or what was seen is not known well enough */
async function continueLog(source: LogSource, opened: Opened, reading: LogReading): Promise<LogHead | null> {
  const { anchor, copy, log } = reading;
  const { size } = opened.checkpoint;
  if (anchor?.range === undefined || size < anchor.size) return null;
  if (!isRangeOf(anchor.range, anchor)) {
    const text = `what was kept of the tree of ${anchor.size} entries does not have the root that was signed`;
    reading.found(finding('error', 'state.damaged', { log: log.member }, text));
    return null;
  }
  const findings: Finding[] = [];
  const found = (each: Finding): void => {
    if (findings.length <= CONTINUED_FINDINGS_MAX) findings.push(each);
  };
  let start: Growth | null;
  try {
    start = await takeUp({ source, copy, log }, anchor.range, size);
  } catch (thrown) {
    if (!isAboutTheLog(thrown)) throw thrown;
    return null;
  }
  if (start === null) return null;
  const { past = [] } = reading;
  const held = copy === null ? [] : await headsWithin(copy, past, { ...anchor, member: log.member });
  if (held === null) return null;
  const later = past.filter((each) => each.size >= anchor.size);
  const head = await readLog(source, opened, { ...reading, past: later, found }, start);
  if (!head.sound || findings.length > CONTINUED_FINDINGS_MAX) return null;
  for (const each of findings) reading.found(each);
  return { ...head, past: [...held, ...head.past] };
}

async function readLog(
  source: LogSource,
  opened: Opened,
  reading: LogReading,
  start: Growth,
): Promise<LogHead> {
  const { log, anchor, copy, progress } = reading;
  const { checkpoint } = opened;
  const from = start.tree.size();
  const rotations = followRotations(log.keys, keyedHead(anchor));
  const head: LogHead = {
    ...opened,
    rotations: rotations.list(),
    sound: true,
    newestMs: null,
    continues: null,
    from,
    past: [],
    range: null,
  };
  const wrong: Wrong = (severity, code, text) => {
    reading.found(finding(severity, code, { log: log.member }, text));
    if (severity !== 'warning') head.sound = false;
  };
  judgeSize(checkpoint, reading, wrong);
  const newestMs = from > 0 ? (anchor?.newestMs ?? null) : null;
  const onEntry: LogReading['onEntry'] = (index, entry, bytes) => {
    const broken = entry.type === 'log.rotated' ? rotations.take(index, entry.body) : null;
    if (broken !== null) {
      reading.found(finding('error', 'log.rotation', { log: log.member, index }, broken));
      head.sound = false;
    }
    reading.onEntry(index, entry, bytes);
  };
  const judge = createEntryJudge({ ...reading, onEntry, member: log.member, newestMs });
  let forked = false;
  const past = watchPast(reading.past ?? []);
  try {
    for (const path of await source.strangers(log.member, checkpoint.size, STRANGERS_MAX)) {
      const text = `${path} is no file of a log of this size`;
      reading.found(finding('warning', 'file.unknown', { log: log.member }, text));
    }
    const recomputed = await recompute(source, start, {
      member: log.member,
      size: checkpoint.size,
      copy,
      found: reading.found,
      judge: judge.take,
      watched: new Set([...(anchor === null ? [] : [anchor.size]), ...past.sizes]),
      watch: (range) => {
        past.see(range);
        if (range.size !== anchor?.size) return;
        if (anchor !== null && sameBytes(rangeRoot(range), anchor.root)) head.continues = range.size;
        // For equal sizes the two signed checkpoints were compared already.
        else forked = checkpoint.size > range.size;
      },
      progress,
    });
    judgeTree(checkpoint, recomputed, wrong);
    if (recomputed.differs) head.sound = false;
    // Only now is it the member's own word, and not that of whoever serves the log.
    if (forked && isSigned(checkpoint, recomputed)) {
      const text = `the first ${anchor?.size} entries are not those that an earlier audit saw`;
      wrong('misconduct', 'log.forked', text);
    }
    if (isSigned(checkpoint, recomputed)) {
      const judged = judgePast(past, reading.past ?? [], {
        ...head,
        nowMs: reading.nowMs,
        member: log.member,
      });
      head.past = judged.own;
      for (const each of judged.findings) reading.found(each);
      if (past.others.length > 0) head.sound = false;
    }
    // Of altered entries nothing follows for the key.
    const wrongKey = head.sound
      ? rotations.wrongKey({ size: checkpoint.size, signedBy: head.signedBy })
      : null;
    if (wrongKey !== null) wrong('error', 'log.rotation', wrongKey);
    if (head.sound) head.range = recomputed.range;
  } catch (thrown) {
    reading.found(servedFinding(log.member, thrown));
    head.sound = false;
  }
  head.newestMs = judge.newestMs();
  return head;
}

type Wrong = (severity: Severity, code: FindingCode, text: string) => void;

function judgeTree(checkpoint: Checkpoint, recomputed: Recomputed, wrong: Wrong): void {
  const { size } = checkpoint;
  const { range, excess } = recomputed;
  if (excess) wrong('error', 'entries.excess', `more than the ${size} signed entries were served`);
  if (range.size < size)
    wrong('error', 'entries.missing', `${range.size} entries are there; ${size} were signed`);
  else if (!isSigned(checkpoint, recomputed))
    wrong('error', 'entries.altered', `the root over ${size} entries is not the signed one`);
}

function isSigned({ size, root }: Checkpoint, { range }: Recomputed): boolean {
  return range.size === size && sameBytes(rangeRoot(range), root);
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
