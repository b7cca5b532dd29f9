import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import Docker from 'dockerode';
import { loadKey } from '../../src/adapters/home/keys.ts';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import type { SealedReceipt } from '../../src/gen/pht/v1/tracks_pb.ts';
import { parseEnvelope } from '../../src/model/dsse.ts';
import { digestOf } from '../../src/model/id.ts';
import { decodeEntry, type LedgerEntry } from '../../src/model/ledger/entry.ts';
import { ledgerOrigin } from '../../src/model/ledger/origin.ts';
import { type Receipt, verifyReceipt } from '../../src/model/receipt.ts';
import type { Signer } from '../../src/ports/signer.ts';
import { memoryLog } from '../fakes/dispatcher-log.ts';
import { arms, type Journey, makeJourney } from '../journey/harness.ts';
import { ok, until } from '../journey/processes.ts';
import { type LyingDispatcher, startLyingDispatcher } from './lying-dispatcher.ts';
import { type Ordered, type OrderLies, orderFor, type Train, trainOf } from './trains.ts';

/** Two stations that permit any train and one whose admin is asked; all three behind the same liar. */
export const STATIONS = ['north', 'south', 'east'] as const;
const ASKS = 'east';

const WAIT_MS = 60_000;

export type Heard = {
  receipt: Receipt;
  receiptDigest: string;
  bytes: Uint8Array;
  jwe: Uint8Array;
  end: string;
};

export type Rig = {
  readonly journey: Journey;
  readonly liar: LyingDispatcher;
  signer(member: string, use?: 'statement' | 'log'): Promise<Signer>;
  /** Packed by `pht train pack` in the researcher's home. */
  pack(directory: string): Promise<Train>;
  /** A blob as the researcher's own depot holds it. */
  blob(digest: string): Promise<Uint8Array>;
  order(station: string, train: Pick<Train, 'manifest' | 'digest'>, lies?: OrderLies): Ordered;
  send(station: string, ...ordered: Pick<Ordered, 'order' | 'manifest' | 'proof'>[]): void;
  /** The station's signed word on this order, once `count` reports carried it; all of them were the same bytes. */
  heard(station: string, ordered: Ordered, count?: number): Promise<Heard>;
  /** Sends, has the admin approve where one is asked, and waits for the end. */
  travelled(station: string, ordered: Ordered): Promise<Heard>;
  waiting(station: string, ordered: Ordered): Promise<void>;
  approve(station: string, ordered: Ordered): Promise<void>;
  entries(station: string): LedgerEntry[];
  rows(station: string, sql: string, ...values: string[]): Record<string, unknown>[];
  /** Everything of this network in the engine, running or not. */
  containers(): Promise<string[]>;
  rssBytes(station: string): Promise<number>;
  close(): Promise<void>;
};

/** What the cases share. */
export type Scene = {
  rig: Rig;
  hello: Train;
  lee: Signer;
  /** What was released before the lies began. */
  control: Record<string, { ordered: Ordered; heard: Heard }>;
};

export async function openRig({ witnesses = false } = {}): Promise<Rig> {
  const journey = await makeJourney(
    STATIONS.map((id) => ({ id, policy: id === ASKS ? 'ask' : 'permit', ...arms(61, 62) })),
    { witnesses },
  );
  const liar = await startLyingDispatcher(journey.home('dispatcher'));
  await Promise.all(STATIONS.map((station) => journey.startStation(station)));
  const signer = signers(journey);
  const log = memoryLog(ledgerOrigin(liar.network.id, 'dispatcher'), await signer('dispatcher', 'log'));
  const dispatcher = { ...(await signer('dispatcher')), log };
  const order: Rig['order'] = (station, train, lies) =>
    orderFor(liar.network, station, train, dispatcher, lies);
  const send: Rig['send'] = (station, ...ordered) => liar.offer(station, { orders: ordered });
  const reads = reader(journey);
  const waiting: Rig['waiting'] = async (station, { hopId }) =>
    void (await until(`${hopId} waits at ${station}`, async () =>
      liar
        .reports(station)
        .some((report) => report.hopId === hopId && report.body.value === 'awaiting-clearance'),
    ));
  const approve: Rig['approve'] = async (station, { hopId }) => {
    const socket = join(journey.home(station), 'admin.sock');
    const said = ['--socket', socket, '--reason', 'looked at it'];
    await ok(journey.home(`${station}-admin`), ['station', 'approve', hopId, ...said]);
  };
  const heard: Rig['heard'] = (station, ordered, count) => hear(liar, station, ordered, count);
  return {
    ...{ journey, liar, signer, order, send, heard, waiting, approve, ...reads },
    pack: async (directory) => {
      const stops = STATIONS.flatMap((station) => ['--stop', station]);
      const packed = await ok<{ directory: string }>(journey.home('lee'), [
        'train',
        'pack',
        directory,
        ...stops,
      ]);
      return trainOf(await readFile(join(packed.directory, 'manifest.dsse.json')));
    },
    blob: (digest) => readFile(join(journey.home('lee'), 'depot', 'blobs', 'sha256', digest)),
    travelled: async (station, ordered) => {
      send(station, ordered);
      if (station === ASKS) {
        await waiting(station, ordered);
        await approve(station, ordered);
      }
      return heard(station, ordered);
    },
    close: async () => {
      await liar.close();
      await journey.close();
      await forgetImages(`signalbox/${liar.network.id.slice(0, 12)}/`);
    },
  };
}

/** Stations keep what they loaded; nobody will ask for these again. */
async function forgetImages(prefix: string): Promise<void> {
  const docker = new Docker();
  const tags = (await docker.listImages()).flatMap(({ RepoTags }) => RepoTags ?? []);
  for (const tag of tags.filter((name) => name.startsWith(prefix))) await docker.getImage(tag).remove();
}

export function everywhere<T>(look: (station: string) => Promise<T>): Promise<T[]> {
  return Promise.all(STATIONS.map(look));
}

function signers(journey: Journey): Rig['signer'] {
  return async (member, use = 'statement') => {
    const noPassphrase = (): Promise<never> => Promise.reject(new Error('the keys of tests are in clear'));
    return createSigner(await loadKey(journey.home(member), use, noPassphrase));
  };
}

async function hear(liar: LyingDispatcher, station: string, ordered: Ordered, count = 1): Promise<Heard> {
  const found = (): SealedReceipt[] =>
    liar.reports(station).flatMap(({ hopId, body }) => {
      return hopId === ordered.hopId && body.case === 'receipt' ? [body.value] : [];
    });
  const sealed = await until(
    `a receipt for ${ordered.hopId} at ${station}`,
    async () => found().length >= count && found(),
    WAIT_MS,
  );
  const [first, ...again] = sealed;
  if (first === undefined) throw new Error('no receipt');
  for (const other of again) {
    if (Buffer.compare(first.receipt, other.receipt) !== 0 || Buffer.compare(first.jwe, other.jwe) !== 0)
      throw new Error(`${station} said two things about ${ordered.hopId}`);
  }
  const { predicate, subject, digest } = verifyReceipt(
    parseEnvelope(first.receipt, 'receipt'),
    liar.network,
    station,
  );
  if (subject !== ordered.orderDigest) throw new Error('the receipt is for another order');
  if (predicate.jweDigest !== (first.jwe.byteLength === 0 ? null : digestOf(first.jwe)))
    throw new Error('the receipt does not bind what came with it');
  const end = `${predicate.outcome} ${predicate.code}`;
  return { receipt: predicate, receiptDigest: digest, bytes: first.receipt, jwe: first.jwe, end };
}

function reader(journey: Journey): Pick<Rig, 'entries' | 'rows' | 'containers' | 'rssBytes'> {
  const rows: Rig['rows'] = (station, sql, ...values) => {
    const database = new DatabaseSync(join(journey.home(station), 'state.db'), { readOnly: true });
    try {
      return database.prepare(sql).all(...values);
    } finally {
      database.close();
    }
  };
  return {
    rows,
    entries: (station) =>
      rows(station, 'SELECT bytes FROM ledger_entries ORDER BY idx').map(({ bytes }) =>
        decodeEntry(bytes as Uint8Array),
      ),
    containers: async () => {
      const { networkId } = await ok<{ networkId: string }>(journey.home('net'), ['network', 'show']);
      const all = await new Docker().listContainers({ all: true, filters: { label: ['signalbox.owner'] } });
      return all
        .map(({ Labels }) => Labels['signalbox.owner'] ?? '')
        .filter((owner) => owner.startsWith(networkId.slice(0, 12)));
    },
    rssBytes: async (station) => {
      const pid = journey.servers.get(station)?.child.pid;
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
    },
  };
}
