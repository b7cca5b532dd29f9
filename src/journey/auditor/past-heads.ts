import { PhtError } from '../../model/error.ts';
import {
  type Checkpoint,
  type CheckpointTrust,
  type OpenedCheckpoint,
  openCheckpoint,
  parseCheckpoint,
} from '../../model/ledger/checkpoint.ts';
import { type CompactRange, rangeRoot } from '../../model/ledger/merkle.ts';
import { parseNote } from '../../model/ledger/note.ts';
import { parsePastHeads } from '../../model/ledger/past-heads.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import type { Tile } from '../../model/ledger/tile.ts';
import { signatureTimeS } from '../../model/ledger/vkey.ts';
import type { Network } from '../../model/network.ts';
import type { LogCopy } from '../../ports/log-source.ts';
import { type Finding, finding } from './findings.ts';
import { isAccountable, provenTimesMs } from './on-record.ts';
import { rootWithin, trustOf } from './prove.ts';
import { wrongKeyIn } from './rotations.ts';
import { isAboutTheLog } from './served.ts';

/**
 * Earlier heads of a log, which an auditor who comes after a revocation never saw: they prove what was on record before
 * it. Who serves them may leave them out, and then nothing is proved; he can make none up.
 */

/** A head by what it says of itself: nothing of it has been verified. */
export type ClaimedHead = {
  signed: Uint8Array;
  size: number;
  root: Uint8Array;
  /** By the oldest of its cosignatures; null where none has a time. */
  oldestMs: number | null;
  /** Who has signed it. */
  signers: string;
};

type Found = (finding: Finding) => void;

/**
 * @param read gives them as `parsePastHeads` takes them; null where none are there
 * @throws PhtError `unreachable`, `timed-out`, `cancelled`, `forbidden`
 */
export async function claimedHeads(
  member: string,
  read: () => Promise<Uint8Array | null>,
  found: Found,
): Promise<ClaimedHead[]> {
  try {
    const bytes = await read();
    const notes = bytes === null ? [] : parsePastHeads(bytes);
    return notes.flatMap((signed) => claimedHead(member, signed, found) ?? []);
  } catch (thrown) {
    found(unusable(member, thrown));
    return [];
  }
}

/** @returns null, and a finding, for what has no form */
export function claimedHead(member: string, signed: Uint8Array, found: Found): ClaimedHead | null {
  try {
    const { text, signatures } = parseNote(signed);
    const timesS = signatures.flatMap(({ signature }) => signatureTimeS(signature) ?? []);
    const oldestMs = timesS.length === 0 ? null : Math.min(...timesS) * 1000;
    const signers = signatures.map(({ name, keyId }) => `${name}+${keyId}`).toSorted();
    const { size, root } = parseCheckpoint(text);
    return { signed, size, root, oldestMs, signers: signers.join(' ') };
  } catch (thrown) {
    found(unusable(member, thrown));
    return null;
  }
}

/** Each once, the smallest first. */
export function mergedHeads(...all: readonly (readonly ClaimedHead[])[]): ClaimedHead[] {
  const heads = new Map(all.flat().map((head) => [Buffer.from(head.signed).toString('latin1'), head]));
  return [...heads.values()].toSorted((a, b) => a.size - b.size || (a.oldestMs ?? 0) - (b.oldestMs ?? 0));
}

/** A head that may be verified. */
export type EarlierHead = ClaimedHead & {
  /** Whether it may prove something: then it is sound. */
  readonly telling: boolean;
  /** Verified once; null, and a finding, where it is not the word of the log. */
  open(): OpenedCheckpoint | null;
  /** The same, and what it says is held against its member: it is not the doing of whoever else has the key. */
  openOwn(): OpenedCheckpoint | null;
};

/**
 * Those heads, and which of them tell something: for each moment at which trust in somebody ended, the last one that is
 * proved to be from before it by each set of signers, since rules of witnessing change. To verify them all would take longer
 * than to read the log. One cosignature alone dates nothing: its witness may lie.
 *
 * @param heads the smallest first
 */
export function earlierHeads(
  heads: readonly ClaimedHead[],
  of: { network: Network; member: string; endsMs: readonly number[]; found: Found },
): EarlierHead[] {
  const { network, member, endsMs, found } = of;
  const trust = trustOf(network, member);
  const refused = (thrown: unknown): void => found(unusable(member, thrown));
  const all = heads.map((head) => openable(head, { network, member, trust, refused }));
  for (const endMs of endsMs) {
    const told = new Set<string>();
    for (const head of all.toReversed()) {
      if (head.oldestMs === null || head.oldestMs >= endMs || told.has(head.signers)) continue;
      const opened = head.open();
      const timesMs = opened === null ? [] : provenTimesMs(network, member, opened);
      if (!timesMs.some((atMs) => atMs < endMs)) continue;
      head.telling = true;
      if (timesMs.every((atMs) => atMs < endMs)) told.add(head.signers);
    }
  }
  return all;
}

function openable(
  head: ClaimedHead,
  of: { network: Network; member: string; trust: CheckpointTrust; refused: (thrown: unknown) => void },
): EarlierHead & { telling: boolean } {
  const { network, member, trust, refused } = of;
  let opened: OpenedCheckpoint | null | undefined;
  const verify = (): OpenedCheckpoint | null => {
    try {
      return openCheckpoint(head.signed, trust);
    } catch (thrown) {
      refused(thrown);
      return null;
    }
  };
  const open = (): OpenedCheckpoint | null => {
    if (opened === undefined) opened = verify();
    return opened;
  };
  const openOwn = (): OpenedCheckpoint | null => {
    const own = open();
    if (own === null || isAccountable(network, member, own)) return own;
    refused(new PhtError('signer.unknown', 'it is signed with a key that is in other hands by now'));
    return null;
  };
  return { ...head, telling: false, open, openOwn };
}

/** A key that the network knows no more is nobody's forgery: a list that a thief had signed may have named it. */
function unusable(member: string, thrown: unknown): Finding {
  if (!isAboutTheLog(thrown)) throw thrown;
  const severity = thrown.code === 'signer.unknown' ? 'warning' : 'error';
  return finding(severity, 'head.unusable', { log: member }, `an earlier head: ${thrown.message}`);
}

type PastWatch = {
  sizes: readonly number[];
  /** The tree as it is recomputed, at each of `sizes`. */
  see(range: CompactRange): void;
  /** Heads of this tree that prove something. */
  own: OpenedCheckpoint[];
  /** Heads of another one, with the signature of this log. */
  others: OpenedCheckpoint[];
};

/** Holds earlier heads against the tree while it is recomputed, which costs nothing and needs no proof from anybody. */
export function watchPast(heads: readonly EarlierHead[]): PastWatch {
  const own: OpenedCheckpoint[] = [];
  const others: OpenedCheckpoint[] = [];
  const bySize = Map.groupBy(heads, ({ size }) => size);
  return {
    sizes: [...bySize.keys()],
    see: (range) => {
      const root = rangeRoot(range);
      for (const head of bySize.get(range.size) ?? []) {
        const isOwn = sameBytes(head.root, root);
        if (isOwn && !head.telling) continue;
        const opened = isOwn ? head.open() : head.openOwn();
        if (opened !== null) (isOwn ? own : others).push(opened);
      }
    },
    own,
    others,
  };
}

/**
 * What earlier heads say of a log whose entries are the signed ones. Each bears its member's signature: one of another
 * tree convicts it, and one of more entries than were served says that some are held back.
 *
 * @param read `rotations` among the entries from `from` on; `nowMs` null for a copy
 * @returns those that may be relied on
 */
export function judgePast(
  { own, others }: PastWatch,
  heads: readonly EarlierHead[],
  read: Parameters<typeof wrongKeyIn>[0] & { checkpoint: Checkpoint; member: string; nowMs: number | null },
): { own: OpenedCheckpoint[]; findings: Finding[] } {
  const place = { log: read.member };
  const findings = others.map(({ checkpoint: { size } }) =>
    finding(
      'misconduct',
      'log.forked',
      place,
      `an earlier head of ${size} entries is of another log than this`,
    ),
  );
  const beyond = heads.findLast((head) => head.size > read.checkpoint.size && head.openOwn() !== null);
  if (beyond !== undefined) {
    const severity = read.nowMs === null ? 'warning' : 'error';
    findings.push(
      finding(severity, 'mirror.behind', place, `an earlier head of it has ${beyond.size} entries`),
    );
  }
  const right = own.filter(({ checkpoint: { size }, signedBy }) => {
    const wrongKey = wrongKeyIn(read, { size, signedBy });
    if (wrongKey !== null) findings.push(finding('error', 'log.rotation', place, wrongKey));
    return wrongKey === null;
  });
  return { own: right, findings };
}

/**
 * Those from before `anchor` that prove something, held against a copy of the log whose end that is.
 *
 * @returns null where one is not of it, or the copy cannot tell: then only the whole log can
 */
export async function headsWithin(
  copy: LogCopy,
  heads: readonly EarlierHead[],
  anchor: { member: string; size: number; root: Uint8Array },
): Promise<readonly OpenedCheckpoint[] | null> {
  const { member } = anchor;
  const source = { hashTile: (_: string, tile: Tile) => copy.lastHashes(tile) };
  const own: OpenedCheckpoint[] = [];
  for (const head of heads) {
    const opened = head.telling && head.size < anchor.size ? head.open() : null;
    if (opened === null) continue;
    try {
      const root = await rootWithin({ source, member, head: anchor }, head.size);
      if (!sameBytes(root, head.root)) return null;
      own.push(opened);
    } catch (thrown) {
      if (!isAboutTheLog(thrown)) throw thrown;
      return null;
    }
  }
  return own;
}
