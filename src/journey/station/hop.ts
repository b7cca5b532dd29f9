import { asPhtError, PhtError } from '../../model/error.ts';
import { type HopState, hopEntryHead, isSealed } from '../../model/hop.ts';
import type { HopRecord, HopStore } from '../../ports/station-store.ts';
import { isPassing, isPassingWhileHeld, withdrawal } from './close.ts';
import type { Cleared, Collected, Decided, Inspected, Loaded, Screened, Station } from './stages.ts';
import type { Turn } from './turns.ts';

/** The steps of a hop. Each is a stranger to the others; they meet only here. */
export type Steps = {
  inspect(hop: HopRecord): Promise<Inspected>;
  decide(inspected: Inspected): Promise<Decided>;
  clear(decided: Decided): Promise<Cleared | null>;
  load(cleared: Cleared, signal: AbortSignal): Promise<Loaded>;
  run(loaded: Loaded, signal: AbortSignal): Promise<Collected>;
  screen(collected: Collected): Promise<Screened>;
  seal(screened: Screened): Promise<HopRecord>;
  release(held: HopRecord, signal: AbortSignal): Promise<HopRecord>;
  close(hop: HopRecord, thrown: unknown): Promise<HopRecord>;
};

/** `waiting`: for a person. `later`: for something that may pass, as `problem` says and `error` tells whoever runs the station. */
export type Ended =
  | { is: 'sealed'; hop: HopRecord }
  | { is: 'waiting' }
  | { is: 'later'; problem: string; error?: PhtError };

/**
 * One visit of one train, as the protocol tells it (DESIGN, section 5):
 *
 *   inspect → decide → clear → load → run → screen → seal (→ release, once the witnesses have seen it)
 *
 * Every step may be run again after a crash, so recovery is this same function from the top; what was decided and
 * cleared before still holds when nothing about the case has changed. Whatever is thrown ends in one receipt, unless
 * its cause may pass before the deadline.
 */
export async function visit(
  hopId: string,
  steps: Steps,
  ports: { hops: HopStore; station: Station; whenFree: Turn },
  signal: AbortSignal,
): Promise<Ended> {
  const { hops, station } = ports;
  const start = backToSafety(hopId, hops, station);
  if (start === null || isSealed(start.state)) return { is: 'later', problem: 'nothing to do' };
  try {
    signal.throwIfAborted();
    if (start.held !== null) return { is: 'sealed', hop: await steps.release(start, signal) };
    const inspected = await steps.inspect(start);
    const decided = await steps.decide(inspected);
    signal.throwIfAborted();
    const cleared = await steps.clear(decided);
    signal.throwIfAborted();
    if (cleared === null) return { is: 'waiting' };
    const hop = await ports.whenFree(signal, async () => {
      const loaded = await steps.load(cleared, signal);
      const collected = await steps.run(loaded, signal);
      const screened = await steps.screen(collected);
      return steps.seal(screened);
    });
    return { is: 'sealed', hop: hop.held === null ? hop : await steps.release(hop, signal) };
  } catch (thrown) {
    // A stop of the process ends nothing: the next start goes on from what is on disk.
    if (signal.aborted && !(signal.reason instanceof PhtError)) throw thrown;
    return end(hopId, signal.aborted ? signal.reason : thrown, steps, ports);
  }
}

async function end(
  hopId: string,
  thrown: unknown,
  steps: Steps,
  { hops, station }: { hops: HopStore; station: Station },
): Promise<Ended> {
  const error = asPhtError(thrown);
  const hop = hops.find(hopId);
  if (hop === null || isSealed(hop.state)) throw error;
  const passing = hop.held === null ? isPassing(error.code) : isPassingWhileHeld(error.code);
  if (!passing) {
    station.note(`a hop ends: ${error.code}`, { hopId, error });
    return { is: 'sealed', hop: await steps.close(hop, error) };
  }
  if (hop.held !== null && error.code === 'clearance.invalid') {
    // What was held is of a case that is open again.
    hops.move(hop, 'cleared', { nowMs: station.clock.nowMs(), entries: withdrawal(hop, error.code) });
    return { is: 'later', problem: error.message, error };
  }
  const untilMs = hop.held === null ? hop.notes.deadlineAtMs : hop.notes.heldUntilMs;
  if (untilMs === undefined || station.clock.nowMs() < untilMs) {
    return { is: 'later', problem: error.message, error };
  }
  if (hop.held !== null) {
    const text =
      error.code === 'witness.unreachable'
        ? 'the witnesses of the ledger could not be reached before the order expired'
        : `the release could not be shown to the witnesses before the order expired (${error.code})`;
    const withheld = new PhtError('witness.unreachable', text, { cause: error });
    return { is: 'sealed', hop: await steps.close(hop, withheld) };
  }
  // Its words can name hosts of the station's own, and this goes to the researcher: the code says enough.
  const text = `the order's deadline passed; until then the station could not go on (${error.code})`;
  const expired = new PhtError('deadline.passed', text, { cause: error });
  return { is: 'sealed', hop: await steps.close(hop, expired) };
}

/** Output lives in memory only, so what a crash interrupted after the clearance runs again from there. */
const INTERRUPTED: ReadonlySet<HopState> = new Set(['loaded', 'running', 'collected', 'screened']);

function backToSafety(hopId: string, hops: HopStore, station: Station): HopRecord | null {
  const hop = hops.find(hopId);
  if (hop === null || !INTERRUPTED.has(hop.state)) return hop;
  const nowMs = station.clock.nowMs();
  // Only a run that has started and has no end on record gets one.
  if (hop.state !== 'running') return hops.move(hop, 'cleared', { nowMs, entries: [] });
  const body = { commitment: station.commitments.commit(JSON.stringify({ ended: 'interrupted' })) };
  return hops.move(hop, 'cleared', {
    nowMs,
    entries: [{ type: 'run.ended', ...hopEntryHead(hop), body }],
  });
}
