import type { DepotService } from '../../gen/pht/v1/depot_pb.ts';
import type { JourneyService } from '../../gen/pht/v1/journeys_pb.ts';
import type { LedgerService } from '../../gen/pht/v1/ledger_pb.ts';
import type { NetworkService } from '../../gen/pht/v1/network_pb.ts';
import type { TrackService } from '../../gen/pht/v1/tracks_pb.ts';
import type { WitnessService } from '../../gen/pht/v1/witness_pb.ts';
import { asPhtError, type ErrorCode, PhtError } from '../../model/error.ts';
import type { Tile } from '../../model/ledger/tile.ts';
import { membersOf, type Network } from '../../model/network.ts';
import { witnessedCheck } from '../../model/witnessing.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DispatcherStore } from '../../ports/dispatcher-store.ts';
import type { Ledger } from '../../ports/ledger.ts';
import type { MirrorFiles, ShownLogs } from '../../ports/mirror.ts';
import type { NetworkCopy } from '../../ports/network-copy.ts';
import type { Signer } from '../../ports/signer.ts';
import type { Service } from '../../ports/wire.ts';
import type { WitnessedHead } from '../../ports/witness.ts';
import { depotService } from './depot.ts';
import type { Desk, Quotas } from './desk.ts';
import { createNetworkFollower } from './follow-network.ts';
import { createInquiries } from './inquiries.ts';
import { journeyService } from './journeys.ts';
import { ledgerService } from './ledgers.ts';
import type { DepotOf } from './loading.ts';
import { createMirroring } from './mirror.ts';
import { networkService } from './network-service.ts';
import { createPastHeads, keepingOwn } from './past-heads.ts';
import { createPresence } from './presence.ts';
import { createPublisher, type PublisherTimes } from './publish.ts';
import { createRejects } from './rejects.ts';
import { createShownLogs } from './shown.ts';
import { sweep, trimDepots } from './sweep.ts';
import { trackService } from './tracks.ts';
import { createWake } from './wake.ts';
import { witnessService } from './witness-service.ts';
import type { Witnesses } from './witnesses.ts';

export type DispatcherPorts = {
  id: string;
  network: () => Network;
  networkCopy: NetworkCopy;
  store: DispatcherStore;
  ledger: Ledger;
  depotOf: DepotOf;
  signer: Signer;
  clock: Clock;
  quotas: Quotas;
  software: string;
  note: Desk['note'];
  files: MirrorFiles;
  /** A tile from the files of the dispatcher's own ledger, which are those of `size` entries. */
  ownTile: (tile: Tile, size: number) => Promise<Uint8Array | null>;
  witnesses: Witnesses;
  /** One round of asking the witnesses for the newest signed checkpoint; at once where there is no quorum. */
  gather: (signal: AbortSignal) => Promise<void>;
  publisherTimes?: Partial<PublisherTimes>;
};

export type Dispatcher = {
  readonly journeys: Service<typeof JourneyService>;
  readonly tracks: Service<typeof TrackService>;
  readonly depot: Service<typeof DepotService>;
  readonly ledgers: Service<typeof LedgerService>;
  readonly witnesses: Service<typeof WitnessService>;
  readonly network: Service<typeof NetworkService>;
  /** All ledgers as they may be shown. */
  readonly logs: ShownLogs;
  /** Somebody was turned away before a service was reached. */
  refused(): void;
  /** Acts on a network file that has changed; called several times a second, as another process may have changed it. */
  followNetwork(): void;
  /** What is due with time; called every so often. */
  sweep(): Promise<void>;
  /** Puts the last counts on record and publishes the ledger. Called once nobody is served any more. */
  settle(): Promise<void>;
};

/**
 * The dispatcher's services over its ports. What a crash left unpublished follows once it serves, since witnesses can
 * only connect then; whatever needs a signature waits for it.
 */
export async function openDispatcher(ports: DispatcherPorts): Promise<Dispatcher> {
  const { store, ledger, clock, depotOf, network, note, files, witnesses } = ports;
  startLedger(ports);
  await ledger.open();
  const closing = new AbortController();
  const isWitnessed = witnessedCheck(network, ports.id);
  const past = createPastHeads(ports);
  const gathering = keepingOwn(past, ports);
  const publisher = createPublisher({
    ...{ ledger, rows: store.ledgerRows, gather: gathering, isWitnessed, note, signal: closing.signal },
    ...(ports.publisherTimes === undefined ? {} : { times: ports.publisherTimes }),
  });
  const rejects = createRejects(store, clock);
  const presence = createPresence(store.stations, clock, network);
  const desk: Desk = {
    ...ports,
    wake: createWake(),
    presence,
    rejects,
    publish: publisher.soon,
    prove: async (index) => {
      await publisher.covered(index + 1);
      return ledger.tree.prove(index);
    },
    noteHead: (member, origin, head) => noteHead(ports, member, origin, head),
  };
  const inquiries = createInquiries(desk);
  const follower = createNetworkFollower(desk);
  let trouble: ErrorCode | null = null;
  const followNetwork = (): void => {
    try {
      follower.look();
      trouble = null;
    } catch (thrown) {
      // The next look, in less than a second, meets the same facts.
      const { code } = asPhtError(thrown);
      if (code !== trouble) note('the network file could not be followed', { code, err: thrown });
      trouble = code;
    }
  };
  const mirroring = createMirroring(desk, files, past);
  await mirroring.recover();
  const logs = createShownLogs(ports.id, ledger, ports.ownTile, store, files);
  witnesses.onListening(publisher.soon);
  publisher.soon();
  return {
    journeys: journeyService(desk, depotOf, presence, inquiries),
    tracks: trackService(desk, presence, inquiries),
    depot: depotService(desk, depotOf),
    ledgers: ledgerService(desk, { logs, mirroring, publisher }),
    witnesses: witnessService(witnesses),
    network: networkService(desk, ports.networkCopy, followNetwork),
    logs,
    followNetwork,
    refused: () => rejects.count('forbidden'),
    sweep: async () => {
      try {
        sweep(desk);
        // Other witnesses may have to cosign what was published for those before.
        const head = ledger.published();
        if (head !== null && !isWitnessed(head.text)) publisher.soon();
        const researchers = membersOf(network(), 'researcher').map(({ id }) => id);
        await trimDepots(researchers, depotOf, desk);
      } catch (thrown) {
        // The next sweep looks at the same facts again.
        note('a sweep failed', { code: asPhtError(thrown).code, err: thrown });
      }
    },
    settle: async () => {
      rejects.flush(true);
      closing.abort(new PhtError('cancelled', 'the dispatcher ends'));
      await publisher.settle();
    },
  };
}

/** A ledger's first entry says which software began it. */
function startLedger({ store, clock, software }: DispatcherPorts): void {
  if (store.ledgerRows.size() > 0) return;
  const head = { trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null };
  store.atomically(() => store.append([{ type: 'log.started', ...head, body: { software } }], clock.nowMs()));
}

/** Evidence, with its entry, is kept by the store; whoever runs this has to hear of it. */
function noteHead(
  { store, clock, note }: DispatcherPorts,
  member: string,
  origin: string,
  head: WitnessedHead,
): void {
  const conflict = store.witness.noteHead(member, origin, head, clock.nowMs());
  if (conflict !== null)
    note('a member signed two ledgers that cannot both be true', { member, size: conflict.size });
}
