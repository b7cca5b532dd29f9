import { type ErrorCode, PhtError } from './error.ts';
import { type OpenedCheckpoint, openCheckpoint } from './ledger/checkpoint.ts';
import type { VerifiedSignature } from './ledger/note.ts';
import { ledgerOrigin, witnessKey } from './ledger/origin.ts';
import { sameBytes } from './ledger/strict.ts';
import { formatVkey, type NoteKey } from './ledger/vkey.ts';
import { existedByMs } from './ledger/witnessed-time.ts';
import { type Member, membersOf, type Network, type Witnessing } from './network.ts';
import { asOf } from './network-as-of.ts';
import { countsAt, isKey, logKeysOf, type PastKey, witnessKeysOf } from './past-keys.ts';

/** Whose cosignatures one ledger needs (protocol, section 7): at least `quorum` of `witnesses`, its operator excluded. */
export type WitnessPolicy = {
  readonly quorum: number;
  readonly witnesses: readonly { readonly member: string; readonly key: NoteKey }[];
};

/**
 * Whom a ledger asks now, and with which key each answers.
 *
 * @returns null where the network says that it has no quorum
 */
export function witnessPolicy(network: Network, operator: string): WitnessPolicy | null {
  const { witnessing } = network;
  if (witnessing.quorum === 'none') return null;
  const witnesses = witnessing.witnesses.flatMap((id) => {
    const jwk = network.members.get(id)?.keys.witness;
    return id === operator || jwk === undefined ? [] : [{ member: id, key: witnessKey(network.id, id, jwk) }];
  });
  return { quorum: witnessing.quorum, witnesses };
}

/** Who counts for heads that were made under one version of the network, by everything that is known of them by now. */
export type QuorumRule = {
  readonly quorum: number;
  readonly faulty: number;
  readonly witnesses: readonly { readonly member: string; readonly keys: readonly PastKey[] }[];
};

/**
 * The rule of one version, which judges what was signed under it: a quorum that was enough then stays enough. A
 * witness's cosignature counts under any key that it ever had, unless it is younger than the end of that key: a
 * rotation takes nothing away from what was seen before.
 *
 * @returns null where that version says that there is no quorum
 * @throws PhtError `network.behind`
 */
export function quorumRule(
  network: Network,
  operator: string,
  version: number = network.version,
): QuorumRule | null {
  const { witnessing } = asOf(network, version);
  if (witnessing.quorum === 'none') return null;
  const { quorum, faulty } = witnessing;
  const witnesses = witnessing.witnesses
    .filter((member) => member !== operator)
    .map((member) => ({ member, keys: witnessKeysOf(network, member) }));
  return { quorum, faulty, witnesses };
}

/** What `openCheckpoint` takes as `witnessKeys`. */
export function keysOfRule(rule: QuorumRule | null): NoteKey[] {
  return (rule?.witnesses ?? []).flatMap(({ keys }) => keys.map(({ key }) => key));
}

export type Counted = { readonly member: string; readonly timeS: number | null };

/** The cosignatures that count, one for each witness: of two by an old key and a new one the older. */
export function countedBy(rule: QuorumRule, cosignatures: readonly VerifiedSignature[]): Counted[] {
  return rule.witnesses.flatMap(({ member, keys }) => {
    const times = cosignatures
      .filter(({ key, timeS }) => keys.some((past) => isKey(key, past.key) && countsAt(past, msOf(timeS))))
      .map(({ timeS }) => timeS)
      .sort((one, two) => (one ?? 0) - (two ?? 0));
    return times[0] === undefined ? [] : [{ member, timeS: times[0] }];
  });
}

/** A time of zero is none (C2SP tlog-cosignature). */
function msOf(timeS: number | null): number | null {
  return timeS === null || timeS === 0 ? null : timeS * 1000;
}

/**
 * When a head is proved to have been on record: its quorum is full, and one honest witness at least saw it by then.
 *
 * @returns milliseconds since the Unix epoch; null where there is no quorum, or too few have cosigned
 */
export function provenAtMs(
  rule: QuorumRule | null,
  { cosignatures }: Pick<OpenedCheckpoint, 'cosignatures'>,
): number | null {
  if (rule === null) return null;
  const counted = countedBy(rule, cosignatures);
  return counted.length < rule.quorum ? null : existedByMs(counted, rule.faulty);
}

/** Whether the log key of a head counts, given when the head is proved to have been on record. */
export function isOwnHead(
  keys: readonly PastKey[],
  { signedBy }: Pick<OpenedCheckpoint, 'signedBy'>,
  atMs: number | null,
): boolean {
  return signedBy.every((key) => keys.some((past) => isKey(key, past.key) && countsAt(past, atMs)));
}

/**
 * Whether a head is the word of the ledger's own key and of as many witnesses as the network asks for *now*: one that was
 * published under an earlier list of witnesses may not be any more. Verifies signatures, so the caller asks once a head.
 */
export function isWitnessed(network: Network, operator: string, text: Uint8Array): boolean {
  const rule = quorumRule(network, operator);
  if (rule === null) return true;
  const origin = ledgerOrigin(network.id, operator);
  const own = logKeysOf(network, operator);
  try {
    const trust = { origin, logKeys: own.map(({ key }) => key), witnessKeys: keysOfRule(rule) };
    const opened = openCheckpoint(text, trust);
    return isOwnHead(own, opened, null) && countedBy(rule, opened.cosignatures).length >= rule.quorum;
  } catch (thrown) {
    // Signed with a log key that is none of this member's.
    if (thrown instanceof PhtError && NOT_OF_IT.has(thrown.code)) return false;
    throw thrown;
  }
}

const NOT_OF_IT: ReadonlySet<ErrorCode> = new Set(['signer.unknown', 'signature.invalid', 'ledger.invalid']);

/** `isWitnessed` for one ledger, which remembers its last answer. */
export function witnessedCheck(network: () => Network, operator: string): (text: Uint8Array) => boolean {
  let last: { text: Uint8Array; digest: string; is: boolean } | null = null;
  return (text) => {
    const now = network();
    if (last === null || last.digest !== now.digest || !sameBytes(last.text, text))
      last = { text, digest: now.digest, is: isWitnessed(now, operator, text) };
    return last.is;
  };
}

/**
 * The quorum that a network of these members gets unless its authority says otherwise: every dispatcher and station is a
 * witness, one of them may lie, and k is the smallest with 2k > n + 1. Fewer than three of them have none.
 */
export function defaultWitnessing(members: readonly Member[]): Witnessing {
  const witnesses = members
    .filter(({ role, keys }) => (role === 'dispatcher' || role === 'station') && keys.witness !== undefined)
    .map(({ id }) => id);
  const dispatchers = members.filter(({ role }) => role === 'dispatcher').length;
  const others = witnesses.length - 1;
  const quorum = Math.max(Math.floor((others + 1) / 2) + 1, dispatchers + 1);
  return witnesses.length < 3 || quorum > others ? { quorum: 'none' } : { quorum, faulty: 1, witnesses };
}

/** The policy as C2SP tlog-policy text, for other people's verifiers. */
export function formatTlogPolicy(network: Network): string {
  const { witnessing } = network;
  // A log that has rotated its key has a line for each: the origin is the same, and heads name the key by its id.
  const logs = [...membersOf(network, 'dispatcher'), ...membersOf(network, 'station')].flatMap(({ id }) =>
    logKeysOf(network, id)
      .filter(({ endsMs }) => endsMs === null)
      .map(({ key }) => `log ${formatVkey(key)}`),
  );
  if (witnessing.quorum === 'none') return [...logs, 'quorum none', ''].join('\n');
  const witnesses = witnessing.witnesses.flatMap((id) => {
    const jwk = network.members.get(id)?.keys.witness;
    return jwk === undefined ? [] : [`witness ${id} ${formatVkey(witnessKey(network.id, id, jwk))}`];
  });
  const group = `group quorum-of-witnesses ${witnessing.quorum} ${witnessing.witnesses.join(' ')}`;
  return [...logs, ...witnesses, group, 'quorum quorum-of-witnesses', ''].join('\n');
}
