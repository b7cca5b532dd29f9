import { PhtError } from '../../model/error.ts';
import type { OpenedCheckpoint } from '../../model/ledger/checkpoint.ts';
import type { VerifiedSignature } from '../../model/ledger/note.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import { type Network, type Role, signerOf } from '../../model/network.ts';
import { countsAt, isKey, logKeysOf } from '../../model/past-keys.ts';
import { provenAtMs, quorumRule } from '../../model/witnessing.ts';
import { type Finding, type FindingCode, finding, type Place, type Severity } from './findings.ts';
import { timeText } from './words.ts';

/**
 * Since when an entry is known to have been on record: what members signed who were revoked since counts only if it is
 * older (protocol, section 1), and what a ledger says of its own time proves that to nobody.
 */

/** A head of a log that verified, with every cosignature on it that did. */
export type DatedHead = { size: number; cosignatures: readonly VerifiedSignature[] };
export function datedHead({ checkpoint, cosignatures }: OpenedCheckpoint): DatedHead {
  return { size: checkpoint.size, cosignatures };
}

/** By the member whose log it is: the one that was read, and those that were seen before. */
export type DatedHeads = ReadonlyMap<string, readonly DatedHead[]>;

/**
 * Where an entry stands that names a statement, and the date that its log puts on it. `heads`: those that this entry is
 * proved under besides, whatever they cover otherwise.
 */
export type Recorded = { log: string; index: number; atMs: number; heads?: readonly DatedHead[] };

type Issued = { networkId: string; networkVersion: number; issuer: string };

/** When witnesses had seen an entry, by the rule of one version of the network; null where nothing proves it. */
function seenAtMs(
  network: Network,
  heads: DatedHeads,
  { log, index, heads: own = [] }: Recorded,
  version: number,
): number | null {
  const rule = quorumRule(network, log, version);
  const times = [...own, ...(heads.get(log) ?? [])]
    .filter(({ size }) => size > index)
    .flatMap((head) => provenAtMs(rule, head) ?? []);
  return times.length === 0 ? null : Math.min(...times);
}

export type RevokedSigner = { severity: Severity; code: FindingCode; text: string };

/**
 * Whether a signature counts although its member was revoked since, or its keys are in other hands: any entry that
 * names the statement, in anybody's log, proves its age. Where there was no quorum ever since, only the date of such an
 * entry is known, and that is its log's own word.
 *
 * @returns null where it counts
 * @throws PhtError as `signerOf`, but for `signer.revoked`
 */
export function judgeSigner(
  network: Network,
  issued: Issued,
  role: Role,
  recorded: readonly Recorded[],
  heads: DatedHeads,
): RevokedSigner | null {
  const why = refusal(network, issued, role, null);
  if (why === null) return null;
  const { networkVersion } = issued;
  const seen = recorded.flatMap((entry) => seenAtMs(network, heads, entry, networkVersion) ?? []);
  if (seen.length > 0 && refusal(network, issued, role, Math.min(...seen)) === null) return null;
  const dated = recorded.map(({ atMs }) => atMs);
  const older = dated.length > 0 && refusal(network, issued, role, Math.min(...dated)) === null;
  if (older && !hadWitnesses(network, networkVersion)) {
    const text = `${why}; that it was signed before, only the log's own date says`;
    return { severity: 'warning', code: 'revocation.unproven', text };
  }
  return { severity: 'error', code: 'signer.revoked', text: `${why}, and no witness had seen it before` };
}

function refusal(network: Network, issued: Issued, role: Role, atMs: number | null): string | null {
  try {
    signerOf(network, issued, role, atMs);
    return null;
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'signer.revoked') return thrown.message;
    throw thrown;
  }
}

/** Naming a version from before there were witnesses must not spare anybody the proof. */
function hadWitnesses({ witnessingSpans }: Network, since: number): boolean {
  return witnessingSpans.some(({ rule }, at) => {
    const until = witnessingSpans[at + 1]?.since ?? Number.POSITIVE_INFINITY;
    return rule.quorum !== 'none' && until > since;
  });
}

/** The last version of the network in which somebody kept this log: what judges its head. */
export function lastVersionOf(network: Network, member: string): number {
  if (network.members.has(member)) return network.version;
  const ends = network.spans.filter(({ id }) => id === member).map(({ ended }) => ended?.version ?? 1);
  return Math.max(1, Math.max(...ends) - 1);
}

/** When a head is proved to have been on record, by the rule of each version by which anything is. */
export function provenTimesMs(
  network: Network,
  member: string,
  opened: Pick<OpenedCheckpoint, 'cosignatures'>,
): number[] {
  return network.witnessingSpans.flatMap(
    ({ since }) => provenAtMs(quorumRule(network, member, since), opened) ?? [],
  );
}

/** Whether a member answers for a head: not for what a key of its had signed after that got into other hands. */
export function isAccountable(network: Network, member: string, opened: OpenedCheckpoint): boolean {
  const times = provenTimesMs(network, member, opened);
  const atMs = times.length === 0 ? null : Math.min(...times);
  const keys = logKeysOf(network, member).filter((past) => !past.stolen || countsAt(past, atMs));
  return opened.signedBy.some((by) => keys.some(({ key }) => isKey(by, key)));
}

export type KeptLog = {
  size: number;
  signedBy: readonly Pick<NoteKey, 'name' | 'keyId'>[];
  /** The newest date in it. */
  newestMs: number | null;
};

/**
 * A log that is signed with a key whose member was revoked since, or that is in other hands: what no witness had seen
 * before counts for nothing.
 *
 * @returns null where the key counts; `sound`: it is the member's own word at least, and not that of a thief
 */
export function judgeOwnKey(
  network: Network,
  member: string,
  { size, signedBy, newestMs }: KeptLog,
  heads: readonly DatedHead[],
): { found: Finding; sound: boolean } | null {
  const keys = logKeysOf(network, member).filter(({ key }) => signedBy.some((by) => isKey(by, key)));
  const ends = keys.flatMap((past) => past.endsMs ?? []);
  if (ends.length === 0) return null;
  const endsMs = Math.min(...ends);
  const rule = quorumRule(network, member, lastVersionOf(network, member));
  const proven = heads.filter((head) => {
    const atMs = provenAtMs(rule, head);
    return atMs !== null && atMs < endsMs;
  });
  const from = Math.max(0, ...proven.map((head) => head.size));
  if (from >= size) return null;
  const left = `${member} was revoked, or its keys were in other hands, at ${timeText(endsMs)} UTC`;
  const place: Place = { log: member, index: from };
  if (rule === null && newestMs !== null && newestMs < endsMs) {
    const text = `${left}; that its entries are older, only their own dates say`;
    return { found: finding('warning', 'revocation.unproven', place, text), sound: true };
  }
  const text = `${left}; no witness had seen the entries from ${from} to ${size - 1} before`;
  return {
    found: finding('error', 'signer.revoked', place, text),
    sound: !keys.some(({ stolen }) => stolen),
  };
}
