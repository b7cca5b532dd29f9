import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type DescMessage, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { createDepot } from '../../src/adapters/depot/files.ts';
import type { Home } from '../../src/adapters/home/member.ts';
import { createNetworkCopy } from '../../src/adapters/home/network-copy.ts';
import { currentNetwork, storeNetwork } from '../../src/adapters/home/network-file.ts';
import { createLedger } from '../../src/adapters/ledger/files.ts';
import { createMirrorFiles, readTile } from '../../src/adapters/ledger/mirror-files.ts';
import { openDispatcherStore } from '../../src/adapters/store/dispatcher-store.ts';
import { UploadRequestSchema } from '../../src/gen/pht/v1/depot_pb.ts';
import type { Journey } from '../../src/gen/pht/v1/journeys_pb.ts';
import { DepartRequestSchema, JourneySchema, SubmitRequestSchema } from '../../src/gen/pht/v1/journeys_pb.ts';
import { PullRequestSchema, ReportRequestSchema } from '../../src/gen/pht/v1/tracks_pb.ts';
import { QUOTAS, type Quotas } from '../../src/journey/dispatcher/desk.ts';
import type { PublisherTimes } from '../../src/journey/dispatcher/publish.ts';
import { type Dispatcher, openDispatcher } from '../../src/journey/dispatcher/service.ts';
import { createWitnesses } from '../../src/journey/dispatcher/witnesses.ts';
import { createGatherer } from '../../src/journey/witness/gather.ts';
import { createStartCheck } from '../../src/journey/witness/start.ts';
import { createWitness } from '../../src/journey/witness/witness.ts';
import { encodeEnvelope, parseEnvelope, payloadOf } from '../../src/model/dsse.ts';
import type { ErrorCode } from '../../src/model/error.ts';
import { type Digest, digestOf, trainIdOf } from '../../src/model/id.ts';
import { cosignCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { decodeEntry, type LedgerEntry } from '../../src/model/ledger/entry.ts';
import { addSignatures, formatNote, parseNote } from '../../src/model/ledger/note.ts';
import { ledgerOrigin, witnessKey } from '../../src/model/ledger/origin.ts';
import { formatTlogProof, parseTlogProof } from '../../src/model/ledger/proof.ts';
import type { Witnessing } from '../../src/model/network.ts';
import { type VerifiedOrder, verifyOrder } from '../../src/model/order.ts';
import type { Outcome } from '../../src/model/receipt.ts';
import { signStatement } from '../../src/model/statement.ts';
import type { Manifest } from '../../src/model/train.ts';
import type { DispatcherStore } from '../../src/ports/dispatcher-store.ts';
import type { Ledger } from '../../src/ports/ledger.ts';
import type { CallContext } from '../../src/ports/wire.ts';
import { logOf } from '../fakes/dispatcher-log.ts';
import { type FakeNetwork, makeNetwork, memberIn, publicOf, signerOf } from '../fakes/network.ts';

/** A dispatcher with a real store, ledger and depot in a temporary directory, a clock of its own, and real members. */
export type World = {
  fake: FakeNetwork;
  /** Of the dispatcher, with its network file. */
  home: Home;
  dir: string;
  clock: { ms: number };
  notes: string[];
  dispatcher: Dispatcher;
  store: DispatcherStore;
  ledger: Ledger;
  /** Ends this dispatcher as a crash would, and starts another one on the same directory. */
  restart(between?: () => void): Promise<void>;
  as(id: string, signal?: AbortSignal): CallContext;
  entries(): LedgerEntry[];
  close(): Promise<void>;
};

export const NOW_MS = 1_800_000_000_000;
export const CONFIG = Buffer.from('{"the":"config"}');
export const LAYER = Buffer.alloc(3000, 7);

const networks = new Map<string, Promise<FakeNetwork>>();

/** Every member but the auditor, and one of them may lie: 3 of the others for a station, as for the dispatcher. */
export const QUORUM: Witnessing = {
  quorum: 3,
  faulty: 1,
  witnesses: ['dispatcher', 'north', 'south', 'west', 'east'],
};

/** Keys and certificates take longer to make than all the rest: made once for a file of tests. */
function sharedNetwork(witnessing: Witnessing): Promise<FakeNetwork> {
  const key = JSON.stringify(witnessing);
  const made =
    networks.get(key) ??
    makeNetwork({
      stations: ['north', 'south', 'west', ...(witnessing.quorum === 'none' ? [] : ['east'])],
      researchers: ['rosa', 'otto'],
      auditors: ['dora'],
      nowMs: NOW_MS,
      witnessing,
    });
  networks.set(key, made);
  return made;
}

/** `fake`: a network of its own, for a test that changes it. */
export type WorldPlan = {
  fake?: FakeNetwork;
  witnessing?: Witnessing;
  publisherTimes?: Partial<PublisherTimes>;
};

export async function makeWorld(quotas: Partial<Quotas> = {}, plan: WorldPlan = {}): Promise<World> {
  const { witnessing = { quorum: 'none' } } = plan;
  const fake = plan.fake ?? (await sharedNetwork(witnessing));
  const dir = mkdtempSync(join(tmpdir(), 'dispatcher-'));
  const clock = { ms: NOW_MS };
  const notes: string[] = [];
  const depots = new Map<string, ReturnType<typeof createDepot>>();
  storeNetwork(dir, fake.files, fake.network);
  const { id: networkId } = fake.network;
  const member = { v: 1, id: 'dispatcher', role: 'dispatcher', title: 'd', organisation: 'o', networkId };
  const home: Home = { dir, member: member as Home['member'] };
  const open = async (): Promise<Pick<World, 'store' | 'dispatcher' | 'ledger'>> => {
    const store = openDispatcherStore(join(dir, 'state.db'), 'dispatcher');
    const self = memberIn(fake, 'dispatcher');
    const network = () => currentNetwork(home);
    const note = (text: string): unknown => notes.push(text);
    const own = createWitness({
      ...{ id: 'dispatcher', network, store: store.witness, nowMs: () => clock.ms },
      signer: signerOf(self.keys.witness),
    });
    const witnesses = createWitnesses({ id: 'dispatcher', network, own });
    const relay = witnesses.relayFor('dispatcher');
    const logSigner = signerOf(self.keys.log);
    const ledger = createLedger({
      rows: store.ledgerRows,
      dir: join(dir, 'ledger'),
      origin: ledgerOrigin(fake.network.id, 'dispatcher'),
      signer: logSigner,
      publishAtOnce: () => witnessing.quorum === 'none',
      beforeSigning: createStartCheck({
        ...{ member: 'dispatcher', network, relay, publicJwk: logSigner.publicJwk, note },
        signal: new AbortController().signal,
      }),
    });
    const gatherer = createGatherer({ member: 'dispatcher', network, ledger, relay, note });
    const dispatcher = await openDispatcher({
      id: 'dispatcher',
      ...{ network, store, ledger, witnesses, gather: gatherer.round },
      networkCopy: createNetworkCopy(home),
      files: createMirrorFiles(join(dir, 'mirror')),
      ownTile: (tile, size) => readTile(join(dir, 'ledger'), tile, size),
      ...(plan.publisherTimes === undefined ? {} : { publisherTimes: plan.publisherTimes }),
      depotOf: (researcher) => {
        const depot = depots.get(researcher) ?? createDepot(join(dir, 'depot', researcher));
        depots.set(researcher, depot);
        return depot;
      },
      signer: self.signer,
      clock: { nowMs: () => clock.ms },
      quotas: { ...QUOTAS, ...quotas },
      software: 'test',
      note,
    });
    return { store, dispatcher, ledger };
  };
  const world: World = {
    fake,
    home,
    dir,
    clock,
    notes,
    ...(await open()),
    restart: async (between = () => undefined) => {
      await world.dispatcher.settle();
      world.store.close();
      between();
      depots.clear();
      Object.assign(world, await open());
    },
    as: (id, signal = new AbortController().signal) => ({
      caller: fake.network.members.get(id) ?? null,
      signal,
    }),
    entries: () => world.store.ledgerRows.read(0, world.store.ledgerRows.size()).map(decodeEntry),
    close: async () => {
      await world.dispatcher.settle();
      world.store.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return world;
}

export function request<D extends DescMessage>(schema: D, init: MessageInitShape<D>): MessageShape<D> {
  return create(schema, init);
}

export const newKey = (): string => randomBytes(8).toString('hex');

export function manifestFor(world: World, change: Partial<Manifest> = {}): Manifest {
  const { id, version } = world.fake.network;
  return {
    networkId: id,
    networkVersion: version,
    issuer: 'rosa',
    title: 'A train of tests',
    purpose: { text: 'to see whether a train arrives', duo: [] },
    image: {
      configDigest: digestOf(CONFIG),
      configBytes: CONFIG.length,
      platform: 'linux/amd64',
      layers: [{ diffId: digestOf(LAYER), bytes: LAYER.length }],
    },
    dataset: 'cgd',
    parameters: {},
    route: { pattern: 'parallel', stops: ['north', 'south'], minStations: 2, deadlineMs: 60_000 },
    limits: {
      memoryBytesMax: 2 ** 28,
      cpuMillis: 1000,
      pidsMax: 64,
      wallMsMax: 60_000,
      outputBytesMax: 2 ** 20,
      scratchBytesMax: 2 ** 24,
    },
    outputs: { schema: 'pht-result/v1', kinds: ['Frequencies'] },
    combine: false,
    recipients: [{ member: 'rosa' }],
    nonce: randomBytes(16).toString('hex'),
    issuedAtMs: NOW_MS,
    expiresMs: NOW_MS + 24 * 3_600_000,
    ...change,
  };
}

export function signManifest(world: World, manifest: Manifest, signer = 'rosa'): Uint8Array {
  const subject = { name: 'image', digest: manifest.image.configDigest as Digest };
  return encodeEnvelope(
    signStatement('manifest', subject, manifest, memberIn(world.fake, signer).signer).envelope,
  );
}

export async function submit(
  world: World,
  manifest: Uint8Array,
  caller = 'rosa',
  idempotencyKey = newKey(),
): Promise<{ trainId: string; missingDigests: string[]; proof: Uint8Array }> {
  const answer = await world.dispatcher.journeys.submit(
    request(SubmitRequestSchema, { idempotencyKey, manifest }),
    world.as(caller),
  );
  return {
    trainId: answer.trainId ?? '',
    missingDigests: answer.missingDigests ?? [],
    proof: answer.proof ?? new Uint8Array(),
  };
}

export async function upload(
  world: World,
  trainId: string,
  digest: string,
  bytes: Uint8Array,
  { caller = 'rosa', offset = 0 } = {},
): Promise<{ offset: number; complete: boolean }> {
  async function* parts() {
    yield request(UploadRequestSchema, {
      part: { case: 'header', value: { trainId, digest, offset: BigInt(offset) } },
    });
    for (let at = 0; at < bytes.length; at += 1000) {
      yield request(UploadRequestSchema, { part: { case: 'chunk', value: bytes.subarray(at, at + 1000) } });
    }
  }
  const answer = await world.dispatcher.depot.upload(parts(), world.as(caller));
  return { offset: Number(answer.offset), complete: answer.complete ?? false };
}

export async function depart(world: World, trainId: string, idempotencyKey = newKey()): Promise<Journey> {
  const answer = await world.dispatcher.journeys.depart(
    request(DepartRequestSchema, { idempotencyKey, trainId }),
    world.as('rosa'),
  );
  return create(JourneySchema, answer.journey);
}

/** Submitted, uploaded and departed. */
export async function underWay(world: World, change: Partial<Manifest> = {}): Promise<string> {
  const { trainId } = await submit(world, signManifest(world, manifestFor(world, change)));
  await upload(world, trainId, digestOf(CONFIG), CONFIG);
  await upload(world, trainId, digestOf(LAYER), LAYER);
  await depart(world, trainId);
  return trainId;
}

export async function pull(
  world: World,
  station: string,
): Promise<{ orders: VerifiedOrder[]; proofs: Uint8Array[]; cancellations: Uint8Array[] }> {
  const { orders = [], cancellations = [] } = await world.dispatcher.tracks.pull(
    request(PullRequestSchema, { ordersMax: 16 }),
    world.as(station),
  );
  return {
    orders: orders.map(({ order }) =>
      verifyOrder(parseEnvelope(order ?? new Uint8Array(), 'order'), world.fake.network, station),
    ),
    proofs: orders.map(({ proof }) => proof ?? new Uint8Array()),
    cancellations,
  };
}

export type ReceiptPlan = {
  outcome?: Outcome;
  code?: 'released' | ErrorCode;
  jwe?: Uint8Array | null;
  jweDigest?: Digest | null;
  signer?: string;
  issuer?: string;
  subject?: Digest;
  manifestDigest?: Digest;
  attempt?: number;
  issuedAtMs?: number;
};

export function receiptFor(
  world: World,
  order: VerifiedOrder,
  plan: ReceiptPlan = {},
): { receipt: Uint8Array; jwe: Uint8Array } {
  const { outcome = 'released', jwe = Buffer.from('sealed for rosa') } = plan;
  const station = order.predicate.audience;
  const predicate = {
    networkId: world.fake.network.id,
    networkVersion: 1,
    issuer: plan.issuer ?? station,
    manifestDigest: plan.manifestDigest ?? order.subject,
    step: 'run',
    round: 1,
    attempt: plan.attempt ?? order.predicate.attempt,
    outcome,
    code: plan.code ?? (outcome === 'released' ? 'released' : 'policy.denied'),
    jweDigest: plan.jweDigest !== undefined ? plan.jweDigest : jwe === null ? null : digestOf(jwe),
    commitment: null,
    quotes: null,
    issuedAtMs: plan.issuedAtMs ?? NOW_MS,
  };
  const subject = { name: 'order', digest: plan.subject ?? order.digest };
  const { signer } = memberIn(world.fake, plan.signer ?? station);
  const { envelope } = signStatement('receipt', subject, predicate, signer);
  return { receipt: encodeEnvelope(envelope), jwe: jwe ?? new Uint8Array() };
}

/** The entry about this receipt in its station's ledger. */
export function receiptEntry(world: World, order: VerifiedOrder, receipt: Uint8Array): LedgerEntry {
  const { audience, attempt, epoch } = order.predicate;
  return {
    v: 1,
    ts: world.clock.ms,
    type: 'receipt.issued',
    ...{ trainId: trainIdOf(order.subject), hopId: order.hopId, attempt, epoch },
    ...{ manifestDigest: order.subject, actor: audience, prev: null },
    body: { receiptDigest: digestOf(payloadOf(parseEnvelope(receipt, 'receipt'))) },
  };
}

/** A `.tlog-proof` under a checkpoint that these witnesses have cosigned. */
export function cosigned(world: World, proof: Uint8Array, ...witnesses: string[]): Uint8Array {
  const { checkpoint, ...rest } = parseTlogProof(proof);
  const note = parseNote(checkpoint);
  const lines = witnesses.map((id) => {
    const { witness } = memberIn(world.fake, id).keys;
    const key = witnessKey(world.fake.network.id, id, publicOf(witness));
    return cosignCheckpoint(
      note.text,
      { key, sign: signerOf(witness).sign },
      Math.floor(world.clock.ms / 1000),
    );
  });
  return Buffer.from(formatTlogProof({ ...rest, checkpoint: formatNote(addSignatures(note, lines)) }));
}

export type ReportBody = { progress: string } | { receipt: Uint8Array; jwe: Uint8Array; proof?: Uint8Array };

export async function report(
  world: World,
  order: VerifiedOrder,
  body: ReportBody,
  {
    caller = order.predicate.audience,
    key = newKey(),
    epoch = order.predicate.epoch,
    hopId = order.hopId as string,
  } = {},
): Promise<void> {
  const proven = (sealed: { receipt: Uint8Array }): Uint8Array =>
    logOf(world.fake, order.predicate.audience).prove(receiptEntry(world, order, sealed.receipt));
  const wire =
    'progress' in body
      ? ({ case: 'progress', value: body.progress } as const)
      : ({ case: 'receipt', value: { ...body, proof: body.proof ?? proven(body) } } as const);
  await world.dispatcher.tracks.report(
    request(ReportRequestSchema, { idempotencyKey: key, hopId, epoch: BigInt(epoch), body: wire }),
    world.as(caller),
  );
}
