import { readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDepot } from '../adapters/depot/files.ts';
import { createSealer } from '../adapters/envelope/jwe.ts';
import { createDockerExecutor } from '../adapters/executor/docker.ts';
import type { StationConfig } from '../adapters/home/config.ts';
import type { Home } from '../adapters/home/member.ts';
import { createNetworkCopy, lastGoodNetwork } from '../adapters/home/network-copy.ts';
import { createImageReviews } from '../adapters/image/difference.ts';
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
import { NetworkService } from '../gen/pht/v1/network_pb.ts';
import { TrackService } from '../gen/pht/v1/tracks_pb.ts';
import { createAdminService } from '../journey/station/admin.ts';
import { type Agent, createAgent, NO_TRACK } from '../journey/station/agent.ts';
import { sharedFetches } from '../journey/station/blobs.ts';
import { createClear } from '../journey/station/clear.ts';
import { createClose } from '../journey/station/close.ts';
import { createCommitments } from '../journey/station/commit.ts';
import { createDecide } from '../journey/station/decide.ts';
import { createDifference } from '../journey/station/difference.ts';
import { networkProblem } from '../journey/station/doctor.ts';
import { createNetworkFollower } from '../journey/station/follow-network.ts';
import { createPolicyFollower } from '../journey/station/follow-policy.ts';
import { createHold } from '../journey/station/hold.ts';
import type { Steps } from '../journey/station/hop.ts';
import { createReadConfig } from '../journey/station/image-config.ts';
import { createInspect } from '../journey/station/inspect.ts';
import { createLoad } from '../journey/station/load.ts';
import { createRejects } from '../journey/station/rejects.ts';
import { createRelease } from '../journey/station/release.ts';
import { createReplies } from '../journey/station/reply.ts';
import { createRun } from '../journey/station/run.ts';
import { createScreen } from '../journey/station/screen.ts';
import { createSeal } from '../journey/station/seal.ts';
import type { Station } from '../journey/station/stages.ts';
import { createVisits } from '../journey/station/visits.ts';
import { dialDispatcher } from './dial.ts';
import { listedSigner } from './listed-signer.ts';
import { createLog } from './log.ts';
import { probedAfterSweep } from './station-engine.ts';
import { listsReader, openDatasets, policyReader } from './station-files.ts';
import { composeStationLedger } from './station-ledger.ts';
import { composeNotifying, notifyingWhile } from './station-notify.ts';
import { adminSocketPath } from './station-paths.ts';
import { shareSocket } from './station-socket.ts';

export type RunningStation = { agent: Agent; socket: string; close(): Promise<void> };

/** The one place where a station's parts are put together. */
export async function composeStation(home: Home, config: StationConfig): Promise<RunningStation> {
  const log = createLog(home.member.id);
  const network = lastGoodNetwork(home, (err) => log.error({ err }, 'the network file is not good any more'));
  const store = openStationStore(join(home.dir, 'state.db'), home.member.id, () => {
    agent.nudge();
    notifying.ring();
  });
  const signer = await listedSigner(home, 'statement', network);
  const sealer = createSealer();
  const { channel, dispatcher } = await dialDispatcher(home, config, network);
  const note = (text: string, detail: Record<string, unknown>): void => log.info(detail, text);
  const { ledger, witnessing, ...ownLedger } = await composeStationLedger(home, { store, channel, note });
  // A store and files that do not belong together, or cannot be written, are told at the start and not in a log.
  await ledger.open();
  const executor = probedAfterSweep(
    createDockerExecutor({
      owner: home.member.id,
      networkId: network().id,
      ...(config.engine.socket === undefined ? {} : { socketPath: config.engine.socket }),
      runAs: config.runAs,
      log: (event, fields) => log.info(fields, event),
    }),
  );
  const datasets = openDatasets(home.dir, log);
  const policy = policyReader(home.dir);
  const runLogs = createRunLogs(join(home.dir, 'logs'), (line) => log.warn(line));
  const track = channel.client(TrackService);
  const { hops, outbox, clearances, witness, archive } = store;
  let problem = 'not tried yet';
  const station: Station = {
    id: home.member.id,
    network,
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
      if (text === NO_TRACK) problem = String(detail['code']);
      note(text, detail);
    },
  };
  const leases = createHold(track, station);
  const depot = createDepot(join(home.dir, 'depot'));
  const blobs = sharedFetches(blobSource(channel, depot));
  const configOf = createReadConfig({ blobs, depot });
  const spoolDir = resolve(home.dir, 'runs');
  rmSync(spoolDir, { recursive: true, force: true });
  const spool = createSpool(spoolDir);
  const inspect = createInspect(station, { hops, datasets, witness, behind: () => follower.behind(false) });
  const steps: Steps = {
    inspect,
    decide: createDecide(station, { hops, policy, archive, clearances }),
    clear: createClear(station, { hops, clearances, configOf }),
    load: createLoad(station, {
      hops,
      executor,
      depot,
      leases,
      checkLayer,
      blobs,
    }),
    run: createRun(station, { hops, executor, spool, datasets, log: runLogs.write }),
    screen: createScreen(station, { hops }),
    seal: createSeal(station, { hops, signer, sealer, policy, clearances }),
    release: createRelease(station, { hops, signer, policy, witnessing, inspect, clearances }),
    close: createClose(station, { hops, signer, sealer }),
  };
  const visits = createVisits(station, {
    hops,
    outbox,
    steps,
    runsAtOnceMax: config.runsAtOnceMax,
  });
  const rejects = createRejects(station, store.log);
  const replies = createReplies(station, {
    ...{ track, rejects, log: store.log, ledger, archive, signer, sealer },
    ...{ datasets, policy, executor, witness, clearances, dispatcher: dispatcher.id },
    inquiries: store.inquiries,
    accepts: config.inquiries === 'allowed',
  });
  const follower = createNetworkFollower(station, {
    ...{ hops, visits, rejects, log: store.log, ledgerRows: store.ledgerRows },
    client: channel.client(NetworkService),
    copy: createNetworkCopy(home),
    prepare: async () => {
      await Promise.all([signer.prepare(), ownLedger.takeUpKeys()]);
    },
    looked: createPolicyFollower(station, { policy, log: store.log, ledgerRows: store.ledgerRows }),
    renewed: () => {
      channel.renew();
      agent.reconnect();
    },
  });
  const agent = createAgent(station, {
    network: follower,
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
    rejects,
    replies,
    software: softwareName(),
    pause: (failures, signal) => pause(failures, signal),
  });
  const notifying = composeNotifying(config.notify, station, store.notices);
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
    difference: createDifference(station, {
      ...{ depot, blobs, clearances, clearedImages: store.clearedImages, connected: agent.connected },
      review: createImageReviews(depot, join(home.dir, 'layers')),
    }),
    ledgerProblem: agent.ledgerProblem,
    problem: () => (agent.connected() ? networkProblem(network(), Date.now()) : problem),
    waitsFor: visits.waitsFor,
    readLog: runLogs.read,
    decided: visits.start,
    stop: visits.cancel,
    ...{ configOf, depot, executor },
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
  const run: Agent['run'] = (signal) => notifyingWhile(agent.run, notifying, signal);
  return { agent: { ...agent, run }, socket, close };
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
