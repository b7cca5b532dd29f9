import type { DepotService } from '../../gen/pht/v1/depot_pb.ts';
import type { JourneyService } from '../../gen/pht/v1/journeys_pb.ts';
import type { LedgerService } from '../../gen/pht/v1/ledger_pb.ts';
import type { TrackService } from '../../gen/pht/v1/tracks_pb.ts';
import { asPhtError } from '../../model/error.ts';
import { membersOf, type Network } from '../../model/network.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DispatcherStore } from '../../ports/dispatcher-store.ts';
import type { Ledger } from '../../ports/ledger.ts';
import type { Signer } from '../../ports/signer.ts';
import type { Service } from '../../ports/wire.ts';
import { depotService } from './depot.ts';
import type { Desk, Quotas } from './desk.ts';
import { journeyService } from './journeys.ts';
import { ledgerService } from './ledgers.ts';
import type { DepotOf } from './loading.ts';
import { createPresence } from './presence.ts';
import { createPublisher } from './publish.ts';
import { createRejects } from './rejects.ts';
import { sweep, trimDepots } from './sweep.ts';
import { trackService } from './tracks.ts';
import { createWake } from './wake.ts';

export type DispatcherPorts = {
  id: string;
  network: () => Network;
  store: DispatcherStore;
  ledger: Ledger;
  depotOf: DepotOf;
  signer: Signer;
  clock: Clock;
  quotas: Quotas;
  software: string;
  note: Desk['note'];
};

export type Dispatcher = {
  readonly journeys: Service<typeof JourneyService>;
  readonly tracks: Service<typeof TrackService>;
  readonly depot: Service<typeof DepotService>;
  readonly ledgers: Service<typeof LedgerService>;
  /** Somebody was turned away before a service was reached. */
  refused(): void;
  /** What is due with time; called every so often. */
  sweep(): Promise<void>;
  /** Puts the last counts on record and publishes the ledger. Called once nobody is served any more. */
  settle(): Promise<void>;
};

/** The dispatcher's services over its ports. Publishes what a crash left unpublished before it returns. */
export async function openDispatcher(ports: DispatcherPorts): Promise<Dispatcher> {
  const { store, ledger, clock, depotOf, network, note } = ports;
  startLedger(ports);
  const publisher = createPublisher(ledger, store.ledgerRows, note);
  await ledger.covered(store.ledgerRows.size());
  const rejects = createRejects(store, clock);
  const desk: Desk = { ...ports, wake: createWake(), rejects, publish: publisher.soon };
  const presence = createPresence(store.stations, clock, network);
  return {
    journeys: journeyService(desk, depotOf, presence),
    tracks: trackService(desk, presence),
    depot: depotService(desk, depotOf),
    ledgers: ledgerService(desk, ledger),
    refused: () => rejects.count('forbidden'),
    sweep: async () => {
      try {
        sweep(desk);
        const researchers = membersOf(network(), 'researcher').map(({ id }) => id);
        await trimDepots(researchers, depotOf, desk);
      } catch (thrown) {
        // The next sweep looks at the same facts again.
        note('a sweep failed', { code: asPhtError(thrown).code, err: thrown });
      }
    },
    settle: async () => {
      rejects.flush(true);
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
