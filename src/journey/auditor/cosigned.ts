import { PhtError } from '../../model/error.ts';
import { type OpenedCheckpoint, openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { parseNote } from '../../model/ledger/note.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import type { Member, Network } from '../../model/network.ts';
import { SKEW_MS } from '../../model/skew.ts';
import { countedBy, type QuorumRule, quorumRule } from '../../model/witnessing.ts';
import { type Finding, type FindingCode, finding, type Severity } from './findings.ts';
import { lastVersionOf } from './on-record.ts';
import { trustOf } from './prove.ts';
import { clip, timeText } from './words.ts';

/** Members gather cosignatures anew every hour, so an older head is not the newest one. */
export const FRESH_MS: number = 24 * 3_600_000;
/** Longer than this nobody runs anything without the word that its network file is the newest one. */
const RULE_KNOWN_MS = 7 * 24 * 3_600_000;

/** Who has seen a head. `quorum` is null where the network has none; times are in milliseconds. */
export type Cosigned = { quorum: number | null; witnesses: string[]; newestMs: number | null };

export type SignedHead = {
  network: Network;
  member: Member;
  origin: string;
  signed: Uint8Array;
  /** Of the newest entry under it. */
  newestEntryMs: number | null;
  /** Null for a copy: it has no present. */
  nowMs: number | null;
  /** The newest version of the network that its entries speak of; null where that is not known. */
  spoken: number | null;
};

/** `opened` with every cosignature that verifies; null where one of them does not. */
export type JudgedHead = { cosigned: Cosigned; sound: boolean; opened: OpenedCheckpoint | null };

/**
 * Holds a head, whose own signature has been verified, against the witnesses that the network asks for. Where the rule
 * has become stricter since the member spoke of the network, the one of then is enough, and the report says so.
 */
export function judgeCosigned(head: SignedHead, found: (finding: Finding) => void): JudgedHead {
  const { network, member, signed, spoken } = head;
  const version = lastVersionOf(network, member.id);
  const rule = quorumRule(network, member.id, version);
  const wrong = (severity: Severity, code: FindingCode, text: string): void =>
    found(finding(severity, code, { log: member.id }, text));
  const none: Cosigned = { quorum: rule?.quorum ?? null, witnesses: [], newestMs: null };
  let opened: OpenedCheckpoint;
  try {
    const trust = trustOf(network, member.id);
    opened = openCheckpoint(signed, trust);
    for (const name of strangersOn(signed, [...trust.logKeys, ...trust.witnessKeys]))
      wrong('warning', 'cosignature.unknown', `the head is signed as ${clip(name)}, too`);
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    wrong('error', 'checkpoint.miscosigned', thrown.message);
    return { cosigned: none, sound: false, opened: null };
  }
  if (rule === null) return { cosigned: none, sound: true, opened };
  const now = countOf(rule, opened);
  if (now.isFull) {
    // One witness alone must not make an old head look fresh, nor hide that the clock runs ahead.
    judgeTimes(head, { quorumMs: now.timesMs[rule.quorum - 1] ?? 0, newestMs: now.timesMs[0] ?? 0 }, wrong);
    return { cosigned: now.cosigned, sound: true, opened };
  }
  const few = `${now.cosigned.witnesses.length} of ${rule.witnesses.length} witnesses have cosigned; ${rule.quorum} must`;
  const then = spoken === null || spoken >= version ? undefined : quorumRule(network, member.id, spoken);
  const isLate = head.nowMs !== null && head.nowMs - network.issuedAtMs > RULE_KNOWN_MS;
  const before = then == null ? null : countOf(then, opened);
  if (then === undefined || isLate || (before !== null && !before.isFull)) {
    wrong('error', 'checkpoint.uncosigned', few);
    return { cosigned: now.cosigned, sound: false, opened };
  }
  const asked = then === null ? 'none' : `${then.quorum}, which have`;
  wrong(
    'warning',
    'checkpoint.uncosigned',
    `${few} by version ${version}; version ${spoken} asked for ${asked}`,
  );
  return { cosigned: before?.cosigned ?? { ...none, quorum: null }, sound: true, opened };
}

/** `timesMs`: youngest first. */
function countOf(
  rule: QuorumRule,
  { cosignatures }: OpenedCheckpoint,
): { cosigned: Cosigned; timesMs: number[]; isFull: boolean } {
  const counted = countedBy(rule, cosignatures);
  const timesMs = counted.map(({ timeS }) => (timeS ?? 0) * 1000).toSorted((a, b) => b - a);
  const witnesses = counted.map(({ member }) => member);
  const cosigned = { quorum: rule.quorum, witnesses, newestMs: timesMs[0] ?? null };
  return { cosigned, timesMs, isFull: counted.length >= rule.quorum };
}

function judgeTimes(
  { newestEntryMs, nowMs }: SignedHead,
  { quorumMs, newestMs }: { quorumMs: number; newestMs: number },
  wrong: (severity: Severity, code: FindingCode, text: string) => void,
): void {
  if (nowMs !== null && nowMs - quorumMs > FRESH_MS)
    wrong('warning', 'log.stale', `its witnesses last saw it at ${timeText(quorumMs)} UTC`);
  if (newestEntryMs !== null && newestEntryMs > newestMs + SKEW_MS) {
    const minutes = Math.round((newestEntryMs - newestMs) / 60_000);
    wrong('error', 'clock.ahead', `an entry is dated ${minutes} min after witnesses had seen it`);
  }
}

function strangersOn(signed: Uint8Array, known: readonly NoteKey[]): string[] {
  const names = new Set(known.map(({ name, keyId }) => `${name}+${keyId}`));
  return parseNote(signed)
    .signatures.filter(({ name, keyId }) => !names.has(`${name}+${keyId}`))
    .map(({ name }) => name);
}
