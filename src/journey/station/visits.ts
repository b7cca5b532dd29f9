import { asPhtError, PhtError } from '../../model/error.ts';
import { isSealed } from '../../model/hop.ts';
import type { HopStore } from '../../ports/station-store.ts';
import { type Ended, type Steps, visit } from './hop.ts';
import type { Station } from './stages.ts';

const RETRY_MS = 5_000;

export type Visits = {
  /** Starts the visit of a hop, or lets one that waits look again. */
  start(hopId: string): void;
  cancel(hopId: string): void;
  /** Ends every visit where it stands; after a restart each goes on from its last durable state. */
  stop(): Promise<void>;
};

/**
 * The visits under way, at most one per hop. Looking and deciding is cheap and never waits; only so many trains run at
 * once, in order of their clearance.
 */
export function createVisits(
  station: Station,
  ports: { hops: HopStore; steps: Steps; runsAtOnceMax: number; sealed(): void },
): Visits {
  const active = new Map<string, { controller: AbortController; done: Promise<void>; again: boolean }>();
  const timers = new Set<NodeJS.Timeout>();
  const whenFree = createTurns(ports.runsAtOnceMax);
  let stopping = false;

  const start = (hopId: string): void => {
    const running = active.get(hopId);
    if (running !== undefined) running.again = true;
    if (running !== undefined || stopping) return;
    const controller = new AbortController();
    const done = once(hopId, controller.signal).finally(() => {
      const again = active.get(hopId)?.again === true;
      active.delete(hopId);
      if (again) start(hopId);
    });
    active.set(hopId, { controller, done, again: false });
  };

  const once = async (hopId: string, signal: AbortSignal): Promise<void> => {
    try {
      const ended = await visit(hopId, ports.steps, { hops: ports.hops, station, whenFree }, signal);
      follow(hopId, ended);
    } catch (thrown) {
      if (stopping) return;
      station.note('a visit broke off', { hopId, error: asPhtError(thrown) });
      later(hopId);
    }
  };

  const follow = (hopId: string, ended: Ended): void => {
    if (ended.is === 'sealed') ports.sealed();
    if (ended.is !== 'later') return;
    const hop = ports.hops.find(hopId);
    if (hop !== null && !isSealed(hop.state)) later(hopId);
  };

  const later = (hopId: string): void => {
    if (stopping) return;
    const timer = setTimeout(() => {
      timers.delete(timer);
      start(hopId);
    }, RETRY_MS);
    timers.add(timer);
  };

  return {
    start,
    cancel: (hopId) => {
      const reason = new PhtError('cancelled', 'the researcher cancelled the train');
      const running = active.get(hopId);
      if (running !== undefined) return running.controller.abort(reason);
      const hop = ports.hops.find(hopId);
      if (hop === null || isSealed(hop.state)) return;
      void ports.steps.close(hop, reason).then(ports.sealed, (thrown: unknown) => {
        station.note('a cancellation could not be recorded', { hopId, error: asPhtError(thrown) });
      });
    },
    stop: async () => {
      stopping = true;
      for (const timer of timers) clearTimeout(timer);
      for (const { controller } of active.values()) controller.abort(new Error('the station is stopping'));
      await Promise.all([...active.values()].map(({ done }) => done));
    },
  };
}

/** At most `max` at once, first come first served. */
function createTurns(max: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = max;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free++;
      else next();
    }
  };
}
