import type { LedgerService } from '../../gen/pht/v1/ledger_pb.ts';
import type { TrackService } from '../../gen/pht/v1/tracks_pb.ts';
import { asPhtError, type ErrorCode, PhtError } from '../../model/error.ts';
import { isSealed, progressOf } from '../../model/hop.ts';
import type { Datasets } from '../../ports/datasets.ts';
import type { EngineReport, Executor } from '../../ports/executor.ts';
import type { Ledger, LedgerRows } from '../../ports/ledger.ts';
import type { HopStore, Outbox, StationLog } from '../../ports/station-store.ts';
import type { Client } from '../../ports/wire.ts';
import type { WitnessStore } from '../../ports/witness.ts';
import type { Witnessing } from '../../ports/witnessing.ts';
import { createBell } from './bell.ts';
import { deliver } from './deliver.ts';
import { acceptOrder, cancelledHops } from './intake.ts';
import { keepPublished, keepWitnessing } from './publish.ts';
import { createRejects, type Rejects } from './rejects.ts';
import type { Station } from './stages.ts';
import type { Visits } from './visits.ts';

const PULL_ORDERS_MAX = 16;
const TICK_MS = 15_000;
const CALL_DEADLINE_MS = 15_000;

const NO_TRACK = 'no track to the dispatcher';
const NOT_TAKEN = 'the dispatcher does not take messages';

export type AgentPorts = {
  track: Client<typeof TrackService>;
  ledgerClient: Client<typeof LedgerService>;
  /** Cosigns what other members show of their ledgers, for as long as one connection lasts. */
  listenAsWitness(signal: AbortSignal): Promise<void>;
  witness: Pick<WitnessStore, 'noteHead' | 'unresolved'>;
  witnessing: Witnessing;
  hops: HopStore;
  outbox: Outbox;
  log: StationLog;
  ledger: Ledger;
  ledgerRows: LedgerRows;
  datasets: Datasets;
  executor: Executor;
  visits: Visits;
  software: string;
  /** Waits with exponential backoff and jitter; the n-th failure in a row. */
  pause(failures: number, signal: AbortSignal): Promise<void>;
};

export type Agent = {
  run(signal: AbortSignal): Promise<void>;
  /** Something may have to be sent. */
  nudge(): void;
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
  const rejects = createRejects(station, ports.log);
  const told = new Map<string, ErrorCode>();

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
    for (const hop of ports.hops.list('open')) if (!isSealed(hop.state)) ports.visits.start(hop.hopId);
  };

  /** Wake-ups that come while orders are being pulled are one: whoever pulls takes all there is. */
  const followWakes = async (signal: AbortSignal): Promise<void> => {
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const wakes = createBell();
    let open = true;
    const listening = (async () => {
      for await (const _ of ports.track.wake({}, { signal: either })) wakes.ring();
    })().finally(() => {
      open = false;
      wakes.ring();
    });
    // What broke the track is thrown at the end; until then a pull may still be under way.
    const listened = listening.then(
      () => undefined,
      (thrown: unknown) => ({ thrown }),
    );
    try {
      while (open) {
        await pull(station, { ...ports, rejects }, post.ring, either);
        await wakes.wait(either);
      }
    } finally {
      over.abort(new PhtError('cancelled', 'the track is over'));
      await listened;
    }
    const broken = await listened;
    if (broken !== undefined) throw broken.thrown;
  };

  const keepTrack = async (signal: AbortSignal): Promise<void> => {
    let failures = 0;
    while (!signal.aborted) {
      try {
        await announce(station, ports, signal);
        connected = true;
        failures = 0;
        told.delete(NO_TRACK);
        post.ring();
        await followWakes(signal);
      } catch (thrown) {
        if (signal.aborted) return;
        complain(NO_TRACK, thrown);
      }
      connected = false;
      await ports.pause(failures++, signal);
    }
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

  return {
    run: async (signal) => {
      lookAgain();
      const tick = setInterval(lookAgain, TICK_MS);
      try {
        await Promise.all([
          recover(signal),
          keepTrack(signal),
          keepPosting(signal),
          keepPublished(station, { ...ports, troubled }, publish, signal),
          keepWitnessing(station, ports, signal),
        ]);
      } finally {
        clearInterval(tick);
        await ports.visits.stop();
      }
    },
    nudge: post.ring,
    connected: () => connected,
    ledgerProblem: () => ledgerProblem,
  };
}

async function announce(station: Station, ports: AgentPorts, signal: AbortSignal): Promise<void> {
  const descriptions = await ports.datasets.list();
  await ports.track.announce(
    {
      software: ports.software,
      datasetDescriptions: descriptions.map((description) => Buffer.from(JSON.stringify(description))),
      hops: ports.hops.list('open').map((hop) => ({
        hopId: hop.hopId,
        progress: isSealed(hop.state) ? 'sealed' : progressOf(hop.state),
        epoch: BigInt(hop.epoch),
      })),
      networkVersion: station.network().version,
    },
    { deadlineMs: CALL_DEADLINE_MS, signal },
  );
}

async function pull(
  station: Station,
  ports: AgentPorts & { rejects: Rejects },
  nudge: () => void,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const answer = await ports.track.pull(
      { ordersMax: PULL_ORDERS_MAX },
      { deadlineMs: CALL_DEADLINE_MS, signal },
    );
    let news = 0;
    for (const pulled of answer.orders.slice(0, PULL_ORDERS_MAX)) {
      const taken = acceptOrder(pulled, station, ports);
      if (taken === null) continue;
      if (taken.isNew) news++;
      ports.visits.start(taken.hopId);
    }
    for (const cancellation of answer.cancellations.slice(0, PULL_ORDERS_MAX)) {
      for (const hopId of cancelledHops(cancellation, station, ports.hops)) ports.visits.cancel(hopId);
    }
    nudge();
    // A dispatcher that offers the same, or nothing sound, over and over is asked again only at its next wake-up.
    if (answer.orders.length < PULL_ORDERS_MAX || news === 0) return;
  }
}
