import { parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { openStanding } from '../../model/standing.ts';
import type { ClearanceStore, StandingRecord } from '../../ports/station-store.ts';
import type { Station } from './stages.ts';

export type StandingState =
  | 'in-force'
  | 'waits-for-second'
  | 'used-up'
  | 'expired'
  | 'withdrawn'
  | 'not-valid';

/** One answer over the wire has 4 MiB; what is over and done with is never deleted by itself. */
const LISTED_BYTES_MAX = 3 * 1024 * 1024;

/**
 * The standing clearances that are known here with their state, those that may let something run first; of more than fit
 * in an answer the oldest are left out. Whoever reads them verifies each envelope himself.
 */
export function standingClearances(station: Station, clearances: Pick<ClearanceStore, 'standing'>) {
  const records = clearances.standing('all');
  const judged = records.map((record) => ({ record, ...stateOf(record, station) }));
  const listed = judged.map(({ record, state, person }) => {
    const persons = new Set(
      judged
        .filter((other) => other.record.termsDigest === record.termsDigest && other.state === 'in-force')
        .map((other) => other.person),
    );
    const alone = state === 'in-force' && person !== '' && persons.size < record.approvals;
    return {
      statement: record.envelope,
      runsUsed: record.runsUsed,
      state: alone ? ('waits-for-second' as const) : state,
    };
  });
  const open = ({ state }: { state: StandingState }): boolean =>
    state === 'in-force' || state === 'waits-for-second';
  return fitting([...listed.filter(open), ...listed.filter((each) => !open(each))]);
}

function fitting<T extends { statement: Uint8Array }>(all: readonly T[]): T[] {
  let bytes = 0;
  return all.filter(({ statement }) => {
    bytes += statement.byteLength;
    return bytes <= LISTED_BYTES_MAX;
  });
}

/** By itself, without the second person that it may need. */
function stateOf(record: StandingRecord, station: Station): { state: StandingState; person: string } {
  if (record.withdrawn) return { state: 'withdrawn', person: '' };
  try {
    const at = { network: station.network(), station: station.id };
    const { predicate, person } = openStanding(parseEnvelope(record.envelope, 'standing clearance'), at);
    if (station.clock.nowMs() >= predicate.expiresMs) return { state: 'expired', person };
    return { state: record.runsUsed >= predicate.runsMax ? 'used-up' : 'in-force', person };
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    // Signed by somebody who is no admin any more, or with a key that counts no more.
    station.note('a standing clearance does not hold', {
      digest: record.digest,
      code: thrown.code,
    });
    return { state: 'not-valid', person: '' };
  }
}
