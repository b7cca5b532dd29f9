import type { TrainId } from '../../model/id.ts';
import type { JourneyState } from '../../ports/dispatcher-store.ts';
import { manifestOf } from './admit.ts';
import type { Desk } from './desk.ts';
import { journeyState, releasedOf } from './route.ts';
import { trainById } from './view.ts';

/**
 * Reads the state of the journey from its stops and puts an end of it on record. Runs inside the transaction of
 * whatever changed a stop. A receipt that comes after we gave a station up may still turn a failure into an arrival.
 */
export function arrive(trainId: TrainId, desk: Desk): JourneyState {
  const train = trainById(trainId, desk);
  const { manifestDigest } = train;
  // Taken back when its researcher was revoked: no receipt that comes late changes that.
  if (train.state === 'cancelled' && train.cancellation === null) return train.state;
  const stops = desk.store.stops.list({ trainId });
  const { route } = manifestOf(train);
  const state = journeyState({ route, cancelled: train.cancellation !== null, stops });
  if (state === train.state) return state;
  desk.store.trains.move(trainId, train.state, state);
  if (state === 'under-way') return state;
  const body = {
    state,
    released: releasedOf({ stops }),
    minStations: route.minStations,
    stops: stops.length,
  };
  const head = { trainId, hopId: null, attempt: null, epoch: null, manifestDigest, prev: null };
  desk.store.append([{ type: 'train.arrived', ...head, body }], desk.clock.nowMs());
  return state;
}
