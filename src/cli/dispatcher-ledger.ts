import { join } from 'node:path';
import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import { createLedger } from '../adapters/ledger/files.ts';
import { createWitnesses, type Witnesses } from '../journey/dispatcher/witnesses.ts';
import { createGatherer } from '../journey/witness/gather.ts';
import { createStartCheck } from '../journey/witness/start.ts';
import { createVouched, onceVouched } from '../journey/witness/vouched.ts';
import { createWitness, type Witness } from '../journey/witness/witness.ts';
import { ledgerOrigin } from '../model/ledger/origin.ts';
import type { DispatcherStore } from '../ports/dispatcher-store.ts';
import type { Ledger } from '../ports/ledger.ts';
import { openLedgerKeys } from './ledger-keys.ts';

export type LedgerParts = {
  ledger: Ledger;
  witnesses: Witnesses;
  gather: (signal: AbortSignal) => Promise<void>;
  /** Looks for keys that the network file lists since. */
  takeUpKeys: () => Promise<void>;
};

/** A dispatcher's own ledger, its witnesses, and itself as the witness of the others. */
export async function composeDispatcherLedger(
  home: Home,
  parts: {
    store: DispatcherStore;
    note: (text: string, details: Readonly<Record<string, unknown>>) => void;
    signal: AbortSignal;
  },
): Promise<LedgerParts> {
  const { store, note, signal } = parts;
  const { id } = home.member;
  const network = () => currentNetwork(home);
  const logKeys = await openLedgerKeys(home, 'log', network, note);
  const { own, look } = await ownWitness(home, store, note);
  const vouched = createVouched({
    // Without a quorum there is nobody to ask: a dispatcher has no mirror.
    check: (tree) => startCheck(tree),
    own: () => ({ ...ledger.tree, size: ledger.checkpoint()?.size ?? 0 }),
    note,
  });
  const witnesses = createWitnesses({ id, network, own: own === null ? null : onceVouched(own, vouched) });
  const relay = witnesses.relayFor(id);
  const startCheck = createStartCheck({
    ...{ member: id, network, relay, signal, note },
    get publicJwk() {
      return logKeys.signer.publicJwk;
    },
  });
  const ledger = createLedger({
    rows: store.ledgerRows,
    dir: join(home.dir, 'ledger'),
    origin: ledgerOrigin(network().id, id),
    signer: {
      signers: logKeys.look,
      append: (entry) => void store.atomically(() => store.append([entry], Date.now())),
    },
    publishAtOnce: () => network().witnessing.quorum === 'none',
    beforeSigning: vouched.beforeSigning,
    isVouchedFor: vouched.is,
    warn: (line) => note(line, {}),
  });
  const gatherer = createGatherer({ member: id, network, ledger, relay, note, contradicted: vouched.doubt });
  const takeUpKeys = async (): Promise<void> => {
    await Promise.all([logKeys.look(), look()]);
  };
  return { ledger, witnesses, gather: gatherer.round, takeUpKeys };
}

/** Null while the network file names no witness key of this dispatcher. */
async function ownWitness(
  home: Home,
  store: DispatcherStore,
  note: (text: string, details: Readonly<Record<string, unknown>>) => void,
): Promise<{ own: Witness | null; look: () => Promise<unknown> }> {
  const { id } = home.member;
  const network = () => currentNetwork(home);
  if (network().members.get(id)?.keys.witness === undefined)
    return { own: null, look: async () => undefined };
  const keys = await openLedgerKeys(home, 'witness', network, note);
  const own = createWitness({
    id,
    network,
    store: store.witness,
    signer: keys.signer,
    nowMs: () => Date.now(),
    conflict: ({ member, size }) =>
      note('a member signed two ledgers that cannot both be true', { member, size }),
  });
  return { own, look: keys.look };
}
