import { readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDepot } from '../adapters/depot/files.ts';
import { createSealer } from '../adapters/envelope/jwe.ts';
import { createDockerExecutor } from '../adapters/executor/docker.ts';
import type { StationConfig } from '../adapters/home/config.ts';
import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import { checkLayer } from '../adapters/image/layer-check.ts';
import { createSpool } from '../adapters/spool/files.ts';
import { createRunLogs } from '../adapters/spool/run-logs.ts';
import { openStationStore } from '../adapters/store/station-store.ts';
import { backoffMs } from '../adapters/wire/backoff.ts';
import { bind } from '../adapters/wire/bind.ts';
import type { Channel } from '../adapters/wire/client.ts';
import { serve } from '../adapters/wire/server.ts';
import { downloadBlob } from '../adapters/wire/transfer.ts';
import { AdminService } from '../gen/pht/v1/admin_pb.ts';
import { DepotService } from '../gen/pht/v1/depot_pb.ts';
import { LedgerService } from '../gen/pht/v1/ledger_pb.ts';
import { TrackService } from '../gen/pht/v1/tracks_pb.ts';
import { createAdminService } from '../journey/station/admin.ts';
import { type Agent, createAgent } from '../journey/station/agent.ts';
import { createClear } from '../journey/station/clear.ts';
import { createClose } from '../journey/station/close.ts';
import { createCommitments } from '../journey/station/commit.ts';
import { createDecide } from '../journey/station/decide.ts';
import { createHold } from '../journey/station/hold.ts';
import type { Steps } from '../journey/station/hop.ts';
import { createInspect } from '../journey/station/inspect.ts';
import { createLoad } from '../journey/station/load.ts';
import { createRelease } from '../journey/station/release.ts';
import { createRun } from '../journey/station/run.ts';
import { createScreen } from '../journey/station/screen.ts';
import { createSeal } from '../journey/station/seal.ts';
import type { Station } from '../journey/station/stages.ts';
import { createVisits } from '../journey/station/visits.ts';
import { dialDispatcher } from './dial.ts';
import { signerOf } from './frame.ts';
import { createLog } from './log.ts';
import { listsReader, openDatasets, policyReader } from './station-files.ts';
import { composeStationLedger } from './station-ledger.ts';
import { adminSocketPath } from './station-paths.ts';
import { shareSocket } from './station-socket.ts';

export type RunningStation = { agent: Agent; socket: string; close(): Promise<void> };

/** The one place where a station's parts are put together. */
export async function composeStation(home: Home, config: StationConfig): Promise<RunningStation> {
  const log = createLog(home.member.id);
  const network = currentNetwork(home);
  const store = openStationStore(join(home.dir, 'state.db'), home.member.id, () => agent.nudge());
  const signer = await signerOf(home, 'statement');
  const sealer = createSealer();
  const { channel } = await dialDispatcher(home, config);
  const note = (text: string, detail: Record<string, unknown>): void => log.info(detail, text);
  const { ledger, witnessing, ...ownLedger } = await composeStationLedger(home, { store, channel, note });
  // A store and files that do not belong together, or cannot be written, are told at the start and not in a log.
  await ledger.open();
  const executor = createDockerExecutor({
    owner: home.member.id,
    networkId: network.id,
    ...(config.engine.socket === undefined ? {} : { socketPath: config.engine.socket }),
    runAs: config.runAs,
    log: (event, fields) => log.info(fields, event),
  });
  const datasets = openDatasets(home.dir, log);
  const policy = policyReader(home.dir);
  const runLogs = createRunLogs(join(home.dir, 'logs'), (line) => log.warn(line));
  const track = channel.client(TrackService);
  const { hops, outbox, clearances, witness, archive } = store;
  let problem = '';
  const station: Station = {
    id: home.member.id,
    network: () => currentNetwork(home),
    clock: { nowMs: () => Date.now() },
    maxima: config.limits,
    lifetimeMsMax: config.manifestLifetimeDaysMax * 86_400_000,
    runAs: config.runAs,
    acceptEngineRisks: config.engine.acceptEngineRisks,
    blobCacheBytesMax: config.blobCacheBytesMax,
    explanations: config.explanations,
    disclosure: () => config.disclosure,
    lists: listsReader(home.dir),
    highestMs: store.log.highestMs,
    commitments: createCommitments(store.archive.keepSalt),
    note: (text, detail) => {
      problem = text;
      note(text, detail);
    },
  };
  const leases = createHold(track, station);
  const depot = createDepot(join(home.dir, 'depot'));
  const spoolDir = resolve(home.dir, 'runs');
  rmSync(spoolDir, { recursive: true, force: true });
  const spool = createSpool(spoolDir);
  const inspect = createInspect(station, { hops, datasets, witness });
  const steps: Steps = {
    inspect,
    decide: createDecide(station, { hops, policy, archive }),
    clear: createClear(station, { hops, clearances }),
    load: createLoad(station, {
      hops,
      executor,
      depot,
      leases,
      checkLayer,
      blobs: blobSource(channel, depot),
    }),
    run: createRun(station, { hops, executor, spool, datasets, log: runLogs.write }),
    screen: createScreen(station, { hops }),
    seal: createSeal(station, { hops, signer, sealer, policy }),
    release: createRelease(station, { hops, signer, policy, witnessing, inspect }),
    close: createClose(station, { hops, signer, sealer }),
  };
  const visits = createVisits(station, {
    hops,
    steps,
    runsAtOnceMax: config.runsAtOnceMax,
  });
  const agent = createAgent(station, {
    track,
    ledgerClient: channel.client(LedgerService),
    hops,
    outbox,
    log: store.log,
    ledger,
    listenAsWitness: ownLedger.listenAsWitness,
    witness,
    witnessing,
    ledgerRows: store.ledgerRows,
    datasets,
    executor,
    visits,
    software: softwareName(),
    pause: (failures, signal) => pause(failures, signal),
  });
  const socket = adminSocketPath(home.dir, config);
  const admin = createAdminService(station, {
    hops,
    archive,
    log: store.log,
    ledgerRows: store.ledgerRows,
    ledger,
    signer,
    sealer,
    recorded: () => agent.nudge(),
    clearances,
    witness,
    datasets,
    policy,
    connected: agent.connected,
    ledgerProblem: agent.ledgerProblem,
    problem: () => (agent.connected() ? '' : problem),
    waitsFor: visits.waitsFor,
    readLog: runLogs.read,
    decided: visits.start,
  });
  const server = await serve({
    listen: `unix:${socket}`,
    tls: null,
    network: station.network,
    services: [bind(AdminService, admin, { roles: 'local' })],
    log,
  });
  const close = async (): Promise<void> => {
    await server.close();
    await executor.settle();
    ownLedger.close();
    channel.close();
    store.close();
  };
  try {
    if (config.adminSocket.group !== undefined) shareSocket(socket, config.adminSocket.group);
  } catch (thrown) {
    await close();
    throw thrown;
  }
  return { agent, socket, close };
}

function blobSource(
  channel: Channel,
  depot: ReturnType<typeof createDepot>,
): Parameters<typeof createLoad>[1]['blobs'] {
  const client = channel.client(DepotService);
  return {
    fetch: (trainId, digest, bytesTotal, signal) =>
      downloadBlob(client, trainId, digest, bytesTotal, depot, { signal }),
  };
}

async function pause(failures: number, signal: AbortSignal): Promise<void> {
  await sleep(backoffMs(failures, Math.random), undefined, { signal }).catch((thrown: unknown) => {
    if (!signal.aborted) throw thrown;
  });
}

function softwareName(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { name, version } = JSON.parse(text) as { name: string; version: string };
  return `${name} ${version}`;
}
