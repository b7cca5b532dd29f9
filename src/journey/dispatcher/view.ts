import type { MessageInitShape } from '@bufbuild/protobuf';
import type { JourneySchema, StopSchema } from '../../gen/pht/v1/journeys_pb.ts';
import type { WaitedFor } from '../../model/account.ts';
import { PhtError } from '../../model/error.ts';
import type { StopState } from '../../model/hop.ts';
import type { Stop, Train } from '../../ports/dispatcher-store.ts';
import type { Desk } from './desk.ts';

/** A journey as its researcher sees it: what the dispatcher claims. What stations attest is in their receipts. */
export function journeyOf(train: Train, desk: Desk): MessageInitShape<typeof JourneySchema> {
  const stops = desk.store.stops.list({ trainId: train.trainId });
  return {
    trainId: train.trainId,
    title: train.title,
    state: train.state,
    submittedAtMs: BigInt(train.submittedAtMs),
    stops: stops.map((stop) => stopOf(stop, desk)),
  };
}

function stopOf(stop: Stop, desk: Desk): MessageInitShape<typeof StopSchema> {
  const { station, state, code, changedAtMs, attempt, hopId } = stop;
  const waitsFor = waitedFor(state);
  const { online, seenMs } = desk.presence.of(station);
  return {
    station,
    state,
    code,
    changedAtMs: BigInt(changedAtMs),
    attempt,
    hopId,
    waitsFor,
    waitsSinceMs: BigInt(waitsFor === '' ? 0 : changedAtMs),
    stationOnline: online,
    stationSeenMs: BigInt(seenMs),
  };
}

const WAITED_FOR: Partial<Record<StopState, WaitedFor>> = {
  ordered: 'station',
  received: 'station',
  cleared: 'station',
  running: 'station',
  'awaiting-clearance': 'admin',
  'awaiting-second-clearance': 'second-admin',
  'awaiting-witness': 'witnesses',
  'awaiting-network': 'authority',
  'awaiting-engine': 'engine',
  'awaiting-dispatcher': 'dispatcher',
};

/** Who has to act before a stop in this state goes on; nobody once it has ended. */
export function waitedFor(state: StopState): WaitedFor {
  return WAITED_FOR[state] ?? '';
}

/** @throws PhtError `not-found`, alike for a train that does not exist and for another researcher's */
export function ownTrain(trainId: string, researcher: string, desk: Desk): Train {
  const train = desk.store.trains.find(trainId);
  if (train !== null && train.researcher === researcher) return train;
  throw new PhtError('not-found', 'there is no such train of yours', { hint: 'pht train list names them' });
}

/** A train that a stop or a row refers to. */
export function trainById(trainId: string, desk: Desk): Train {
  const train = desk.store.trains.find(trainId);
  if (train === null) throw new PhtError('internal', `the store lacks the train ${trainId}`);
  return train;
}
