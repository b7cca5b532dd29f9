import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeNetworkFile, importNetwork } from '../../src/adapters/home/network-file.ts';
import { DepartRequestSchema } from '../../src/gen/pht/v1/journeys_pb.ts';
import { FetchRequestSchema, GiveOutRequestSchema } from '../../src/gen/pht/v1/network_pb.ts';
import {
  AnnounceRequestSchema,
  PullRequestSchema,
  WakeRequestSchema,
} from '../../src/gen/pht/v1/tracks_pb.ts';
import { digestOf } from '../../src/model/id.ts';
import { NETWORK_BYTES_MAX, PIECE_BYTES } from '../../src/model/network-news.ts';
import type { NetworkFiles } from '../../src/model/network-statements.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import {
  CONFIG,
  LAYER,
  makeWorld,
  manifestFor,
  NOW_MS,
  newKey,
  pull,
  receiptFor,
  report,
  request,
  signManifest,
  submit,
  underWay,
  upload,
  type World,
} from './desk.ts';

/** The network file at a dispatcher: passed on, believed only as far as it is signed, and acted upon. */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
let fake: FakeNetwork;
let world: World;

beforeEach(async () => {
  fake = await makeNetwork({
    stations: ['north', 'south', 'west'],
    researchers: ['rosa', 'otto'],
    auditors: ['dora'],
    authorities: ['net'],
    nowMs: NOW_MS,
  });
  world = await makeWorld({}, { fake });
  world.dispatcher.followNetwork();
});
afterEach(() => world.close());

const bytesOf = (files: NetworkFiles): Uint8Array => Buffer.from(encodeNetworkFile(files));

async function giveOut(
  file: Uint8Array,
  caller = 'net',
): Promise<{ networkVersion?: number; changed?: boolean }> {
  async function* pieces() {
    for (let at = 0; at < file.length; at += PIECE_BYTES)
      yield request(GiveOutRequestSchema, { piece: file.subarray(at, at + PIECE_BYTES) });
  }
  return world.dispatcher.network.giveOut(pieces(), world.as(caller));
}

async function fetched(caller: string | null, held: Partial<Held>): Promise<Uint8Array[]> {
  const { network } = fake;
  const all: Held = {
    rootVersion: network.rootVersion,
    networkVersion: network.version,
    freshnessIssuedAtMs: BigInt(network.freshness.issuedAtMs),
    certificateNotAfterMs: BigInt(NOW_MS + 400 * DAY_MS),
  };
  const context = caller === null ? { ...world.as('net'), caller: null } : world.as(caller);
  const pieces: Uint8Array[] = [];
  for await (const { piece } of world.dispatcher.network.fetch(
    request(FetchRequestSchema, { ...all, ...held }),
    context,
  ))
    pieces.push(piece ?? new Uint8Array());
  return pieces;
}
type Held = {
  rootVersion: number;
  networkVersion: number;
  freshnessIssuedAtMs: bigint;
  certificateNotAfterMs: bigint;
};

const changes = () => world.entries().filter(({ type }) => type === 'network.changed');
const stopsOf = (trainId: string): string[] =>
  world.store.stops.list({ trainId }).map(({ station, state, code }) => `${station} ${state} ${code}`);
const stateOf = (trainId: string): string | undefined => world.store.trains.find(trainId)?.state;

/** What another process did with `pht network import`, and the look that follows it. */
function imported({ files }: { files: NetworkFiles }): void {
  importNetwork(world.home, files);
  world.dispatcher.followNetwork();
}

async function counted(code: string): Promise<boolean> {
  world.clock.ms += 60_000;
  await world.dispatcher.sweep();
  const rows = world.entries().filter(({ type }) => type === 'rejects.counted');
  return rows.some(({ body }) => (body['codes'] as string[]).some((each) => each.startsWith(`${code} `)));
}

describe('fetching', () => {
  it.each<[string, Partial<Held>]>([
    ['root', { rootVersion: 0 }],
    ['list of members', { networkVersion: 0 }],
    ['word on freshness', { freshnessIssuedAtMs: BigInt(NOW_MS - 1) }],
    ['certificate', { certificateNotAfterMs: BigInt(NOW_MS) }],
  ])('brings the whole file, in pieces, to whoever has an older %s', async (_what, held) => {
    const pieces = await fetched('north', held);
    expect(Buffer.concat(pieces)).toEqual(bytesOf(fake.files));
    expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThanOrEqual(PIECE_BYTES);
  });

  it('brings nothing to whoever has it, and is for members alone', async () => {
    for (const id of ['north', 'rosa', 'dora', 'net']) expect(await fetched(id, {})).toEqual([]);
    await expect(fetched(null, { networkVersion: 0 })).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe('giving out', () => {
  it('is on record once, wakes every station, and is shown to each', async () => {
    const controller = new AbortController();
    const wakes = world.dispatcher.tracks
      .wake(request(WakeRequestSchema, {}), world.as('north', controller.signal))
      [Symbol.asyncIterator]();
    await wakes.next();
    const woken = wakes.next();
    const next = fake.next({ issuedAtMs: NOW_MS + 1, revoked: [{ id: 'otto', reason: 'left' }] });
    expect(await giveOut(bytesOf(next.files))).toEqual({ networkVersion: 2, changed: true });
    expect((await woken).done).toBe(false);
    controller.abort();
    expect(await giveOut(bytesOf(next.files))).toEqual({ networkVersion: 2, changed: false });
    const shown = { networkVersion: 2, freshnessIssuedAtMs: BigInt(NOW_MS + 1) };
    const { tracks } = world.dispatcher;
    expect(await tracks.announce(request(AnnounceRequestSchema, {}), world.as('north'))).toMatchObject(shown);
    expect(await tracks.pull(request(PullRequestSchema, {}), world.as('north'))).toMatchObject(shown);
    await world.restart();
    world.dispatcher.followNetwork();
    expect(changes().map(({ body }) => body['version'])).toEqual([1, 2]);
    expect(changes()[1]?.body).toEqual({ version: 2, digest: next.network.digest, rootVersion: 1 });
  });

  it('of a younger word on freshness is no new list', async () => {
    await giveOut(bytesOf(fake.fresh(NOW_MS + HOUR_MS).files));
    expect(changes()).toHaveLength(1);
    expect((await fetched('north', {})).length).toBeGreaterThan(0);
  });

  it('is put on record at the next start when a crash came between', async () => {
    const { files } = fake.without('otto');
    await world.restart(() => importNetwork(world.home, files));
    world.dispatcher.followNetwork();
    expect(changes().map(({ body }) => body['version'])).toEqual([1, 2]);
  });

  it.each(['north', 'rosa', 'dora'])('is not for %s', async (caller) => {
    await expect(giveOut(bytesOf(fake.without('otto').files), caller)).rejects.toMatchObject({
      code: 'forbidden',
    });
    expect(changes()).toHaveLength(1);
  });

  it.each<[string, () => Promise<Uint8Array>, string]>([
    ['an older file', async () => bytesOf(fake.files), 'network.rollback'],
    [
      'a list that others have signed',
      async () => {
        const others = await makeNetwork();
        others.next({});
        return bytesOf({ ...fake.files, members: others.next({}).files.members });
      },
      'signature.invalid',
    ],
    ['the file of another network', async () => bytesOf((await makeNetwork()).files), 'network.mismatch'],
    ['what is no file', async () => Buffer.from('{}'), 'input.malformed'],
    ['more than a network file may have', async () => Buffer.alloc(NETWORK_BYTES_MAX + 1), 'input.too-large'],
  ])('of %s is refused and counted', async (_what, file, code) => {
    await giveOut(bytesOf(fake.without('otto').files));
    await expect(giveOut(await file())).rejects.toMatchObject({ code });
    expect(await counted(code)).toBe(true);
    expect(changes()).toHaveLength(2);
  });

  it('of two lists for one version is found out', async () => {
    const one = fake.next({ revoked: [{ id: 'otto', reason: 'left' }] });
    await giveOut(bytesOf(one.files));
    // The authority signs another second version, over the same first one.
    const forked = fake.fork({ revoked: [{ id: 'rosa', reason: 'another story' }] });
    await expect(giveOut(bytesOf(forked.files))).rejects.toMatchObject({ code: 'network.forked' });
    expect(await counted('network.forked')).toBe(true);
  });
});

describe('a researcher who is revoked', () => {
  it('has every train under way taken back, and no late receipt revives one', async () => {
    const trainId = await underWay(world);
    const [north] = (await pull(world, 'north')).orders;
    if (north === undefined) throw new Error('no order');
    imported(fake.without('rosa'));
    expect(stateOf(trainId)).toBe('cancelled');
    expect(stopsOf(trainId)).toEqual(['north unheard signer.revoked', 'south unheard signer.revoked']);
    expect((await pull(world, 'south')).orders).toEqual([]);
    await report(
      world,
      north,
      receiptFor(world, north, { outcome: 'refused', code: 'signer.revoked', jwe: null }),
    );
    expect(stopsOf(trainId)[0]).toBe('north refused signer.revoked');
    expect(stateOf(trainId)).toBe('cancelled');
    const types = world.entries().map(({ type }) => type);
    expect(types.filter((type) => type === 'train.cancelled')).toHaveLength(1);
    expect(types.filter((type) => type === 'hop.unheard')).toHaveLength(2);
    expect(types).not.toContain('train.arrived');
  });

  it('has one that was loading taken back too, which then does not depart', async () => {
    const { trainId } = await submit(world, signManifest(world, manifestFor(world)));
    imported(fake.without('rosa'));
    expect(stateOf(trainId)).toBe('cancelled');
    const departing = world.dispatcher.journeys.depart(
      request(DepartRequestSchema, { idempotencyKey: newKey(), trainId }),
      world.as('rosa'),
    );
    await expect(departing).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('does not come back with a manifest of the version in which he still was one', async () => {
    const manifest = signManifest(world, manifestFor(world));
    imported(fake.without('rosa'));
    await expect(submit(world, manifest)).rejects.toMatchObject({ code: 'signer.revoked' });
    const types = world.entries().filter(({ type }) => type === 'train.rejected');
    expect(types.map(({ body }) => body['code'])).toEqual(['signer.revoked']);
  });
});

describe('a station that is revoked', () => {
  const route = { pattern: 'parallel' as const, stops: ['north', 'south'], deadlineMs: 60_000 };

  it.each([
    [1, 'arrived'],
    [2, 'failed'],
  ])(
    'is heard no more; of %i that a journey needs, the others are counted: %s',
    async (minStations, state) => {
      const trainId = await underWay(world, { route: { ...route, minStations } });
      const [[north], [south]] = [(await pull(world, 'north')).orders, (await pull(world, 'south')).orders];
      if (north === undefined || south === undefined) throw new Error('no order');
      await report(world, north, receiptFor(world, north));
      imported(fake.without('south'));
      expect(stopsOf(trainId)).toEqual(['north released released', 'south unheard signer.revoked']);
      expect(stateOf(trainId)).toBe(state);
      await expect(report(world, south, receiptFor(world, south))).rejects.toMatchObject({
        code: 'signer.revoked',
      });
      expect(stopsOf(trainId)[1]).toBe('south unheard signer.revoked');
      expect(await counted('signer.revoked')).toBe(true);
    },
  );

  it('is no stop of a train that departs later', async () => {
    const { trainId } = await submit(world, signManifest(world, manifestFor(world)));
    await upload(world, trainId, digestOf(CONFIG), CONFIG);
    await upload(world, trainId, digestOf(LAYER), LAYER);
    imported(fake.without('south'));
    await world.dispatcher.journeys.depart(
      request(DepartRequestSchema, { idempotencyKey: newKey(), trainId }),
      world.as('rosa'),
    );
    expect(stopsOf(trainId)).toEqual(['north ordered ', 'south unheard signer.revoked']);
    await expect(submit(world, signManifest(world, manifestFor(world)))).rejects.toMatchObject({
      code: 'manifest.invalid',
    });
  });
});

describe('admission', () => {
  it('waits for a word on freshness that is young enough', async () => {
    const manifest = manifestFor(world, { issuedAtMs: NOW_MS + 7 * DAY_MS, expiresMs: NOW_MS + 9 * DAY_MS });
    world.clock.ms = NOW_MS + 7 * DAY_MS;
    await expect(submit(world, signManifest(world, manifest))).rejects.toMatchObject({
      code: 'network.stale',
    });
    imported(fake.fresh(world.clock.ms));
    await submit(world, signManifest(world, manifest));
  });

  it('and so does a departure', async () => {
    const manifest = manifestFor(world, { expiresMs: NOW_MS + 9 * DAY_MS });
    const { trainId } = await submit(world, signManifest(world, manifest));
    await upload(world, trainId, digestOf(CONFIG), CONFIG);
    await upload(world, trainId, digestOf(LAYER), LAYER);
    world.clock.ms = NOW_MS + 7 * DAY_MS;
    const departure = () => request(DepartRequestSchema, { idempotencyKey: newKey(), trainId });
    const depart = async () => world.dispatcher.journeys.depart(departure(), world.as('rosa'));
    await expect(depart()).rejects.toMatchObject({ code: 'network.stale' });
    expect(stateOf(trainId)).toBe('loading');
    imported(fake.fresh(world.clock.ms));
    await depart();
    expect(stateOf(trainId)).toBe('under-way');
  });

  it('and so does every further order, which the next fresh file brings', async () => {
    const manifest = manifestFor(world, { expiresMs: NOW_MS + 9 * DAY_MS });
    const { trainId } = await submit(world, signManifest(world, manifest));
    await upload(world, trainId, digestOf(CONFIG), CONFIG);
    await upload(world, trainId, digestOf(LAYER), LAYER);
    const train = world.store.trains.find(trainId);
    if (train === null) throw new Error('there is no such train');
    world.store.trains.move(train.trainId, 'loading', 'under-way');
    const ordered = () => world.store.stops.list({ trainId }).map(({ station }) => station);
    world.clock.ms = NOW_MS + 8 * DAY_MS;
    imported(fake.fresh(NOW_MS + HOUR_MS));
    expect(ordered()).toEqual([]);
    imported(fake.fresh(world.clock.ms));
    expect(ordered()).toEqual(manifest.route.stops);
    // Once each, however often a file comes.
    imported(fake.fresh(world.clock.ms + 1));
    expect(ordered()).toEqual(manifest.route.stops);
    expect(world.entries().filter(({ type }) => type === 'order.issued')).toHaveLength(
      manifest.route.stops.length,
    );
  });

  it('waits for the list that the authority says there is', async () => {
    imported(fake.fresh(NOW_MS + 1, { version: 2 }));
    await expect(submit(world, signManifest(world, manifestFor(world)))).rejects.toMatchObject({
      code: 'network.behind',
    });
  });
});
