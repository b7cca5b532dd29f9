import { PhtError } from '../model/error.ts';
import type { Executor } from '../ports/executor.ts';

/**
 * An inquiry may come before what a crash left in the engine is gone; a probe that is started then would be swept away
 * with it, and the engine taken for unsafe.
 */
export function probedAfterSweep(executor: Executor): Executor {
  let swept = false;
  return {
    ...executor,
    sweep: async (hop) => {
      const left = await executor.sweep(hop);
      swept ||= hop === undefined;
      return left;
    },
    probe: async () => {
      if (swept) return executor.probe();
      throw new PhtError('engine.unreachable', 'what an earlier run left in the engine is being removed');
    },
  };
}
