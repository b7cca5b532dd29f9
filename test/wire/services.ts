import { setTimeout as sleep } from 'node:timers/promises';
import type { TrackService } from '../../src/gen/pht/v1/tracks_pb.ts';
import { PhtError } from '../../src/model/error.ts';
import type { CallContext, Service } from '../../src/ports/wire.ts';

/** A track whose station is served by a test: every call says who made it; wake ticks until nobody listens. */
export function trackOf(options: {
  onCall?: (name: string, caller: string | undefined) => void;
  onEnd?: (name: string, reason: unknown) => void;
  tickMs?: number;
}): Service<typeof TrackService> {
  const called = (name: string, { caller }: CallContext) => options.onCall?.(name, caller?.id);
  return {
    announce: async (_request, context) => {
      called('announce', context);
      return {};
    },
    wake: async function* (_request, context) {
      called('wake', context);
      try {
        for (let sequence = 0n; ; sequence++) {
          yield { sequence };
          await sleep(options.tickMs ?? 20, undefined, { signal: context.signal });
        }
      } finally {
        options.onEnd?.('wake', context.signal.reason);
      }
    },
    pull: async (_request, context) => {
      called('pull', context);
      return { orders: [] };
    },
    lease: async (request, context) => {
      called('lease', context);
      return { ttlMs: request.ttlMs };
    },
    reply: async () => ({}),
    /** Works for as long as the key says, or until it is told to stop. */
    report: async (request, context) => {
      called('report', context);
      const workMs = Number(request.idempotencyKey);
      if (Number.isNaN(workMs))
        throw new PhtError('stale.epoch', 'the lease went to another epoch', { hint: 'stop' });
      try {
        await sleep(workMs, undefined, { signal: context.signal });
      } catch (thrown) {
        options.onEnd?.('report', context.signal.reason);
        throw thrown;
      }
      return {};
    },
  };
}
