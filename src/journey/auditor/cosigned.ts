import { PhtError } from '../../model/error.ts';
import { openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { parseNote } from '../../model/ledger/note.ts';
import { logKey, witnessKey } from '../../model/ledger/origin.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import type { Member, Network } from '../../model/network.ts';
import { SKEW_MS } from '../../model/train.ts';
import { witnessPolicy } from '../../model/witnessing.ts';
import { type Finding, type FindingCode, finding, type Severity } from './findings.ts';
import { clip, timeText } from './words.ts';

/** Members gather cosignatures anew every hour, so an older head is not the newest one. */
export const FRESH_MS: number = 24 * 3_600_000;

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
};

/** Holds a head, whose own signature has been verified, against the witnesses that the network asks for. */
export function judgeCosigned(
  head: SignedHead,
  found: (finding: Finding) => void,
): { cosigned: Cosigned; sound: boolean } {
  const { network, member, origin, signed } = head;
  const policy = witnessPolicy(network, member.id);
  const wrong = (severity: Severity, code: FindingCode, text: string): void =>
    found(finding(severity, code, { log: member.id }, text));
  const keys = witnessKeysOf(network, member.id);
  const own = member.keys.log;
  const logKeys = own === undefined ? [] : [logKey(origin, own)];
  const none: Cosigned = { quorum: policy?.quorum ?? null, witnesses: [], newestMs: null };
  let cosignatures: ReturnType<typeof openCheckpoint>['cosignatures'];
  try {
    const known = [...keys.values()];
    cosignatures = openCheckpoint(signed, { origin, logKeys, witnessKeys: known }).cosignatures;
    for (const name of strangersOn(signed, [...logKeys, ...known]))
      wrong('warning', 'cosignature.unknown', `the head is signed as ${clip(name)}, too`);
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    wrong('error', 'checkpoint.miscosigned', thrown.message);
    return { cosigned: none, sound: false };
  }
  if (policy === null) return { cosigned: none, sound: true };

  const asked = new Set(policy.witnesses.map(({ key }) => key.name));
  const counted = cosignatures.filter(({ key }) => asked.has(key.name));
  const witnesses = policy.witnesses.filter(({ key }) => counted.some((by) => by.key.name === key.name));
  const timesMs = counted.map(({ timeS }) => (timeS ?? 0) * 1000).toSorted((a, b) => b - a);
  const cosigned = {
    quorum: policy.quorum,
    witnesses: witnesses.map((witness) => witness.member),
    newestMs: timesMs[0] ?? null,
  };
  if (witnesses.length < policy.quorum) {
    const text = `${witnesses.length} of ${policy.witnesses.length} witnesses have cosigned; ${policy.quorum} must`;
    wrong('error', 'checkpoint.uncosigned', text);
    return { cosigned, sound: false };
  }
  // One witness alone must not make an old head look fresh, nor hide that the clock runs ahead.
  judgeTimes(head, { quorumMs: timesMs[policy.quorum - 1] ?? 0, newestMs: timesMs[0] ?? 0 }, wrong);
  return { cosigned, sound: true };
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

/** Of every member but the log's own, by member. */
function witnessKeysOf(network: Network, operator: string): Map<string, NoteKey> {
  const keys = new Map<string, NoteKey>();
  for (const { id, keys: own } of network.members.values()) {
    if (id !== operator && own.witness !== undefined) keys.set(id, witnessKey(network.id, id, own.witness));
  }
  return keys;
}

function strangersOn(signed: Uint8Array, known: readonly NoteKey[]): string[] {
  const names = new Set(known.map(({ name, keyId }) => `${name}+${keyId}`));
  return parseNote(signed)
    .signatures.filter(({ name, keyId }) => !names.has(`${name}+${keyId}`))
    .map(({ name }) => name);
}
