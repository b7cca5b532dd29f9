import { lastEntry } from '../../model/ledger/last-entry.ts';
import { membersOf, type Network } from '../../model/network.ts';
import type { Train } from '../../ports/dispatcher-store.ts';
import { arrive } from './arrive.ts';
import { committed } from './commit.ts';
import type { Desk } from './desk.ts';
import { orderNext } from './order.ts';
import { recordUnheard } from './record.ts';
import { isEnded } from './route.ts';
import { stationKey, trainKey } from './wake.ts';

const NO_HOP = { hopId: null, attempt: null, epoch: null, prev: null } as const;

/**
 * What a new list of members does to the journeys under way. Looks at the file and the store alone, so it may run at any
 * moment, and again after a crash.
 */
export function createNetworkFollower(desk: Desk): { look(): void } {
  let seen: Network | null = null;
  return {
    look: () => {
      const network = desk.network();
      if (network === seen) return;
      if (network.digest !== seen?.digest) {
        noteList(network, desk);
        for (const train of openTrains(desk)) desk.store.atomically(() => dropRevoked(train, desk));
      }
      for (const train of openTrains(desk)) if (train.state === 'under-way') orderWaiting(train, desk);
      // Not before all of it is on record: what fails is tried again at the next look.
      seen = network;
      // Stations compare their file with ours at each pull.
      for (const { id } of membersOf(network, 'station')) desk.wake.ring(stationKey(id));
    },
  };
}

function openTrains({ store }: Desk): Train[] {
  return store.trains.open({ expiredBeforeMs: Number.MAX_SAFE_INTEGER });
}

/** What an older file held back. */
function orderWaiting(train: Train, desk: Desk): void {
  const stations = desk.store.atomically(() => orderNext(train, desk));
  if (stations.length === 0) return;
  for (const station of stations) desk.wake.ring(stationKey(station));
  desk.wake.ring(trainKey(train.trainId));
  desk.publish();
}

/** Each list of members once, whatever a crash cut short. */
function noteList({ version, digest, rootVersion }: Network, { store, clock, publish }: Desk): void {
  const last = lastEntry(store.ledgerRows, 'network.changed')?.body;
  if (last?.['version'] === version && last['digest'] === digest) return;
  const head = { trainId: null, manifestDigest: null, ...NO_HOP };
  const body = { version, digest, rootVersion };
  store.atomically(() => store.append([{ type: 'network.changed', ...head, body }], clock.nowMs()));
  publish();
}

/**
 * A train of a researcher who is none any more goes nowhere: its stops are given up, and what was not pulled yet stays
 * here. Otherwise those stops are given up whose stations are none any more. Runs inside the caller's transaction.
 */
export function dropRevoked(train: Train, desk: Desk): void {
  const network = desk.network();
  const isMember = (id: string, role: string): boolean => network.members.get(id)?.role === role;
  const taken = !isMember(train.researcher, 'researcher');
  const open = desk.store.stops.list({ trainId: train.trainId }).filter(({ state }) => !isEnded(state));
  const lost = open.filter(({ station }) => taken || !isMember(station, 'station'));
  if (!taken && lost.length === 0) return;
  for (const stop of lost) recordUnheard(stop, train, desk, 'signer.revoked');
  if (taken) takeBack(train, desk);
  else arrive(train.trainId, desk);
  desk.note('the network names a member no more, and a journey changes', { trainId: train.trainId });
  desk.wake.ring(trainKey(train.trainId));
  desk.publish();
}

/** Without a cancellation of the researcher's own, whose word counts no more. */
function takeBack({ trainId, manifestDigest, researcher, state }: Train, { store, clock }: Desk): void {
  store.trains.move(trainId, state, 'cancelled');
  const body = { researcherCommitment: committed(researcher, store), code: 'signer.revoked' };
  const head = { trainId, manifestDigest, ...NO_HOP };
  store.append([{ type: 'train.cancelled', ...head, body }], clock.nowMs());
}
