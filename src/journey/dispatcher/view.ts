import type { MessageInitShape } from '@bufbuild/protobuf';
import type { JourneySchema } from '../../gen/pht/v1/journeys_pb.ts';
import { PhtError } from '../../model/error.ts';
import type { Train } from '../../ports/dispatcher-store.ts';
import type { Desk } from './desk.ts';

/** A journey as its researcher sees it: what the dispatcher claims. What stations attest is in their receipts. */
export function journeyOf(train: Train, desk: Desk): MessageInitShape<typeof JourneySchema> {
  const stops = desk.store.stops.list({ trainId: train.trainId });
  return {
    trainId: train.trainId,
    title: train.title,
    state: train.state,
    submittedAtMs: BigInt(train.submittedAtMs),
    stops: stops.map(({ station, state, code, changedAtMs, attempt, hopId }) => ({
      station,
      state,
      code,
      changedAtMs: BigInt(changedAtMs),
      attempt,
      hopId,
    })),
  };
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
