import { asPhtError, type PhtError } from '../../model/error.ts';
import { isSealed } from '../../model/hop.ts';
import type { HopStore, Outbox } from '../../ports/station-store.ts';
import { type Ended, type Steps, visit } from './hop.ts';
import type { Station } from './stages.ts';
import { createTurns } from './turns.ts';
import { waitOf } from './waits.ts';

const RETRY_MS = 5_000;

export type Visits = {
  /** Starts the visit of a hop, or lets one that waits look again. */
  start(hopId: string): void;
  /** Lets trains run; until then visits look and decide only. */
  open(): void;
  /** What a hop waits for that may pass by itself; empty when it does not. */
  waitsFor(hopId: string): string;
  /** Ends a hop with a receipt for this reason, wherever it stands. */
  cancel(hopId: string, reason: PhtError): void;
  /** Ends every visit where it stands; after a restart each goes on from its last durable state. */
  stop(): Promise<void>;
};

type Active = { controller: AbortController; done: Promise<void>; again: boolean };

/**
 * The visits under way, at most one per hop. Looking and deciding is cheap and never waits; only so many trains run at
 * once, in order of their clearance.
 */
export function createVisits(
  station: Station,
  ports: { hops: HopStore; steps: Steps; outbox: Pick<Outbox, 'tell'>; runsAtOnceMax: number },
): Visits {
  const active = new Map<string, Active>();
  const timers = new Map<string, NodeJS.Timeout>();
  const problems = new Map<string, string>();
  const { whenFree, open } = createTurns(ports.runsAtOnceMax);
  let stopping = false;

  const start = (hopId: string): void => {
    const running = active.get(hopId);
    if (running !== undefined) running.again = true;
    else if (!stopping) begin(hopId, new AbortController());
  };

  const begin = (hopId: string, controller: AbortController): void => {
    clearTimeout(timers.get(hopId));
    timers.delete(hopId);
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
    if (ended.is !== 'sealed') tellDispatcher(hopId, ended);
    if (ended.is !== 'later') {
      problems.delete(hopId);
      return;
    }
    // Tried again every few seconds, perhaps for a weekend: told once.
    if (ended.error !== undefined && problems.get(hopId) !== ended.problem)
      station.note(`a hop waits: ${ended.error.code}`, { hopId, error: ended.error });
    const hop = ports.hops.find(hopId);
    if (hop === null || isSealed(hop.state)) return void problems.delete(hopId);
    problems.set(hopId, ended.problem);
    later(hopId);
  };

  const tellDispatcher = (hopId: string, ended: Ended): void => {
    const hop = ports.hops.find(hopId);
    if (hop === null || isSealed(hop.state)) return;
    const code = ended.is === 'later' ? ended.error?.code : undefined;
    ports.outbox.tell(hopId, waitOf(hop, code), station.clock.nowMs());
  };

  const later = (hopId: string): void => {
    // One timer a hop: whatever else starts a visit meanwhile must not add a second chain of them.
    if (stopping || timers.has(hopId)) return;
    timers.set(
      hopId,
      setTimeout(() => start(hopId), RETRY_MS),
    );
  };

  return {
    start,
    open,
    waitsFor: (hopId) => problems.get(hopId) ?? '',
    cancel: (hopId, reason) => {
      const running = active.get(hopId);
      if (running !== undefined) return running.controller.abort(reason);
      if (stopping) return;
      const controller = new AbortController();
      controller.abort(reason);
      begin(hopId, controller);
    },
    stop: async () => {
      stopping = true;
      for (const timer of timers.values()) clearTimeout(timer);
      for (const { controller } of active.values()) controller.abort(new Error('the station is stopping'));
      await Promise.all([...active.values()].map(({ done }) => done));
    },
  };
}
