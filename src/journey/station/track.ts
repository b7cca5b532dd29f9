import type { TrackService } from '../../gen/pht/v1/tracks_pb.ts';
import { PhtError } from '../../model/error.ts';
import { isSealed, progressOf } from '../../model/hop.ts';
import type { Datasets } from '../../ports/datasets.ts';
import type { HopStore } from '../../ports/station-store.ts';
import type { Client } from '../../ports/wire.ts';
import type { WitnessStore } from '../../ports/witness.ts';
import { createBell } from './bell.ts';
import type { NetworkFollower } from './follow-network.ts';
import { acceptOrder, cancelledHops } from './intake.ts';
import type { Rejects } from './rejects.ts';
import type { Replies } from './reply.ts';
import type { Station } from './stages.ts';
import type { Visits } from './visits.ts';

const PULL_ORDERS_MAX = 16;
const CALL_DEADLINE_MS = 15_000;

export type TrackPorts = {
  track: Client<typeof TrackService>;
  hops: HopStore;
  datasets: Datasets;
  visits: Visits;
  rejects: Rejects;
  network: NetworkFollower;
  /** To what researchers ask before they submit. */
  replies: Replies;
  witness: Pick<WitnessStore, 'noteHead' | 'unresolved'>;
  software: string;
  /** Waits with exponential backoff and jitter; the n-th failure in a row. */
  pause(failures: number, signal: AbortSignal): Promise<void>;
};

export type TrackTold = {
  /** Aborts once there is a newer connection to go on over. */
  connection(): AbortSignal;
  opened(): void;
  closed(): void;
  failed(thrown: unknown): void;
  /** Something may have to be sent. */
  post(): void;
};

/**
 * One track after the other to the dispatcher. The station dials; a wake-up carries nothing, so losing one loses nothing;
 * the state is announced anew on every connection.
 */
export async function keepTrack(
  station: Station,
  ports: TrackPorts,
  told: TrackTold,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const replaced = told.connection();
    try {
      ports.network.want();
      await announce(station, ports, signal);
      told.opened();
      failures = 0;
      told.post();
      await followWakes(station, ports, told.post, signal, replaced);
      if (replaced.aborted) continue;
    } catch (thrown) {
      if (signal.aborted) return;
      told.failed(thrown);
    }
    told.closed();
    await ports.pause(failures++, signal);
  }
}

/** Wake-ups that come while orders are being pulled are one: whoever pulls takes all there is. */
async function followWakes(
  station: Station,
  ports: TrackPorts,
  post: () => void,
  signal: AbortSignal,
  replaced: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const wakes = createBell();
  let open = true;
  replaced.addEventListener('abort', wakes.ring, { once: true });
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
      await pull(station, ports, post, either);
      if (replaced.aborted) return;
      await wakes.wait(either);
    }
  } finally {
    replaced.removeEventListener('abort', wakes.ring);
    over.abort(new PhtError('cancelled', 'the track is over'));
    await listened;
  }
  const broken = await listened;
  if (broken !== undefined) throw broken.thrown;
}

async function announce(station: Station, ports: TrackPorts, signal: AbortSignal): Promise<void> {
  const descriptions = await ports.datasets.list();
  const { version, freshness } = station.network();
  const theirs = await ports.track.announce(
    {
      software: ports.software,
      datasetDescriptions: descriptions.map((description) => Buffer.from(JSON.stringify(description))),
      hops: ports.hops.open().map((hop) => ({
        hopId: hop.hopId,
        progress: isSealed(hop.state) ? 'sealed' : progressOf(hop.state),
        epoch: BigInt(hop.epoch),
      })),
      networkVersion: version,
      freshnessIssuedAtMs: BigInt(freshness.issuedAtMs),
    },
    { deadlineMs: CALL_DEADLINE_MS, signal },
  );
  ports.network.heard(theirs);
}

async function pull(
  station: Station,
  ports: TrackPorts,
  nudge: () => void,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const answer = await ports.track.pull(
      { ordersMax: PULL_ORDERS_MAX },
      { deadlineMs: CALL_DEADLINE_MS, signal },
    );
    ports.network.heard(answer);
    let news = 0;
    for (const pulled of answer.orders.slice(0, PULL_ORDERS_MAX)) {
      const taken = acceptOrder(pulled, station, {
        ...ports,
        theirVersion: answer.networkVersion,
        behind: () => ports.network.behind(true),
      });
      if (taken === null) continue;
      if (taken.isNew) news++;
      ports.visits.start(taken.hopId);
    }
    for (const cancellation of answer.cancellations.slice(0, PULL_ORDERS_MAX)) {
      const reason = new PhtError('cancelled', 'the researcher cancelled the train');
      for (const hopId of cancelledHops(cancellation, station, ports.hops))
        ports.visits.cancel(hopId, reason);
    }
    ports.replies.take(answer.inquiries.slice(0, PULL_ORDERS_MAX), signal);
    nudge();
    // A dispatcher that offers the same, or nothing sound, over and over is asked again only at its next wake-up.
    if (answer.orders.length < PULL_ORDERS_MAX || news === 0) return;
  }
}
