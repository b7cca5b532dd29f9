import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDepot } from '../../src/adapters/depot/files.ts';
import { createOpener, createSealer } from '../../src/adapters/envelope/jwe.ts';
import { createImageReviews } from '../../src/adapters/image/difference.ts';
import { createLedger, type LedgerOptions } from '../../src/adapters/ledger/files.ts';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import { createSpool } from '../../src/adapters/spool/files.ts';
import { openStationStore, type StationStore } from '../../src/adapters/store/station-store.ts';
import { policyReader } from '../../src/cli/station-files.ts';
import type { AdminService } from '../../src/gen/pht/v1/admin_pb.ts';
import type { TrackService } from '../../src/gen/pht/v1/tracks_pb.ts';
import { createAdminService } from '../../src/journey/station/admin.ts';
import { createClear } from '../../src/journey/station/clear.ts';
import { witnessedMs } from '../../src/journey/station/clock.ts';
import { createClose } from '../../src/journey/station/close.ts';
import { createCommitments } from '../../src/journey/station/commit.ts';
import { createDecide } from '../../src/journey/station/decide.ts';
import { deliver } from '../../src/journey/station/deliver.ts';
import { createDifference } from '../../src/journey/station/difference.ts';
import { type Ended, type Steps, visit } from '../../src/journey/station/hop.ts';
import { createReadConfig } from '../../src/journey/station/image-config.ts';
import { createInspect } from '../../src/journey/station/inspect.ts';
import { acceptOrder } from '../../src/journey/station/intake.ts';
import { createLoad } from '../../src/journey/station/load.ts';
import { createRejects } from '../../src/journey/station/rejects.ts';
import { createRelease } from '../../src/journey/station/release.ts';
import { createRun } from '../../src/journey/station/run.ts';
import { createScreen } from '../../src/journey/station/screen.ts';
import { createSeal } from '../../src/journey/station/seal.ts';
import type { Station } from '../../src/journey/station/stages.ts';
import { createWitnessing } from '../../src/journey/station/witnessing.ts';
import { parseEnvelope } from '../../src/model/dsse.ts';
import { PhtError } from '../../src/model/error.ts';
import { cosignCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { decodeEntry, type LedgerEntry } from '../../src/model/ledger/entry.ts';
import { openEntryProof } from '../../src/model/ledger/entry-proof.ts';
import { parseNote } from '../../src/model/ledger/note.ts';
import { ledgerOrigin, logKey, witnessKey } from '../../src/model/ledger/origin.ts';
import { NO_LISTS, type StationLists } from '../../src/model/lists.ts';
import type { Network } from '../../src/model/network.ts';
import { type Receipt, verifyReceipt } from '../../src/model/receipt.ts';
import type { ExplanationLevel } from '../../src/model/refusal.ts';
import { type DisclosureSettings, PRESETS } from '../../src/model/result/settings.ts';
import { witnessedCheck, witnessPolicy } from '../../src/model/witnessing.ts';
import type { Ledger } from '../../src/ports/ledger.ts';
import type { Sealer } from '../../src/ports/signer.ts';
import type { Leases } from '../../src/ports/track.ts';
import type { Client, Service } from '../../src/ports/wire.ts';
import type { Witnessing } from '../../src/ports/witnessing.ts';
import { type CrashPlan, createFragile, type Fragile } from './crash.ts';
import { createFakeBlobs, createFakeDatasets, type FakeDatasets } from './datasets.ts';
import { createFakeExecutor, type FakeExecutor } from './executor.ts';
import { type FakeNetwork, memberIn, signerOf } from './network.ts';
import { type FakeImage, makeImage } from './trains.ts';

/** Everything of the station `north` but the engine and the wire: real steps, store, ledger, policy, gate and keys. */

export const PERMIT = `@id("permit-all") @explain("any train") permit (principal, action == Action::"Run", resource);`;
export const ASK = `@id("ask-all") @explain("an admin decides") permit (principal, action == Action::"RunIfApproved", resource);`;

/** What the dispatcher has been handed, each key once. */
export type Handed = {
  key: string;
  hopId: string;
  progress?: string;
  receipt?: Uint8Array;
  jwe?: Uint8Array;
  proof?: Uint8Array;
};

export type Rig = {
  readonly fake: FakeNetwork;
  readonly dir: string;
  readonly clock: { ms: number };
  readonly image: FakeImage;
  /** What the dispatcher answers for each digest. */
  readonly blobs: Map<string, Uint8Array>;
  connected: boolean;
  readonly executor: FakeExecutor;
  readonly datasets: FakeDatasets;
  readonly handed: Map<string, Handed>;
  readonly notes: { text: string; detail: Record<string, unknown> }[];
  settings: {
    network: Network;
    lifetimeMsMax: number;
    disclosure: DisclosureSettings;
    lists: StationLists;
    acceptEngineRisks: string[];
    explanations: ExplanationLevel;
  };
  /** null removes the file. */
  policy(text: string | null): void;
  lease: Leases['hold'];
  sealer: Sealer;
  /** One round of the witnesses; without a quorum none is ever asked for. */
  cosign: (ledger: Ledger, signal: AbortSignal) => Promise<void>;
  /** The start-up rule, where a test wants it. */
  beforeSigning: NonNullable<LedgerOptions['beforeSigning']>;
  /** A process of the station over the same files; one at a time. */
  start(plan?: CrashPlan | null): Process;
  close(): void;
};

export type Process = {
  readonly store: StationStore;
  readonly station: Station;
  readonly steps: Steps;
  readonly ledger: Ledger;
  readonly witnessing: Witnessing;
  readonly fragile: Fragile;
  readonly admin: Service<typeof AdminService>;
  accept(pulled: { order: Uint8Array; manifest: Uint8Array; proof: Uint8Array }): string | null;
  visit(hopId: string, signal?: AbortSignal): Promise<Ended>;
  /** Hands the outbox to the dispatcher. */
  post(): Promise<void>;
  entries(): LedgerEntry[];
  stop(): void;
};

export function makeStation(fake: FakeNetwork, nowMs: number, folder: string = memoryFolder()): Rig {
  const dir = mkdtempSync(join(folder, 'station-'));
  mkdirSync(join(dir, 'ledger'), { recursive: true });
  const image = makeImage();
  let current: Process | null = null;
  const rig: Rig = {
    fake,
    dir,
    clock: { ms: nowMs },
    image,
    blobs: new Map(image.blobs),
    connected: true,
    executor: createFakeExecutor(),
    datasets: createFakeDatasets({ cgd: 'status\n1\n0\n' }),
    handed: new Map(),
    notes: [],
    settings: {
      network: fake.network,
      lifetimeMsMax: 30 * 86_400_000,
      disclosure: PRESETS.sacro,
      lists: NO_LISTS,
      acceptEngineRisks: [],
      explanations: 'full',
    },
    policy: (text) => {
      const path = join(dir, 'policy.cedar');
      if (text === null) rmSync(path, { force: true });
      else writeFileSync(path, text);
    },
    lease: async () => undefined,
    sealer: createSealer(),
    cosign: async () => {
      throw new PhtError('witness.unreachable', 'nobody is a witness here');
    },
    beforeSigning: async () => undefined,
    start: (plan = null) => {
      current?.stop();
      current = startProcess(rig, plan);
      return current;
    },
    close: () => {
      current?.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  rig.policy(PERMIT);
  return rig;
}

/** Thousands of synced commits are slow on a disk; where there is memory with a file system, they go there. */
function memoryFolder(): string {
  return existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
}

function startProcess(rig: Rig, plan: CrashPlan | null): Process {
  const { fake, dir } = rig;
  const fragile = createFragile(plan);
  const store = openStationStore(join(dir, 'state.db'), 'north');
  const keys = memberIn(fake, 'north').keys;
  const ledger = createLedger({
    rows: fragile.wrap(store.ledgerRows),
    dir: join(dir, 'ledger'),
    origin: ledgerOrigin(fake.network.id, 'north'),
    signer: createSigner(keys.log),
    publishAtOnce: () => rig.settings.network.witnessing.quorum === 'none',
    beforeSigning: (tree) => rig.beforeSigning(tree),
  });
  const closed = new AbortController();
  const witnessing = createWitnessing(
    ledger,
    {
      round: fragile.call((signal) => rig.cosign(ledger, signal)),
      isWitnessed: witnessedCheck(() => rig.settings.network, 'north'),
      published: (head) => {
        const passedMs = witnessedMs(rig.settings.network, 'north', head);
        if (passedMs !== null) store.log.saw(passedMs);
      },
    },
    closed.signal,
  );
  const ports = {
    hops: fragile.wrap(store.hops),
    clearances: fragile.wrap(store.clearances),
    outbox: fragile.wrap(store.outbox),
    log: fragile.wrap(store.log),
    archive: fragile.wrap(store.archive),
    executor: fragile.wrap(rig.executor),
    datasets: fragile.wrap(rig.datasets),
    spool: fragile.wrap(createSpool(join(dir, 'runs'))),
    signer: fragile.wrap(createSigner(keys.statement)),
    sealer: fragile.wrap(rig.sealer),
    witness: fragile.wrap(store.witness),
    witnessing,
  };
  const station = stationOf(rig, store);
  const depot = createDepot(join(dir, 'depot'));
  const blobs = fragile.wrap(createFakeBlobs(depot, rig.blobs));
  const configOf = createReadConfig({ blobs, depot });
  const policy = policyReader(dir);
  const inspect = createInspect(station, ports);
  const steps: Steps = {
    inspect,
    decide: createDecide(station, { ...ports, policy }),
    clear: createClear(station, { ...ports, configOf }),
    load: createLoad(station, {
      ...ports,
      depot,
      blobs,
      leases: { hold: (...parameters) => rig.lease(...parameters) },
      checkLayer: async () => undefined,
    }),
    run: createRun(station, { ...ports, log: () => () => undefined }),
    screen: createScreen(station, ports),
    seal: createSeal(station, { ...ports, policy }),
    release: createRelease(station, { ...ports, policy, inspect }),
    close: createClose(station, ports),
  };
  const visiting = new Map<string, AbortController>();
  const stopping = new Set<Promise<unknown>>();
  const visitOnce: Process['visit'] = async (hopId, signal = new AbortController().signal) => {
    if (!signal.aborted) await Promise.all(stopping);
    const controller = new AbortController();
    visiting.set(hopId, controller);
    const either = AbortSignal.any([signal, controller.signal]);
    const free = {
      hops: ports.hops,
      station,
      whenFree: <T>(_: AbortSignal, work: () => Promise<T>) => work(),
    };
    return visit(hopId, steps, free, either).finally(() => visiting.delete(hopId));
  };
  const stop = (hopId: string, reason: PhtError): void => {
    const running = visiting.get(hopId);
    if (running !== undefined) {
      running.abort(reason);
      return;
    }
    const stopped: Promise<unknown> = visitOnce(hopId, AbortSignal.abort(reason));
    stopping.add(stopped);
    void stopped.finally(() => stopping.delete(stopped));
  };
  const admin = createAdminService(station, {
    waitsFor: () => '',
    ...ports,
    ledger,
    ledgerRows: store.ledgerRows,
    recorded: () => undefined,
    policy,
    connected: () => rig.connected,
    difference: createDifference(station, {
      ...{ depot, blobs, clearances: store.clearances, clearedImages: store.clearedImages },
      review: createImageReviews(depot, join(dir, 'layers')),
      connected: () => rig.connected,
    }),
    ledgerProblem: () => '',
    problem: () => '',
    readLog: async () => new Uint8Array(),
    decided: () => undefined,
    ...{ configOf, depot, stop },
  });
  const track = { report: reportTo(rig) } as Partial<Client<typeof TrackService>> as Client<
    typeof TrackService
  >;
  let stopped = false;
  return {
    store,
    station,
    steps,
    ledger,
    witnessing,
    fragile,
    admin,
    accept: (pulled) =>
      acceptOrder(pulled, station, { ...ports, rejects: createRejects(station, ports.log) })?.hopId ?? null,
    visit: visitOnce,
    post: () => deliver(fragile.wrap(track), station, { ...ports, ledger }, new AbortController().signal),
    entries: () => store.ledgerRows.read(0, store.ledgerRows.size()).map(decodeEntry),
    stop: () => {
      closed.abort();
      if (!stopped) store.close();
      stopped = true;
    },
  };
}

function stationOf(rig: Rig, store: StationStore): Station {
  return {
    id: 'north',
    network: () => rig.settings.network,
    clock: { nowMs: () => rig.clock.ms },
    maxima: {
      memoryBytesMax: 1024 ** 3,
      cpuMillis: 2000,
      pidsMax: 256,
      wallMsMax: 3_600_000,
      outputBytesMax: 1024 * 1024,
      scratchBytesMax: 256 * 1024 * 1024,
    },
    lifetimeMsMax: rig.settings.lifetimeMsMax,
    runAs: '65534:65534',
    acceptEngineRisks: rig.settings.acceptEngineRisks,
    blobCacheBytesMax: 1024 ** 3,
    explanations: rig.settings.explanations,
    disclosure: () => rig.settings.disclosure,
    lists: () => rig.settings.lists,
    highestMs: store.log.highestMs,
    commitments: createCommitments(store.archive.keepSalt),
    note: (text, detail) => void rig.notes.push({ text, detail }),
  };
}

/** Holds promise 8 at every hand-over: a receipt comes with its entry, under a signed and if need be cosigned checkpoint. */
function reportTo(rig: Rig): Client<typeof TrackService>['report'] {
  return async (request) => {
    const { idempotencyKey: key = '', hopId = '', body } = request;
    if (body?.case === 'receipt') {
      const { receipt = new Uint8Array(), jwe = new Uint8Array(), proof = new Uint8Array() } = body.value;
      assertProven(rig, receipt, proof);
      const before = rig.handed.get(key);
      if (before?.receipt !== undefined && !Buffer.from(before.receipt).equals(receipt))
        throw new Error('another receipt');
      rig.handed.set(key, { key, hopId, receipt, jwe, proof });
    } else if (body?.case === 'progress') rig.handed.set(key, { key, hopId, progress: body.value });
    return { $typeName: 'pht.v1.ReportResponse' };
  };
}

function assertProven(rig: Rig, receipt: Uint8Array, proof: Uint8Array): void {
  // Of which a receipt names the version of now.
  const { network } = rig.settings;
  const origin = ledgerOrigin(network.id, 'north');
  const policy = witnessPolicy(network, 'north');
  const { entry, opened } = openEntryProof(proof, {
    origin,
    logKeys: [logKey(origin, signerOf(memberIn(rig.fake, 'north').keys.log).publicJwk)],
    witnessKeys: policy?.witnesses.map(({ key }) => key) ?? [],
  });
  const { digest, predicate } = verifyReceipt(parseEnvelope(receipt, 'receipt'), network, 'north');
  if (entry.type !== 'receipt.issued' || entry.body['receiptDigest'] !== digest)
    throw new Error('a receipt came with the proof of something else');
  if (predicate.outcome === 'released' && opened.cosignatures.length < (policy?.quorum ?? 0))
    throw new Error('a result left before the witnesses had cosigned its release');
}

/** What honest witnesses do in one round, without the wire. */
export function cosignedBy(rigOf: () => Rig, ...members: string[]): Rig['cosign'] {
  return async (ledger) => {
    const { fake, clock } = rigOf();
    const head = ledger.checkpoint();
    if (head === null) throw new Error('nothing is signed yet');
    const { text } = parseNote(head.text);
    const lines = members.map((member) => {
      const { sign, publicJwk } = signerOf(memberIn(fake, member).keys.witness);
      const key = witnessKey(fake.network.id, member, publicJwk);
      return cosignCheckpoint(text, { key, sign }, Math.floor(clock.ms / 1000));
    });
    await ledger.publish(head.size, lines);
  };
}

/** The receipts that the dispatcher was handed for a hop, verified. */
export function receiptsOf(rig: Rig, hopId?: string): (Receipt & { jwe: Uint8Array })[] {
  return [...rig.handed.values()].flatMap(({ receipt, jwe, hopId: of }) => {
    if (receipt === undefined || (hopId !== undefined && of !== hopId)) return [];
    const verified = verifyReceipt(parseEnvelope(receipt, 'receipt'), rig.settings.network, 'north');
    return [{ ...verified.predicate, jwe: jwe ?? new Uint8Array() }];
  });
}

/** What a recipient reads in a sealed envelope: the station's signed statement. */
export async function openSealed(
  rig: Rig,
  jwe: Uint8Array,
  reader = 'rosa',
): Promise<ReturnType<typeof parseEnvelope>> {
  const opened = await createOpener(memberIn(rig.fake, reader).keys.encryption).open(jwe);
  return parseEnvelope(opened, 'sealed statement');
}
