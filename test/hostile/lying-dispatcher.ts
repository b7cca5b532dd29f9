import { setTimeout as sleep } from 'node:timers/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { readDispatcherConfig } from '../../src/adapters/home/config.ts';
import { loadKey } from '../../src/adapters/home/keys.ts';
import { type Home, openHome } from '../../src/adapters/home/member.ts';
import { currentNetwork } from '../../src/adapters/home/network-file.ts';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import { openDatabase } from '../../src/adapters/store/database.ts';
import { createWitnessStore, WITNESS_TABLES } from '../../src/adapters/store/witness-store.ts';
import { type Bound, bind } from '../../src/adapters/wire/bind.ts';
import { answererFor, type Frame } from '../../src/adapters/wire/calls.ts';
import { memberBehind } from '../../src/adapters/wire/identity.ts';
import { serviceDefinition } from '../../src/adapters/wire/service-definition.ts';
import { tlsOf } from '../../src/cli/dial.ts';
import { DepotService, type DownloadRequest } from '../../src/gen/pht/v1/depot_pb.ts';
import { JourneyService } from '../../src/gen/pht/v1/journeys_pb.ts';
import { LedgerService } from '../../src/gen/pht/v1/ledger_pb.ts';
import { type PullResponseSchema, type ReportRequest, TrackService } from '../../src/gen/pht/v1/tracks_pb.ts';
import { WitnessService } from '../../src/gen/pht/v1/witness_pb.ts';
import { witnessService } from '../../src/journey/dispatcher/witness-service.ts';
import { createWitnesses, type Witnesses } from '../../src/journey/dispatcher/witnesses.ts';
import { createWitness, type Witness } from '../../src/journey/witness/witness.ts';
import { PhtError } from '../../src/model/error.ts';
import type { Network } from '../../src/model/network.ts';
import type { CallContext, Service } from '../../src/ports/wire.ts';

/**
 * A dispatcher with the real one's keys that says whatever a test tells it to, to stations that are real processes. It
 * sends messages of any size, keeps no state that it would have to be true to, and remembers every report.
 */

export type Pulled = MessageInitShape<typeof PullResponseSchema>;

/** What one station is told; the defaults are those of an honest dispatcher with no trains. */
export type Script = {
  download: (request: DownloadRequest, signal: AbortSignal) => AsyncIterable<Uint8Array>;
  /** May throw, or never answer. */
  report: (request: ReportRequest, signal: AbortSignal) => Promise<void>;
  /** Whether the other witnesses get to see this station's checkpoints. */
  withheld: boolean;
  /** What is claimed of the mirror's size, given the true one. */
  mirrored: (size: bigint) => bigint;
};

export type LyingDispatcher = {
  readonly network: Network;
  /** Wakes the station, whose next pull is answered with this, once. */
  offer(station: string, pulled: Pulled): void;
  wake(station: string, times: number): void;
  script(station: string, lies: Partial<Script>): void;
  /** Every report that came in, acknowledged or not, oldest first. */
  reports(station: string): readonly ReportRequest[];
  pulls(station: string): number;
  connected(): string[];
  /** Gone in the middle of everything, and back at the same address. */
  restart(): Promise<void>;
  close(): Promise<void>;
};

type Told = Script & {
  offers: Pulled[];
  wakes: number;
  ring: () => void;
  reports: ReportRequest[];
  pulls: number;
  mirrorSize: bigint;
  listening: number;
};

const NOTHING: Script = {
  download: () => {
    throw new PhtError('not-found', 'this blob is not here');
  },
  report: async () => undefined,
  withheld: false,
  mirrored: (size) => size,
};

export async function startLyingDispatcher(homeDir: string): Promise<LyingDispatcher> {
  const home = openHome(homeDir, ['dispatcher']);
  const network = currentNetwork(home);
  const tls = await tlsOf(home, network);
  const credentials = ServerCredentials.createSsl(
    Buffer.from(tls.authorityPem),
    [{ private_key: Buffer.from(tls.privateKeyPem), cert_chain: Buffer.from(tls.certificatePem) }],
    true,
  );
  const told = new Map<string, Told>();
  const of = (station: string): Told => {
    const known = told.get(station) ?? fresh();
    told.set(station, known);
    return known;
  };
  const own = await ownWitness(home, network);
  const witnesses = createWitnesses({ id: home.member.id, own, network: () => network });
  const services = lies(({ caller }) => of(caller?.id ?? ''), witnesses);
  const { listen } = readDispatcherConfig(homeDir);
  let running = await listening(services, network, credentials, listen);
  return {
    network,
    offer: (station, pulled) => {
      of(station).offers.push(pulled);
      wake(of(station), 1);
    },
    wake: (station, times) => wake(of(station), times),
    script: (station, changed) => void Object.assign(of(station), changed),
    reports: (station) => of(station).reports,
    pulls: (station) => of(station).pulls,
    connected: () => [...told].filter(([, { listening: open }]) => open > 0).map(([station]) => station),
    restart: async () => {
      running.stop();
      running = await listening(services, network, credentials, listen);
    },
    close: async () => running.stop(),
  };
}

function fresh(): Told {
  const count = { wakes: 0, pulls: 0, mirrorSize: 0n, listening: 0 };
  return { ...NOTHING, ...count, offers: [], reports: [], ring: () => undefined };
}

function wake(station: Told, times: number): void {
  station.wakes += times;
  station.ring();
}

async function listening(
  services: readonly Bound[],
  network: Network,
  credentials: ServerCredentials,
  address: string,
): Promise<{ stop(): void }> {
  const closing = new AbortController();
  const server = new Server({ 'grpc.max_send_message_length': -1, 'grpc.max_receive_message_length': -1 });
  for (const { service, implementation } of services) {
    const handlers = service.methods.map((method) => {
      const frame: Frame = {
        method,
        deadlineMs: 'open',
        closing: closing.signal,
        watch: () => () => undefined,
        authenticate: (call) =>
          memberBehind(call.getAuthContext().sslPeerCertificate?.raw ?? Buffer.alloc(0), network, Date.now()),
        // What goes wrong here is meant to.
        onFailure: () => undefined,
      };
      return [method.localName, answererFor(frame, implementation[method.localName])] as const;
    });
    server.addService(serviceDefinition(service), Object.fromEntries(handlers));
  }
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(address, credentials, (error) => (error === null ? resolve() : reject(error))),
  );
  return {
    stop: () => {
      closing.abort();
      server.forceShutdown();
    },
  };
}

function lies(of: (context: CallContext) => Told, witnesses: Witnesses): Bound[] {
  const nothing = async (): Promise<never> => {
    throw new PhtError('forbidden', 'not here');
  };
  async function* nothingYet(): AsyncGenerator<never> {
    yield await nothing();
  }
  const depot: Service<typeof DepotService> = {
    uploadOffset: nothing,
    upload: nothing,
    download: async function* (request, context) {
      for await (const chunk of of(context).download(request, context.signal)) yield { chunk };
    },
  };
  const ledgers: Service<typeof LedgerService> = {
    logs: nothing,
    statements: nothing,
    // It holds no mirror: every station begins with it.
    checkpoint: async () => ({ checkpoint: new Uint8Array() }),
    pastHeads: nothing,
    entries: nothingYet,
    publish: async ({ firstIndex, entries }, context) => {
      const station = of(context);
      const end = firstIndex + BigInt(entries.length);
      if (end > station.mirrorSize) station.mirrorSize = end;
      return { size: station.mirrored(station.mirrorSize) };
    },
  };
  const journeys: Service<typeof JourneyService> = {
    ...{ submit: nothing, depart: nothing, list: nothing, watch: nothingYet, result: nothing },
    ...{ cancel: nothing, plan: nothingYet, datasets: nothing },
  };
  const access = { roles: ['station'] } as const;
  return [
    bind(TrackService, tracks(of), access),
    bind(DepotService, depot, access),
    bind(LedgerService, ledgers, access),
    bind(JourneyService, journeys, access),
    bind(WitnessService, withholding(witnessService(witnesses), of), access),
  ];
}

/** Relays as an honest one does, but for the stations whose ledgers nobody is to see. */
function withholding(
  honest: Service<typeof WitnessService>,
  of: (context: CallContext) => Told,
): Service<typeof WitnessService> {
  return {
    ...honest,
    addCheckpoint: async (request, context) => {
      if (of(context).withheld)
        throw new PhtError('witness.unreachable', `${request.witness} is not connected to the dispatcher`);
      return honest.addCheckpoint(request, context);
    },
  };
}

async function ownWitness(home: Home, network: Network): Promise<Witness> {
  const noPassphrase = (): Promise<never> => Promise.reject(new Error('the keys of tests are in clear'));
  return createWitness({
    id: home.member.id,
    network: () => network,
    store: createWitnessStore(openDatabase(':memory:', [WITNESS_TABLES]), null),
    signer: createSigner(await loadKey(home.dir, 'witness', noPassphrase)),
    nowMs: () => Date.now(),
  });
}

function tracks(of: (context: CallContext) => Told): Service<typeof TrackService> {
  return {
    announce: async () => ({}),
    wake: async function* (_request, context) {
      const station = of(context);
      station.listening++;
      try {
        for (let sequence = 1n; !context.signal.aborted; ) {
          for (; station.wakes > 0; station.wakes--) yield { sequence: sequence++ };
          await Promise.race([
            new Promise<void>((resolve) => (station.ring = resolve)),
            gone(context.signal),
          ]);
        }
      } finally {
        station.listening--;
      }
    },
    pull: async (_request, context) => {
      const station = of(context);
      station.pulls++;
      return station.offers.shift() ?? {};
    },
    lease: async ({ ttlMs }) => ({ ttlMs }),
    reply: async () => ({}),
    report: async (request, context) => {
      const station = of(context);
      station.reports.push(request);
      await station.report(request, context.signal);
      return {};
    },
  };
}

/** Never answers, and resolves when nobody waits any more. */
export async function gone(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await sleep(3_600_000, undefined, { signal }).catch(() => undefined);
}
