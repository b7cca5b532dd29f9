import { join } from 'node:path';
import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import { createLedger } from '../adapters/ledger/files.ts';
import type { StationStore } from '../adapters/store/station-store.ts';
import type { Channel } from '../adapters/wire/client.ts';
import { LedgerService } from '../gen/pht/v1/ledger_pb.ts';
import { WitnessService } from '../gen/pht/v1/witness_pb.ts';
import { witnessedMs } from '../journey/station/clock.ts';
import { createWitnessing } from '../journey/station/witnessing.ts';
import { createGatherer } from '../journey/witness/gather.ts';
import { listenAsWitness, remoteRelay } from '../journey/witness/remote.ts';
import { createStartCheck } from '../journey/witness/start.ts';
import { createVouched, onceVouched } from '../journey/witness/vouched.ts';
import { createWitness } from '../journey/witness/witness.ts';
import { asPhtError } from '../model/error.ts';
import { ledgerOrigin } from '../model/ledger/origin.ts';
import { witnessedCheck } from '../model/witnessing.ts';
import type { Ledger } from '../ports/ledger.ts';
import type { Witnessing } from '../ports/witnessing.ts';
import { openLedgerKeys } from './ledger-keys.ts';

/** A station's ledger before its witnesses, and the station as a witness of others'. */
export type StationLedger = {
  ledger: Ledger;
  witnessing: Witnessing;
  listenAsWitness(signal: AbortSignal): Promise<void>;
  /** Looks for keys that the network file lists since. */
  takeUpKeys(): Promise<void>;
  close(): void;
};

const MIRROR_DEADLINE_MS = 15_000;

type Note = (text: string, detail: Record<string, unknown>) => void;

export async function composeStationLedger(
  home: Home,
  { store, channel, note }: { store: StationStore; channel: Channel; note: Note },
): Promise<StationLedger> {
  const { id } = home.member;
  const network = (): ReturnType<typeof currentNetwork> => currentNetwork(home);
  const closed = new AbortController();
  const logKeys = await openLedgerKeys(home, 'log', network, note);
  const witnessKeys = await openLedgerKeys(home, 'witness', network, note);
  const ledgers = channel.client(LedgerService);
  const witnesses = channel.client(WitnessService);
  const relay = remoteRelay(witnesses);
  /** Without a quorum the dispatcher's mirror is the only memory of this ledger outside this house. */
  const mirrored = async (signal: AbortSignal): Promise<Uint8Array | null> => {
    try {
      const options = { deadlineMs: MIRROR_DEADLINE_MS, signal };
      const { checkpoint } = await ledgers.checkpoint({ member: id }, options);
      return checkpoint.length === 0 ? null : checkpoint;
    } catch (thrown) {
      if (asPhtError(thrown).code === 'not-found') return null;
      throw thrown;
    }
  };
  const vouched = createVouched({
    check: createStartCheck({
      member: id,
      network,
      relay,
      get publicJwk() {
        return logKeys.signer.publicJwk;
      },
      mirror: mirrored,
      signal: closed.signal,
      note,
    }),
    own: () => ({ ...ledger.tree, size: ledger.checkpoint()?.size ?? 0 }),
    note,
  });
  const ledger = createLedger({
    rows: store.ledgerRows,
    dir: join(home.dir, 'ledger'),
    origin: ledgerOrigin(network().id, id),
    signer: { signers: logKeys.look, append: (entry) => void store.log.append([entry], Date.now()) },
    publishAtOnce: () => network().witnessing.quorum === 'none',
    beforeSigning: vouched.beforeSigning,
    isVouchedFor: vouched.is,
    warn: (line) => note(line, {}),
  });
  const gatherer = createGatherer({ member: id, network, ledger, relay, note, contradicted: vouched.doubt });
  const witness = createWitness({
    id,
    network,
    store: store.witness,
    signer: witnessKeys.signer,
    nowMs: () => Date.now(),
    conflict: ({ member, size }) => note('a ledger has two roots for one size', { member, size }),
  });
  return {
    ledger,
    witnessing: createWitnessing(
      ledger,
      {
        round: gatherer.round,
        isWitnessed: witnessedCheck(network, id),
        published: (head) => {
          const passedMs = witnessedMs(network(), id, head);
          if (passedMs !== null) store.log.saw(passedMs);
        },
      },
      closed.signal,
    ),
    listenAsWitness: (signal) => {
      vouched.look();
      return listenAsWitness(witnesses, onceVouched(witness, vouched), signal);
    },
    takeUpKeys: async () => {
      await Promise.all([logKeys.look(), witnessKeys.look()]);
    },
    close: () => closed.abort(),
  };
}
