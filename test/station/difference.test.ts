import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Entry, layer } from '../../src/adapters/image/layer.fixture.ts';
import { bind } from '../../src/adapters/wire/bind.ts';
import { connect } from '../../src/adapters/wire/client.ts';
import { serve } from '../../src/adapters/wire/server.ts';
import { AdminService } from '../../src/gen/pht/v1/admin_pb.ts';
import { sharedFetches } from '../../src/journey/station/blobs.ts';
import { PhtError } from '../../src/model/error.ts';
import { digestOf } from '../../src/model/id.ts';
import { DIFFERENCE_BYTES_MAX, ImageDifference } from '../../src/model/image-difference.ts';
import type { Manifest } from '../../src/model/train.ts';
import type { Service } from '../../src/ports/wire.ts';
import { approved, withdrawalOf, withdrawWith } from '../fakes/approvals.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { ASK, makeStation, PERMIT, type Process, type Rig } from '../fakes/station.ts';
import { type FakeImage, makeOrder, makeTrain } from '../fakes/trains.ts';

/** What a person is shown of a waiting train's image, against what was cleared at this station before. */

const NOW = Date.UTC(2026, 5, 1, 12);

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

beforeAll(async () => {
  fake = await makeNetwork({ admins: { nora: 'north' }, researchers: ['rosa', 'lee'], nowMs: NOW });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  station = rig.start();
});
afterEach(() => rig.close());

async function imageOf(...layers: Entry[][]): Promise<FakeImage> {
  const tars = await Promise.all(layers.map((entries) => layer(...entries)));
  const blobs = new Map(tars.map((tar) => [digestOf(tar) as string, tar as Uint8Array]));
  const config = Buffer.from(
    JSON.stringify({
      ...{ architecture: 'amd64', os: 'linux', config: { Entrypoint: ['/run'] } },
      rootfs: { type: 'layers', diff_ids: tars.map((tar) => `sha256:${digestOf(tar)}`) },
    }),
  );
  blobs.set(digestOf(config), config);
  const stored = tars.map((tar) => ({ diffId: digestOf(tar), bytes: tar.byteLength }));
  const image = {
    ...{ configDigest: digestOf(config), configBytes: config.byteLength },
    ...{ platform: 'linux/amd64' as const, layers: stored },
  };
  return { image, blobs };
}

let nonce = 0;

/** A train with this image comes, and meets the policy as it is then. */
async function comes(
  { image, blobs }: FakeImage,
  by = 'rosa',
  changed: Partial<Manifest> = {},
): Promise<string> {
  for (const [digest, bytes] of blobs) rig.blobs.set(digest, bytes);
  rig.clock.ms += 1000;
  const text = String(nonce++).padStart(32, '0');
  const train = makeTrain(fake, image, NOW, {
    signedBy: by,
    issuer: by,
    nonce: text,
    recipients: [{ member: by }],
    ...changed,
  });
  const hopId = station.accept({ ...makeOrder(fake, train.digest, NOW), manifest: train.manifest });
  if (hopId === null) throw new Error('the order was not taken');
  await station.visit(hopId);
  return hopId;
}

/** One that runs, by policy. */
async function runs(image: FakeImage, by = 'rosa', changed: Partial<Manifest> = {}): Promise<string> {
  rig.policy(PERMIT);
  const hopId = await comes(image, by, changed);
  expect(station.store.hops.find(hopId)?.notes.clearedAtMs).toBeDefined();
  return hopId;
}

/** One that runs since a person said so. */
async function approves(image: FakeImage, by = 'rosa', changed: Partial<Manifest> = {}): Promise<string> {
  const hopId = await waits(image, by, changed);
  await approved(rig, station, hopId);
  await station.visit(hopId);
  expect(station.store.hops.find(hopId)?.notes.clearedAtMs).toBeDefined();
  return hopId;
}

async function waits(image: FakeImage, by = 'rosa', changed: Partial<Manifest> = {}): Promise<string> {
  rig.policy(ASK);
  const hopId = await comes(image, by, changed);
  expect(station.store.hops.find(hopId)?.state).toBe('awaiting-clearance');
  return hopId;
}

type Told = { difference: ImageDifference; progress: { done: number; total: number }[] };

async function asked(hopId: string, signal = new AbortController().signal): Promise<Told> {
  const progress: Told['progress'] = [];
  let difference: ImageDifference | null = null;
  const call = { $typeName: 'pht.v1.DifferenceRequest' as const, hopId };
  for await (const part of station.admin.difference(call, { caller: null, signal })) {
    progress.push({ done: Number(part.doneBytes), total: Number(part.totalBytes) });
    if (part.difference !== undefined)
      difference = ImageDifference.parse(JSON.parse(Buffer.from(part.difference).toString()));
  }
  if (difference === null) throw new Error('the agent did not say what differs');
  return { difference, progress };
}

/** As when the disk for images was needed for others. */
function evict(): void {
  rmSync(join(rig.dir, 'depot'), { recursive: true });
  station = rig.start();
}

const paths = ({ changes }: ImageDifference): string[] =>
  changes.map(({ change, path }) => `${change} ${path}`);
const file = (name: string, content: string): Entry => ({ name, content });
const BASE = [file('lib/base', 'base')];

describe('a waiting train', () => {
  test('is shown against the image that was cleared before, and what was fetched is not fetched again', async () => {
    const before = await approves(await imageOf(BASE, [file('app.py', 'one\n')]));
    const now = await imageOf(BASE, [file('app.py', 'two\n'), file('new\u001b[2J.py', 'x\n')]);
    const hopId = await waits(now);
    evict();
    const { difference, progress } = await asked(hopId);
    expect(difference).toMatchObject({ compared: 'new-layers', base: null, clearedImages: 1 });
    expect(paths(difference)).toEqual(['added app.py', 'added new\u001b[2J.py']);
    expect(progress.at(-1)?.done).toBe(progress.at(-1)?.total);
    expect(station.store.hops.find(before)?.state).toBe('sealed');

    rig.blobs.clear();
    rig.connected = false;
    const again = await asked(hopId);
    expect(again.difference).toEqual(difference);
    expect(again.progress.at(-1)?.total).toBe(0);
    rig.policy(PERMIT);
    station = rig.start();
    expect(await station.visit(hopId)).toMatchObject({ is: 'sealed' });
  });

  test('meets the files of an image that was approved, from blobs that are still here', async () => {
    const base = await approves(await imageOf(BASE, [file('app.py', 'one\n')]), 'lee');
    const { difference } = await asked(await waits(await imageOf(BASE, [file('app.py', 'two\n')])));
    expect(difference).toMatchObject({ compared: 'with-base', base: { hopId: base, researcher: 'lee' } });
    expect(paths(difference)).toEqual(['changed app.py']);
  });

  test('meets the files of an image that was looked at before it was cleared', async () => {
    const first = await imageOf(BASE, [file('app.py', 'one\n')]);
    const looked = await waits(first);
    expect((await asked(looked)).difference).toMatchObject({ compared: 'new-layers', clearedImages: 0 });
    await approved(rig, station, looked);
    await station.visit(looked);
    evict();
    const hopId = await waits(await imageOf(BASE, [file('app.py', 'two\n')]));
    const { difference } = await asked(hopId);
    expect(difference).toMatchObject({
      compared: 'with-base',
      layers: 2,
      base: {
        hopId: looked,
        image: first.image.configDigest,
        researcher: 'rosa',
        layersShared: 1,
        by: 'person',
      },
      counts: { added: 0, changed: 1, removed: 0, mode: 0 },
      config: [],
    });
    expect(difference.changes[0]).toMatchObject({ path: 'app.py', source: 'two\n', diff: null });
  });

  test('is never shown against what the policy let in and nobody looked at', async () => {
    const [first, next] = [
      await imageOf(BASE, [file('app.py', 'one\n')]),
      await imageOf(BASE, [file('app.py', 'two\n')]),
    ];
    await runs(first);
    const none = { compared: 'new-layers', base: null, clearedImages: 0 };
    const same = await asked(await waits(first));
    expect(same.difference).toMatchObject(none);
    expect(paths(same.difference)).toEqual(['added app.py', 'added lib/base']);
    const hopId = await waits(next);
    expect((await asked(hopId)).difference).toMatchObject({ ...none, counts: { added: 2 } });
    // On a list of images, somebody stands for it.
    rig.settings.lists = { researchers: {}, images: { reviewed: [first.image.configDigest] } };
    expect((await asked(hopId)).difference).toMatchObject({ compared: 'with-base', base: { by: 'list' } });
  });

  test('of an image that was approved before differs in nothing, and nothing is fetched for that', async () => {
    const image = await imageOf(BASE);
    const before = await approves(image, 'lee');
    const hopId = await waits(image);
    rig.blobs.clear();
    rig.connected = false;
    const { difference } = await asked(hopId);
    expect(difference).toMatchObject({
      compared: 'same-image',
      base: { hopId: before, researcher: 'lee' },
      changes: [],
    });
  });

  test('is not compared with an image whose approval was taken back', async () => {
    const image = await imageOf(BASE);
    const first = await waits(image);
    const approval = await approved(rig, station, first);
    await station.visit(first);
    const hopId = await waits(image);
    expect((await asked(hopId)).difference).toMatchObject({ compared: 'same-image', base: { by: 'person' } });
    await withdrawWith(station, withdrawalOf(rig, approval));
    expect((await asked(hopId)).difference).toMatchObject({ compared: 'new-layers', clearedImages: 0 });
  });

  test('is not compared with an image that a person has said no to, or that was never cleared', async () => {
    const image = await imageOf(BASE);
    await waits(image);
    rig.policy(null);
    await comes(image);
    const { difference } = await asked(await waits(image));
    expect(difference).toMatchObject({ compared: 'new-layers', base: null, clearedImages: 0 });
  });

  test('is compared with a base whose files can be told, though a nearer one cannot', async () => {
    const good = await imageOf(BASE, [file('app.py', 'good\n')]);
    await asked(await waits(good, 'lee'));
    await approves(good, 'lee', { title: 'Good' });
    const broken = await imageOf(BASE, [{ name: 'a', type: 'symlink', target: 'b' }, file('.wh.a', '')]);
    await expect(asked(await waits(broken))).rejects.toMatchObject({ code: 'image.unsafe' });
    await approves(broken);
    const { difference } = await asked(await waits(await imageOf(BASE, [file('app.py', 'new\n')])));
    expect(difference).toMatchObject({ compared: 'with-base', base: { title: 'Good' } });
  });
});

describe('it cannot be told', () => {
  test('without a connection, and then in words for a person', async () => {
    const hopId = await waits(await imageOf(BASE));
    rig.connected = false;
    const failed = await asked(hopId).catch((thrown: unknown) => thrown);
    expect(failed).toBeInstanceOf(PhtError);
    expect(failed).toMatchObject({ code: 'unreachable', hint: expect.stringContaining('--no-difference') });
  });

  test('when the dispatcher sends other bytes, or none', async () => {
    const image = await imageOf(BASE);
    const hopId = await waits(image);
    const diffId = image.image.layers[0]?.diffId ?? '';
    rig.blobs.set(diffId, Buffer.from((image.blobs.get(diffId) ?? new Uint8Array()).map((byte) => byte ^ 1)));
    await expect(asked(hopId)).rejects.toMatchObject({ code: 'image.mismatch' });
    rig.blobs.delete(diffId);
    await expect(asked(hopId)).rejects.toMatchObject({ code: 'unreachable' });
  });

  test('of a train that has left, unless its files are known', async () => {
    const known = await imageOf(BASE);
    const hopId = await waits(known);
    await asked(hopId);
    rig.policy(PERMIT);
    await station.visit(hopId);
    expect((await asked(hopId)).difference.compared).toBe('new-layers');
    const unknown = await runs(await imageOf([file('other', 'x')]));
    evict();
    await expect(asked(unknown)).rejects.toMatchObject({ code: 'conflict' });
    await expect(asked('hop_000000000000000000000000')).rejects.toMatchObject({ code: 'not-found' });
  });

  test('once nobody waits for it any more, and the next one is not kept waiting', async () => {
    const hopId = await waits(await imageOf(BASE));
    const quit = new AbortController();
    quit.abort(new Error('hung up'));
    const [first, second] = await Promise.allSettled([asked(hopId, quit.signal), asked(hopId)]);
    expect(first).toMatchObject({ status: 'rejected' });
    expect(second).toMatchObject({ status: 'fulfilled' });
  });
});

test('the longest document is one message of the admin socket', async () => {
  const longest = Buffer.alloc(DIFFERENCE_BYTES_MAX, ' ');
  const socket = join(rig.dir, 'admin.sock');
  const service: Service<typeof AdminService> = {
    ...station.admin,
    difference: async function* () {
      yield { doneBytes: 1n, totalBytes: 1n, difference: longest };
    },
  };
  const server = await serve({
    ...{ listen: `unix:${socket}`, tls: null, network: () => fake.network },
    services: [bind(AdminService, service, { roles: 'local' })],
    log: { debug: () => undefined, warn: () => undefined, error: () => undefined },
  });
  const channel = connect({ address: `unix:${socket}`, tls: null });
  try {
    const parts = channel.client(AdminService).difference({ hopId: 'hop' });
    for await (const part of parts) expect(part.difference.byteLength).toBe(longest.byteLength);
    expect.assertions(1);
  } finally {
    channel.close();
    await server.close();
  }
});

test('what was learnt of layers can be thrown away', async () => {
  const hopId = await waits(await imageOf(BASE, [file('app.py', 'x\n')]));
  const { difference } = await asked(hopId);
  rmSync(join(rig.dir, 'layers'), { recursive: true });
  station = rig.start();
  expect((await asked(hopId)).difference).toEqual(difference);
});

describe('a blob that several want', () => {
  test('travels once at a time, and whoever waited asks again', async () => {
    const log: string[] = [];
    let finish: () => void = () => {};
    const blobs = sharedFetches({
      fetch: async (trainId) => {
        log.push(`begin ${trainId}`);
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        log.push(`end ${trainId}`);
        if (trainId === 'a') throw new PhtError('unreachable', 'lost');
      },
    });
    const never = new AbortController().signal;
    const first = blobs.fetch('a', 'd', 1, never).catch((thrown: unknown) => thrown);
    const second = blobs.fetch('b', 'd', 1, never);
    const quit = new AbortController();
    const third = blobs.fetch('c', 'd', 1, quit.signal);
    quit.abort(new Error('enough'));
    await expect(third).rejects.toThrow('enough');
    expect(log).toEqual(['begin a']);
    finish();
    expect(await first).toMatchObject({ code: 'unreachable' });
    await new Promise((resolve) => setImmediate(resolve));
    expect(log).toEqual(['begin a', 'end a', 'begin b']);
    finish();
    await second;
  });
});
