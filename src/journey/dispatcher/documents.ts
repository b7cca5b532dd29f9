import type { LedgerService } from '../../gen/pht/v1/ledger_pb.ts';
import { PhtError } from '../../model/error.ts';
import { TrainIdText } from '../../model/id.ts';
import { check } from '../../model/schema.ts';
import type { Service } from '../../ports/wire.ts';
import { callerOf, type Desk } from './desk.ts';

/**
 * What was signed about one train besides the ledgers: its manifest, orders and receipts as they were received, none of
 * its results. An auditor reads every train, a researcher his own; whose else there are shows nowhere.
 */
export function statementsMethod(desk: Desk): Service<typeof LedgerService>['statements'] {
  return async (request, context) => {
    const caller = callerOf(context, 'auditor', 'researcher');
    const trainId = check(TrainIdText, request.trainId, 'the train');
    const train = desk.store.trains.find(trainId);
    if (train === null || (caller.role === 'researcher' && train.researcher !== caller.id)) {
      throw new PhtError('not-found', 'there is no such train here');
    }
    const stops = desk.store.stops.list({ trainId });
    const { manifest, cancellation } = train;
    return {
      manifest,
      cancellation: cancellation ?? new Uint8Array(),
      orders: stops.map(({ order }) => order),
      receipts: stops.flatMap(({ hopId }) => {
        const sealed = desk.store.stops.sealed(hopId);
        return sealed === null ? [] : [sealed.receipt];
      }),
    };
  };
}
