import type { LedgerService } from '../../gen/pht/v1/ledger_pb.ts';
import { asPhtError, type ErrorCode, PhtError } from '../../model/error.ts';
import { isSealed } from '../../model/hop.ts';
import type { EngineReport, Executor } from '../../ports/executor.ts';
import type { Ledger, LedgerRows } from '../../ports/ledger.ts';
import type { Outbox, StationLog } from '../../ports/station-store.ts';
import type { Client } from '../../ports/wire.ts';
import type { Witnessing } from '../../ports/witnessing.ts';
import { createBell } from './bell.ts';
import { deliver } from './deliver.ts';
import { keepPublished, keepWitnessing } from './publish.ts';
import type { Station } from './stages.ts';
import { keepTrack, type TrackPorts, type TrackTold } from './track.ts';

const TICK_MS = 15_000;

/** Noted with the `code` of why, whenever that changes. */
export const NO_TRACK = 'no track to the dispatcher';
const NOT_TAKEN = 'the dispatcher does not take messages';

export type AgentPorts = TrackPorts & {
  ledgerClient: Client<typeof LedgerService>;
  /** Cosigns what other members show of their ledgers, for as long as one connection lasts. */
  listenAsWitness(signal: AbortSignal): Promise<void>;
  witnessing: Witnessing;
  outbox: Outbox;
  log: StationLog;
  ledger: Ledger;
  ledgerRows: LedgerRows;
  executor: Executor;
};

export type Agent = {
  run(signal: AbortSignal): Promise<void>;
  /** Something may have to be sent. */
  nudge(): void;
  /** Goes on over the connections of now, once what is under way has ended. */
  reconnect(): void;
  connected(): boolean;
  /** Why the ledger is not signed or published, in words; empty when it is. */
  ledgerProblem(): string;
};

/**
 * A station's life: recover what a crash left, then keep one track to the dispatcher. The station dials; a wake-up
 * carries nothing, so losing one loses nothing; the state is announced anew on every connection.
 */
export function createAgent(station: Station, ports: AgentPorts): Agent {
  let connected = false;
  let ledgerProblem = '';
  const post = createBell();
  const publish = createBell();
  let seenVersion = station.network().version;
  const told = new Map<string, ErrorCode>();
  let connection = new AbortController();

  const troubled = (problem: string): void => {
    ledgerProblem = problem;
  };

  /** A trouble that lasts a weekend is one line, not one for each attempt; anything else in its place is another. */
  const complain = (text: string, thrown: unknown): void => {
    const { code } = asPhtError(thrown);
    if (told.get(text) !== code) station.note(text, { code });
    told.set(text, code);
  };

  /** What a crash left in the engine goes before anything new is started there, however long the engine takes. */
  const recover = async (signal: AbortSignal): Promise<void> => {
    let swept = false;
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        // Once only: from then on there are runs of this process, which a sweep would end.
        const left = swept ? 0 : await ports.executor.sweep();
        swept = true;
        if (left > 0) station.note('removed what an earlier run had left', { left });
        ports.visits.open();
        // Proving the sandbox takes a second: done before the first train needs it.
        return noteProofs(await ports.executor.probe());
      } catch (thrown) {
        complain('the container engine does not answer', thrown);
        await ports.pause(failures, signal);
      }
    }
  };

  const noteProofs = ({ failures, risks }: EngineReport): void => {
    for (const { name, text } of failures) station.note(`the sandbox is not proved: ${text}`, { name });
    for (const { id, text } of risks) {
      const accepted = station.acceptEngineRisks.includes(id);
      station.note(`${accepted ? 'accepted risk' : 'no train runs'}: ${text}`, { id });
    }
  };

  const lookAgain = (): void => {
    // Other witnesses may have to cosign what was published for those before.
    if (station.network().version !== seenVersion) publish.ring();
    seenVersion = station.network().version;
    for (const hop of ports.hops.open()) if (!isSealed(hop.state)) ports.visits.start(hop.hopId);
  };

  const keepPosting = async (signal: AbortSignal): Promise<void> => {
    let failures = 0;
    while (!signal.aborted) {
      try {
        await deliver(ports.track, station, ports, signal);
        publish.ring();
        failures = 0;
        told.delete(NOT_TAKEN);
        await post.wait(signal);
      } catch (thrown) {
        if (signal.aborted) return;
        complain(NOT_TAKEN, thrown);
        await ports.pause(failures++, signal);
      }
    }
  };

  const trackTold: TrackTold = {
    connection: () => connection.signal,
    opened: () => {
      connected = true;
      told.delete(NO_TRACK);
    },
    closed: () => {
      connected = false;
    },
    failed: (thrown) => complain(NO_TRACK, thrown),
    post: post.ring,
  };

  /** On one connection after the other. */
  const listenAsWitness: AgentPorts['listenAsWitness'] = async (signal) => {
    while (!signal.aborted) {
      const replaced = connection.signal;
      try {
        return await ports.listenAsWitness(AbortSignal.any([signal, replaced]));
      } catch (thrown) {
        if (!replaced.aborted) throw thrown;
      }
    }
  };

  return {
    run: async (signal) => {
      lookAgain();
      const tick = setInterval(lookAgain, TICK_MS);
      try {
        await Promise.all([
          recover(signal),
          keepTrack(station, ports, trackTold, signal),
          keepPosting(signal),
          keepPublished(station, { ...ports, troubled }, publish, signal),
          keepWitnessing(station, { ...ports, listenAsWitness }, signal),
          ports.network.keep(signal),
        ]);
      } finally {
        clearInterval(tick);
        await ports.visits.stop();
        await ports.replies.settle();
      }
    },
    nudge: post.ring,
    reconnect: () => {
      const before = connection;
      connection = new AbortController();
      before.abort(new PhtError('cancelled', 'there is a newer connection'));
    },
    connected: () => connected,
    ledgerProblem: () => ledgerProblem,
  };
}
