import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { storeNextKeys } from '../../src/adapters/home/key-rotation.ts';
import { keysFolder, storeKey } from '../../src/adapters/home/keys.ts';
import type { Home } from '../../src/adapters/home/member.ts';
import { currentNetwork, importNetwork, storeNetwork } from '../../src/adapters/home/network-file.ts';
import { openDispatcherStore } from '../../src/adapters/store/dispatcher-store.ts';
import { openStationStore } from '../../src/adapters/store/station-store.ts';
import type { Channel } from '../../src/adapters/wire/client.ts';
import { composeDispatcherLedger } from '../../src/cli/dispatcher-ledger.ts';
import { composeStationLedger } from '../../src/cli/station-ledger.ts';
import {
  AddCheckpointRequestSchema,
  AddCheckpointResponseSchema,
  AnswerRequestSchema,
  AnswerResponseSchema,
  ListenRequestSchema,
  ListenResponseSchema,
  SeenRequestSchema,
  SeenResponseSchema,
  type WitnessService,
} from '../../src/gen/pht/v1/witness_pb.ts';
import { witnessService } from '../../src/journey/dispatcher/witness-service.ts';
import type { Witnesses } from '../../src/journey/dispatcher/witnesses.ts';
import { PhtError } from '../../src/model/error.ts';
import { openCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { decodeEntry } from '../../src/model/ledger/entry.ts';
import { readRotation, wrongKeyOf } from '../../src/model/ledger/rotation.ts';
import type { NoteKey } from '../../src/model/ledger/vkey.ts';
import type { Network } from '../../src/model/network.ts';
import type { NetworkFiles } from '../../src/model/network-statements.ts';
import { logKeysOf, witnessKeysOf } from '../../src/model/past-keys.ts';
import type { Ledger, LedgerRows, NewEntry } from '../../src/ports/ledger.ts';
import type { CallContext, Client } from '../../src/ports/wire.ts';
import { ed25519, type FakeNetwork, makeNetwork, memberIn, publicOf } from '../fakes/network.ts';

/**
 * A dispatcher and two stations, put together as their processes do it, each the witness of the others, from real homes:
 * their log and witness keys are replaced while they are at work.
 */

const IDS = ['dispatcher', 'north', 'south'] as const;
type Id = (typeof IDS)[number];

type Running = {
  ledger: Ledger;
  rows: LedgerRows;
  /** Whether the first entry of this start is signed. */
  sign(): Promise<'signed' | 'not yet'>;
  /** Appends an entry, and has it signed, cosigned and published. */
  grow(): Promise<void>;
  takeUpKeys(): Promise<void>;
  close(): Promise<void>;
};

let parent: string;
let fake: FakeNetwork;
const homes = new Map<Id, Home>();
const running = new Map<Id, Running>();
let notes: string[];

const homeOf = (id: Id): Home => homes.get(id) ?? missing(id);
const at = (id: Id): Running => running.get(id) ?? missing(id);
const missing = (id: string): never => {
  throw new Error(`there is no ${id}`);
};
const note = (text: string): void => void notes.push(text);

beforeEach(async () => {
  // Synced commits are slow on a disk.
  parent = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'running-keys-'));
  notes = [];
  fake = await makeNetwork({ witnessing: { quorum: 2, faulty: 1, witnesses: [...IDS] } });
  for (const id of IDS) {
    const dir = join(parent, id);
    mkdirSync(keysFolder(dir), { recursive: true, mode: 0o700 });
    for (const use of ['log', 'witness'] as const)
      await storeKey(dir, use, memberIn(fake, id).keys[use], null);
    storeNetwork(dir, fake.files, fake.network);
    const { role } = memberIn(fake, id);
    const named = { v: 1, id, role, title: id, organisation: 'o', networkId: fake.network.id } as const;
    homes.set(id, { dir, member: named });
  }
  await start();
});
afterEach(async () => {
  await stop();
  rmSync(parent, { recursive: true, force: true });
});

async function start(): Promise<void> {
  const witnesses = await startDispatcher();
  for (const id of ['north', 'south'] as const) await startStation(id, witnesses);
  // A member signs and cosigns nothing before the others have said what they saw of its own ledger.
  for (const id of IDS) await expect.poll(() => at(id).sign(), { timeout: 5000, interval: 5 }).toBe('signed');
}

async function stop(): Promise<void> {
  for (const id of IDS.toReversed()) await at(id).close();
}

const ENTRY: NewEntry = {
  ...{ trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null },
  ...{ type: 'rejects.counted', body: { count: 1 } },
};

async function startDispatcher(): Promise<Witnesses> {
  const home = homeOf('dispatcher');
  const store = openDispatcherStore(join(home.dir, 'state.db'), 'dispatcher');
  const over = new AbortController();
  const parts = await composeDispatcherLedger(home, { store, note, signal: over.signal });
  const { ledger, gather, takeUpKeys, witnesses } = parts;
  await ledger.open();
  const first = store.atomically(() => store.append([ENTRY], Date.now()));
  running.set('dispatcher', {
    ...{ ledger, takeUpKeys, rows: store.ledgerRows, sign: () => signed(ledger, first) },
    grow: async () => {
      await ledger.covered(store.atomically(() => store.append([ENTRY], Date.now())));
      await gather(over.signal);
    },
    close: async () => {
      over.abort(new PhtError('cancelled', 'over'));
      store.close();
    },
  });
  return witnesses;
}

async function startStation(id: Id, witnesses: Witnesses): Promise<void> {
  const home = homeOf(id);
  const store = openStationStore(join(home.dir, 'state.db'), id);
  const channel = { client: () => clientOf(witnesses, id) } as unknown as Channel;
  const own = await composeStationLedger(home, { store, channel, note });
  const over = new AbortController();
  const { ledger, witnessing, takeUpKeys } = own;
  await ledger.open();
  const listening = own.listenAsWitness(over.signal).catch((thrown: unknown) => {
    if (!over.signal.aborted) throw thrown;
  });
  const first = store.log.append([ENTRY], Date.now());
  running.set(id, {
    ...{ ledger, takeUpKeys, rows: store.ledgerRows, sign: () => signed(ledger, first) },
    grow: async () => {
      store.log.append([ENTRY], Date.now());
      await witnessing.covered(store.ledgerRows.size(), over.signal);
    },
    close: async () => {
      over.abort(new PhtError('cancelled', 'over'));
      own.close();
      await listening;
      store.close();
    },
  });
}

async function signed(ledger: Ledger, size: number): Promise<'signed' | 'not yet'> {
  try {
    await ledger.covered(size);
    return 'signed';
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'ledger.unchecked') return 'not yet';
    throw thrown;
  }
}

/** The dispatcher's service without the wire between. */
function clientOf(witnesses: Witnesses, id: Id): Client<typeof WitnessService> {
  const service = witnessService(witnesses);
  const as = (signal = new AbortController().signal): CallContext => ({
    caller: fake.network.members.get(id) ?? null,
    signal,
  });
  return {
    addCheckpoint: async (request, options) =>
      create(
        AddCheckpointResponseSchema,
        await service.addCheckpoint(create(AddCheckpointRequestSchema, request), as(options?.signal)),
      ),
    seen: async (request, options) =>
      create(SeenResponseSchema, await service.seen(create(SeenRequestSchema, request), as(options?.signal))),
    listen: async function* (request, options) {
      for await (const asked of service.listen(create(ListenRequestSchema, request), as(options?.signal)))
        yield create(ListenResponseSchema, asked);
    },
    answer: async (request, options) =>
      create(
        AnswerResponseSchema,
        await service.answer(create(AnswerRequestSchema, request), as(options?.signal)),
      ),
  };
}

/** New keys wait in each home, and the authority has listed them. */
async function renewed(): Promise<NetworkFiles> {
  const members = [];
  for (const id of IDS) {
    const made = { log: ed25519(), witness: ed25519() };
    await storeNextKeys(homeOf(id), made, () => missing('passphrase'));
    const listed = fake.network.members.get(id) ?? missing(id);
    const keys = { ...listed.keys, log: publicOf(made.log), witness: publicOf(made.witness) };
    members.push({ member: { ...listed, keys } });
  }
  return fake.next({ renewed: members, issuedAtMs: Date.now() }).files;
}

const network = (): Network => currentNetwork(homeOf('dispatcher'));
const logKeys = (id: Id): NoteKey[] => logKeysOf(network(), id).map(({ key }) => key);
const witnessKeys = (): NoteKey[] => IDS.flatMap((id) => witnessKeysOf(network(), id).map(({ key }) => key));

/** Who signed and who cosigned the published head, each as `id 0` with the first of his keys and so on. */
function shown(id: Id): { size: number; signedBy: string[]; cosigned: string[] } {
  const trust = { origin: at(id).ledger.origin, logKeys: logKeys(id), witnessKeys: witnessKeys() };
  const { checkpoint, signedBy, cosignatures } = openCheckpoint(at(id).ledger.published()?.text ?? '', trust);
  const named = (key: NoteKey): string => {
    const owner = IDS.find((each) => key.name.includes(`/${each}`)) ?? missing(key.name);
    const own = [...logKeys(owner), ...witnessKeysOf(network(), owner).map((past) => past.key)];
    return `${owner} ${own.filter(({ type }) => type === key.type).findIndex(({ keyId }) => keyId === key.keyId)}`;
  };
  return {
    size: checkpoint.size,
    signedBy: signedBy.map(named),
    cosigned: cosignatures.map(({ key }) => named(key)).sort(),
  };
}

/** Every head that was ever signed has the key that belongs to its size. */
function assertKeys(id: Id, changes: number): void {
  const { rows } = at(id);
  const keys = logKeys(id);
  const rotations = rows
    .read(0, rows.size())
    .map(decodeEntry)
    .flatMap(({ type, body }, index) => (type === 'log.rotated' ? [readRotation(body, index, keys)] : []));
  expect(rotations).toHaveLength(changes);
  for (let size = 1; size <= rows.size(); size++) {
    const text = rows.signedAt(size)?.text;
    if (text === undefined) continue;
    const { signedBy } = openCheckpoint(text, {
      origin: at(id).ledger.origin,
      logKeys: keys,
      witnessKeys: [],
    });
    expect(wrongKeyOf(size, signedBy, rotations)).toBeNull();
  }
}

const others = (id: Id, key: number): string[] =>
  IDS.filter((each) => each !== id).map((each) => `${each} ${key}`);

describe('log and witness keys that are replaced', () => {
  test('are in use from the next head on, with no cosignature missing, and after a start', async () => {
    for (let key = 0; key < 3; key++) {
      if (key > 0) {
        const files = await renewed();
        for (const id of IDS) {
          importNetwork(homeOf(id), files);
          await at(id).takeUpKeys();
        }
      }
      for (const id of IDS) await at(id).grow();
      for (const id of IDS)
        expect(shown(id)).toEqual({
          // With the entry about each change.
          size: 2 * key + 2,
          signedBy: [`${id} ${key}`],
          cosigned: others(id, key),
        });
    }
    await stop();
    await start();
    for (const id of IDS) {
      await at(id).grow();
      expect(shown(id)).toMatchObject({ size: 8, signedBy: [`${id} 2`], cosigned: others(id, 2) });
      assertKeys(id, 2);
    }
    const told = IDS.flatMap(() => ['a new log key is in use', 'a new witness key is in use']);
    expect(notes.filter((text) => text.includes('key')).sort()).toEqual([...told, ...told].sort());
  });

  test('keep what they sign until the others have the file too, and then all is cosigned', async () => {
    for (const id of IDS) await at(id).grow();
    const files = await renewed();
    importNetwork(homeOf('dispatcher'), files);
    await at('dispatcher').takeUpKeys();
    // Of one that has heard of it and others that have not, none knows the other's key.
    for (const id of IDS) await expect(at(id).grow()).rejects.toMatchObject({ code: 'witness.unreachable' });
    expect(IDS.map((id) => at(id).rows.checkpoint()?.size)).toEqual([4, 3, 3]);
    for (const id of ['north', 'south'] as const) {
      importNetwork(homeOf(id), files);
      await at(id).takeUpKeys();
    }
    for (const id of IDS) {
      await at(id).grow();
      expect(shown(id)).toEqual({ size: 5, signedBy: [`${id} 1`], cosigned: others(id, 1) });
      assertKeys(id, 1);
    }
  });

  test('of the ledger are taken up with the first head, whoever has looked for them before', async () => {
    for (const id of IDS) await at(id).grow();
    const files = await renewed();
    for (const id of IDS) importNetwork(homeOf(id), files);
    for (const id of IDS) {
      await at(id).grow();
      // A witness that has not looked yet goes on with the key before, and that counts.
      expect(shown(id)).toEqual({ size: 4, signedBy: [`${id} 1`], cosigned: others(id, 0) });
    }
  });
});
