import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDepot } from '../adapters/depot/files.ts';
import { createOpener } from '../adapters/envelope/jwe.ts';
import { readVisitorConfig } from '../adapters/home/config.ts';
import { createHeardJourneys } from '../adapters/home/heard.ts';
import { lockHome } from '../adapters/home/lock.ts';
import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import { createArrivals, createPackedTrains } from '../adapters/home/trains.ts';
import { retrying } from '../adapters/wire/backoff.ts';
import { uploadBlob } from '../adapters/wire/transfer.ts';
import { DepotService } from '../gen/pht/v1/depot_pb.ts';
import { JourneyService } from '../gen/pht/v1/journeys_pb.ts';
import type { ArrivePorts } from '../journey/researcher/arrive.ts';
import type { JourneyClient } from '../journey/researcher/journeys.ts';
import type { Researcher, Retry } from '../journey/researcher/researcher.ts';
import type { SubmitPorts } from '../journey/researcher/submit.ts';
import { PhtError } from '../model/error.ts';
import { type TrainId, TrainIdText } from '../model/id.ts';
import type { Role } from '../model/network.ts';
import { check } from '../model/schema.ts';
import type { Depot } from '../ports/depot.ts';
import type { Arrivals, HeardJourneys, PackedTrains } from '../ports/researcher-trains.ts';
import { dialDispatcher } from './dial.ts';
import { type FetchFrame, fetchNetwork, isFetchDue } from './fetch-network.ts';
import type { Frame } from './frame.ts';

/** What `submit` and `result` share; `timeout` in milliseconds. */
export type SubmitFlags = { wait?: true; combine: boolean; timeout?: number };

/** A researcher's parts, put together. Nothing is dialled before it is needed, and what was dialled is closed. */
export type Traveller = {
  readonly home: Home;
  readonly researcher: Researcher;
  readonly trains: PackedTrains;
  readonly arrivals: Arrivals;
  readonly heard: HeardJourneys;
  readonly depot: Depot;
  readonly retry: Retry;
  readonly signal: AbortSignal;
  client(): Promise<JourneyClient>;
  /** Over a connection that is made anew, with what configuration and network file say now. */
  clientAgain(): Promise<JourneyClient>;
  submitPorts(): Promise<SubmitPorts>;
  arrivePorts(): ArrivePorts;
};

/** @param options `timeoutMs` bounds the whole of `body` */
export async function travel<T>(
  frame: Frame,
  options: { roles?: readonly Role[]; timeoutMs?: number | undefined },
  body: (traveller: Traveller) => Promise<T>,
): Promise<T> {
  const home = frame.openHome(options.roles ?? ['researcher']);
  const bell = new AbortController();
  const timer =
    options.timeoutMs === undefined
      ? undefined
      : setTimeout(
          () => bell.abort(new PhtError('timed-out', 'the time given with --timeout is over')),
          options.timeoutMs,
        );
  let dialled: Dialled | undefined;
  const dial = (): Dialled => {
    dialled ??= dialNow(home, frame);
    return dialled;
  };
  const hangUp = async (): Promise<void> => {
    const old = dialled;
    dialled = undefined;
    // Dialling that failed has been thrown already.
    if (old !== undefined) await old.then(({ channel }) => channel.close()).catch(() => undefined);
  };
  try {
    return await body(compose(frame, home, { dial, hangUp }, AbortSignal.any([frame.signal, bell.signal])));
  } catch (thrown) {
    // Whatever was stopped says so in its own words; why is what a person must know.
    bell.signal.throwIfAborted();
    throw thrown;
  } finally {
    clearTimeout(timer);
    await hangUp();
  }
}

type Dialled = ReturnType<typeof dialDispatcher>;

const fetching = ({ signal, nowMs, output }: Frame): FetchFrame => ({
  signal,
  nowMs,
  tell: (line) => output.progress(line),
});

/** With a network file that is not older than a day, where there is a newer one. */
async function dialNow(home: Home, frame: Frame): Dialled {
  const dialled = await dialDispatcher(home, readVisitorConfig(home.dir));
  const { channel } = dialled;
  if (!isFetchDue(home, currentNetwork(home), frame.nowMs())) return dialled;
  try {
    if (await fetchNetwork(home, channel, fetching(frame))) channel.renew();
    return dialled;
  } catch (thrown) {
    channel.close();
    throw thrown;
  }
}
type Line = { dial(): Dialled; hangUp(): Promise<void> };

function compose(frame: Frame, home: Home, { dial, hangUp }: Line, signal: AbortSignal): Traveller {
  const trains = createPackedTrains(home.dir);
  const arrivals = createArrivals(home.dir);
  let opened: Depot | undefined;
  // Made when it is needed: what only asks works in a home that cannot be written, too.
  const depotOf = (): Depot => {
    opened ??= createDepot(join(home.dir, 'depot'));
    return opened;
  };
  const client = async (): Promise<JourneyClient> => (await dial()).channel.client(JourneyService);
  return {
    home,
    trains,
    arrivals,
    heard: createHeardJourneys(home.dir),
    get depot() {
      return depotOf();
    },
    signal,
    retry: retrying,
    client,
    clientAgain: async () => {
      await hangUp();
      return client();
    },
    researcher: {
      id: home.member.id,
      network: () => currentNetwork(home),
      clock: { nowMs: () => frame.nowMs() },
      tell: (line) => frame.output.progress(line),
    },
    submitPorts: async () => {
      const depot = depotOf();
      const { channel, dispatcher } = await dial();
      const blobs = channel.client(DepotService);
      const upload: SubmitPorts['upload'] = ({ trainId, digest, bytes }, stop) =>
        uploadBlob(blobs, trainId, digest, bytes, depot, { signal: stop });
      const journeys = channel.client(JourneyService);
      const renew = async (): Promise<void> => {
        if (await fetchNetwork(home, channel, fetching(frame))) channel.renew();
      };
      const ports = { client: journeys, dispatcher: dispatcher.id, trains, depot, retry: retrying, upload };
      return { ...ports, fetchNetwork: renew };
    },
    arrivePorts: () => ({
      client: async () => {
        // Receipts may name a version that was issued since this home last asked.
        const { channel } = await dial();
        if (await fetchNetwork(home, channel, fetching(frame))) channel.renew();
        return client();
      },
      trains,
      arrivals,
      retry: retrying,
      openerOf: createOpener,
    }),
  };
}

/** @throws PhtError `usage.invalid` */
export function parseTrainId(text: string): TrainId {
  return check(TrainIdText, text, 'the train id', 'usage.invalid');
}

const LOCK_WAIT_MS = 250;

/**
 * Depot, spool and sandbox of a home belong to one process at a time; another one waits. What a killed process left
 * behind in clear is removed before anything else.
 */
export async function alone<T>(
  traveller: Traveller,
  body: (place: { spoolDir: string; dir: string }) => Promise<T>,
): Promise<T> {
  const dir = join(traveller.home.dir, 'sandbox');
  const spoolDir = join(dir, 'spool');
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const release = await lock(dir, traveller);
  try {
    rmSync(spoolDir, { recursive: true, force: true });
    return await body({ spoolDir, dir });
  } finally {
    release();
  }
}

async function lock(dir: string, { researcher, signal }: Traveller): Promise<() => void> {
  for (let tries = 0; ; tries++) {
    signal.throwIfAborted();
    try {
      return lockHome(dir);
    } catch (thrown) {
      if (!(thrown instanceof PhtError) || thrown.code !== 'home.locked') throw thrown;
      if (tries === 0) researcher.tell('another pht of this home is packing or combining; waiting for it');
    }
    // The loop's first line throws the reason of an abort.
    await sleep(LOCK_WAIT_MS, undefined, { signal }).catch(() => undefined);
  }
}
