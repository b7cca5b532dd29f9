import { type ErrorCode, PhtError } from './error.ts';
import { openCheckpoint } from './ledger/checkpoint.ts';
import { ledgerOrigin, logKey, witnessKey } from './ledger/origin.ts';
import { sameBytes } from './ledger/strict.ts';
import { formatVkey, type NoteKey } from './ledger/vkey.ts';
import { type Member, membersOf, type Network, type Witnessing } from './network.ts';

/** Whose cosignatures one ledger needs (protocol, section 7): at least `quorum` of `witnesses`, its operator excluded. */
export type WitnessPolicy = {
  readonly quorum: number;
  readonly witnesses: readonly { readonly member: string; readonly key: NoteKey }[];
};

/** @returns null where the network says that it has no quorum */
export function witnessPolicy(network: Network, operator: string): WitnessPolicy | null {
  const { witnessing } = network;
  if (witnessing.quorum === 'none') return null;
  const witnesses = witnessing.witnesses.flatMap((id) => {
    const jwk = network.members.get(id)?.keys.witness;
    return id === operator || jwk === undefined ? [] : [{ member: id, key: witnessKey(network.id, id, jwk) }];
  });
  return { quorum: witnessing.quorum, witnesses };
}

/**
 * Whether a head is the word of the ledger's own key and of as many witnesses as the network asks for *now*: one that was
 * published under an earlier list of witnesses may not be any more. Verifies signatures, so the caller asks once a head.
 */
export function isWitnessed(network: Network, operator: string, text: Uint8Array): boolean {
  const policy = witnessPolicy(network, operator);
  const jwk = network.members.get(operator)?.keys.log;
  if (policy === null) return true;
  if (jwk === undefined) return false;
  const origin = ledgerOrigin(network.id, operator);
  const witnessKeys = policy.witnesses.map(({ key }) => key);
  try {
    const { cosignatures } = openCheckpoint(text, { origin, logKeys: [logKey(origin, jwk)], witnessKeys });
    return cosignatures.length >= policy.quorum;
  } catch (thrown) {
    // Signed with a log key that the network does not name any more.
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
  const logs = [...membersOf(network, 'dispatcher'), ...membersOf(network, 'station')].flatMap(
    ({ id, keys }) => {
      if (keys.log === undefined) return [];
      return [`log ${formatVkey(logKey(ledgerOrigin(network.id, id), keys.log))}`];
    },
  );
  if (witnessing.quorum === 'none') return [...logs, 'quorum none', ''].join('\n');
  const witnesses = witnessing.witnesses.flatMap((id) => {
    const jwk = network.members.get(id)?.keys.witness;
    return jwk === undefined ? [] : [`witness ${id} ${formatVkey(witnessKey(network.id, id, jwk))}`];
  });
  const group = `group quorum-of-witnesses ${witnessing.quorum} ${witnessing.witnesses.join(' ')}`;
  return [...logs, ...witnesses, group, 'quorum quorum-of-witnesses', ''].join('\n');
}
