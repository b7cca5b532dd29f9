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
import { signerOf } from './frame.ts';
import { logSignersOf } from './log-signers.ts';

export type LedgerParts = {
  ledger: Ledger;
  witnesses: Witnesses;
  gather: (signal: AbortSignal) => Promise<void>;
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
  const { signer: logSigner, former } = await logSignersOf(home, network());
  const own = await ownWitness(home, store, note);
  const vouched = createVouched({
    // Without a quorum there is nobody to ask: a dispatcher has no mirror.
    check: (tree) => startCheck(tree),
    own: () => ({ ...ledger.tree, size: ledger.checkpoint()?.size ?? 0 }),
    note,
  });
  const witnesses = createWitnesses({ id, network, own: own === null ? null : onceVouched(own, vouched) });
  const relay = witnesses.relayFor(id);
  const startCheck = createStartCheck({
    ...{ member: id, network, relay, publicJwk: logSigner.publicJwk, signal, note },
  });
  const ledger = createLedger({
    rows: store.ledgerRows,
    dir: join(home.dir, 'ledger'),
    origin: ledgerOrigin(network().id, id),
    signer: logSigner,
    rotation: { former, append: (entry) => void store.atomically(() => store.append([entry], Date.now())) },
    publishAtOnce: () => network().witnessing.quorum === 'none',
    beforeSigning: vouched.beforeSigning,
    isVouchedFor: vouched.is,
    warn: (line) => note(line, {}),
  });
  const gatherer = createGatherer({ member: id, network, ledger, relay, note, contradicted: vouched.doubt });
  return { ledger, witnesses, gather: gatherer.round };
}

/** Null while the network file names no witness key of this dispatcher. */
async function ownWitness(
  home: Home,
  store: DispatcherStore,
  note: (text: string, details: Readonly<Record<string, unknown>>) => void,
): Promise<Witness | null> {
  const { id } = home.member;
  const network = () => currentNetwork(home);
  if (network().members.get(id)?.keys.witness === undefined) return null;
  return createWitness({
    id,
    network,
    store: store.witness,
    signer: await signerOf(home, 'witness'),
    nowMs: () => Date.now(),
    conflict: ({ member, size }) =>
      note('a member signed two ledgers that cannot both be true', { member, size }),
  });
}
