import { ledgerOrigin, logKey, witnessKey } from './ledger/origin.ts';
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
