import type { ErrorCode } from '../../model/error.ts';
import type { Wait } from '../../model/hop.ts';
import type { HopRecord } from '../../ports/station-store.ts';

const WAITS_ON: Partial<Record<ErrorCode, Wait>> = {
  'engine.unreachable': 'awaiting-engine',
  'engine.unsafe': 'awaiting-engine',
  'network.expired': 'awaiting-network',
  'network.stale': 'awaiting-network',
  'network.behind': 'awaiting-network',
  unreachable: 'awaiting-dispatcher',
  'timed-out': 'awaiting-dispatcher',
};

/**
 * What a dispatcher may be told of a hop that cannot go on for a while. Once a run has begun a train could make an engine
 * fail by what it read, so from then on nothing is said but that it runs; what is held has ended, and waits in the open.
 *
 * @param code why the last visit broke off; undefined when it did not
 */
export function waitOf({ held, notes }: HopRecord, code: ErrorCode | undefined): Wait | null {
  const wait = (code !== undefined && WAITS_ON[code]) || null;
  if (held !== null) return wait === 'awaiting-network' ? wait : null;
  return notes.startedAtMs === undefined ? wait : null;
}
