import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createDepot } from '../adapters/depot/files.ts';
import { type DispatcherConfig, readDispatcherConfig } from '../adapters/home/config.ts';
import { lockHome } from '../adapters/home/lock.ts';
import type { Home } from '../adapters/home/member.ts';
import { createNetworkCopy, lastGoodNetwork } from '../adapters/home/network-copy.ts';
import { createMirrorFiles, readTile } from '../adapters/ledger/mirror-files.ts';
import { openDispatcherStore } from '../adapters/store/dispatcher-store.ts';
import { type Bound, bind } from '../adapters/wire/bind.ts';
import { serve, type WireLog } from '../adapters/wire/server.ts';
import { DepotService } from '../gen/pht/v1/depot_pb.ts';
import { JourneyService } from '../gen/pht/v1/journeys_pb.ts';
import { LedgerService } from '../gen/pht/v1/ledger_pb.ts';
import { NetworkService } from '../gen/pht/v1/network_pb.ts';
import { TrackService } from '../gen/pht/v1/tracks_pb.ts';
import { WitnessService } from '../gen/pht/v1/witness_pb.ts';
import { QUOTAS } from '../journey/dispatcher/desk.ts';
import { type Dispatcher, openDispatcher } from '../journey/dispatcher/service.ts';
import { PhtError } from '../model/error.ts';
import { ROLES } from '../model/network.ts';
import type { Depot } from '../ports/depot.ts';
import { tlsOf } from './dial.ts';
import { composeDispatcherLedger } from './dispatcher-ledger.ts';
import { serveLogFiles } from './dispatcher-logs.ts';
import type { Frame } from './frame.ts';
import { listedSigner } from './listed-signer.ts';
import { createLog } from './log.ts';

const SWEEP_MS = 15_000;
/** `pht network import` may have changed the file as another process. */
const NETWORK_MS = 500;

/** `pht dispatcher serve` */
export async function serveDispatcher(frame: Frame): Promise<void> {
  const home = frame.openHome(['dispatcher']);
  const unlock = lockHome(home.dir);
  try {
    const config = readDispatcherConfig(home.dir);
    const { signal } = frame;
    const running = await compose(home, config);
    try {
      const { address, logsAddress } = running;
      const ready = { ready: true, dispatcher: home.member.id, listening: address };
      if (logsAddress === null) frame.output.event(ready, `listening on ${address}`);
      else
        frame.output.event(
          { ...ready, logs: logsAddress },
          `listening on ${address}, ledgers over HTTP on ${logsAddress}`,
        );
      await aborted(signal);
    } finally {
      await running.close();
    }
  } finally {
    unlock();
  }
}

type Running = { address: string; logsAddress: string | null; close(): Promise<void> };

/** The one place where a dispatcher's parts are put together. */
async function compose(home: Home, config: DispatcherConfig): Promise<Running> {
  const { id } = home.member;
  const log = createLog(id);
  const note = (text: string, details: object): void => log.warn(details, text);
  const network = lastGoodNetwork(home, (err) => log.error({ err }, 'the network file is not good any more'));
  const tls = () => tlsOf(home, network());
  const signer = await listedSigner(home, 'statement', network);
  const closing = new AbortController();
  const store = openDispatcherStore(join(home.dir, 'state.db'), id);
  let dispatcher: Dispatcher | null = null;
  const end = async (): Promise<void> => {
    closing.abort(new PhtError('cancelled', 'the dispatcher ends'));
    await dispatcher?.settle();
    store.close();
  };
  try {
    const { takeUpKeys, ...parts } = await composeDispatcherLedger(home, {
      store,
      note,
      signal: closing.signal,
    });
    dispatcher = await openDispatcher({
      ...{ id, network, store, signer, note, ...parts },
      networkCopy: createNetworkCopy(home),
      files: createMirrorFiles(join(home.dir, 'mirror')),
      ownTile: (tile, size) => readTile(join(home.dir, 'ledger'), tile, size),
      depotOf: depots(join(home.dir, 'depot')),
      clock: { nowMs: () => Date.now() },
      quotas: { ...QUOTAS, ...config.quotas },
      software: 'signalbox',
    });
    await dispatcher.sweep();
    const { listen } = config;
    const services = bound(dispatcher);
    const server = await serve({ listen, tls, network, services, log: counting(log, dispatcher) });
    const logs = await serveLogFiles(config.logs, { network, tls, logs: dispatcher.logs, log }).catch(
      async (thrown: unknown) => {
        await server.close();
        throw thrown;
      },
    );
    const { sweep, followNetwork } = dispatcher;
    /** With new keys at hand before anything is signed under a list that names them. */
    const following = async (): Promise<void> => {
      await Promise.all([signer.prepare(), takeUpKeys()]).catch((err: unknown) =>
        log.error({ err }, 'new keys cannot be used'),
      );
      followNetwork();
    };
    await following();
    const timers = [
      setInterval(() => void sweep(), SWEEP_MS),
      setInterval(() => void following(), NETWORK_MS),
    ];
    return {
      address: server.address,
      logsAddress: logs?.address ?? null,
      close: async () => {
        for (const timer of timers) clearInterval(timer);
        await logs?.close();
        await server.close();
        await end();
      },
    };
  } catch (thrown) {
    await end();
    throw thrown;
  }
}

/** Every service with who may call it: the one table of that. */
export function bound({ journeys, tracks, depot, ledgers, witnesses, network }: Dispatcher): Bound[] {
  return [
    bind(JourneyService, journeys, {
      roles: ['researcher'],
      methods: { watch: { deadlineMs: 'open' }, datasets: { roles: ['researcher', 'auditor', 'admin'] } },
    }),
    bind(TrackService, tracks, { roles: ['station'], methods: { wake: { deadlineMs: 'open' } } }),
    bind(DepotService, depot, { roles: ['researcher'], methods: { download: { roles: ['station'] } } }),
    bind(LedgerService, ledgers, {
      roles: ['auditor', 'researcher', 'admin', 'station'],
      methods: { publish: { roles: ['station'] } },
    }),
    bind(WitnessService, witnesses, {
      roles: ['station'],
      methods: {
        listen: { roles: ['station', 'auditor'], deadlineMs: 'open' },
        answer: { roles: ['station', 'auditor'] },
      },
    }),
    // Whoever has just renewed its keys is still known here by the former one, until it has fetched who it is now.
    bind(NetworkService, network, {
      roles: ROLES,
      methods: { fetch: { formerKeys: true }, giveOut: { roles: ['authority'] } },
    }),
  ];
}

/** One folder for each researcher: what another one uploaded can show in no answer. */
function depots(dir: string): (researcher: string) => Depot {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const open = new Map<string, Depot>();
  return (researcher) => {
    const depot = open.get(researcher) ?? createDepot(join(dir, researcher));
    open.set(researcher, depot);
    return depot;
  };
}

/** Whoever is turned away at the door is counted in the ledger. */
function counting(log: WireLog, dispatcher: Dispatcher): WireLog {
  return {
    debug: (details, message) => {
      // Behind the door a caller is known, and what he may not do is answered for by the service.
      if ('caller' in details && details.caller === null) dispatcher.refused();
      log.debug(details, message);
    },
    warn: (details, message) => {
      if ('reason' in details) dispatcher.refused();
      log.warn(details, message);
    },
    error: (details, message) => log.error(details, message),
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
