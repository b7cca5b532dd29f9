import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  DownloadRequestSchema,
  UploadOffsetRequestSchema,
  UploadRequestSchema,
} from '../../src/gen/pht/v1/depot_pb.ts';
import { digestOf } from '../../src/model/id.ts';
import {
  CONFIG,
  depart,
  LAYER,
  makeWorld,
  manifestFor,
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

let world: World;
beforeEach(async () => {
  world = await makeWorld();
});
afterEach(() => world.close());

async function offset(trainId: string, digest: string, caller = 'rosa') {
  const message = request(UploadOffsetRequestSchema, { trainId, digest });
  return world.dispatcher.depot.uploadOffset(message, world.as(caller));
}

async function download(trainId: string, digest: string, caller: string, from = 0): Promise<Buffer> {
  const message = request(DownloadRequestSchema, { trainId, digest, offset: BigInt(from) });
  const chunks: Uint8Array[] = [];
  for await (const { chunk } of world.dispatcher.depot.download(message, world.as(caller))) {
    chunks.push(chunk ?? new Uint8Array());
  }
  return Buffer.concat(chunks);
}

const admitted = async (): Promise<string> =>
  (await submit(world, signManifest(world, manifestFor(world)))).trainId;

describe('an upload', () => {
  it('resumes where it stands, and counts only when complete', async () => {
    const trainId = await admitted();
    expect(await upload(world, trainId, digestOf(LAYER), LAYER.subarray(0, 1234))).toEqual({
      offset: 1234,
      complete: false,
    });
    expect(await offset(trainId, digestOf(LAYER))).toEqual({ offset: 1234n, complete: false });
    expect(world.store.blobs.owned('rosa').size).toBe(0);
    const rest = await upload(world, trainId, digestOf(LAYER), LAYER.subarray(1234), { offset: 1234 });
    expect(rest).toEqual({ offset: LAYER.length, complete: true });
    expect([...world.store.blobs.owned('rosa')]).toEqual([[digestOf(LAYER), LAYER.length]]);
    expect((await upload(world, trainId, digestOf(LAYER), LAYER)).complete).toBe(true);
  });

  it('of more than was declared is refused', async () => {
    const trainId = await admitted();
    const more = Buffer.concat([LAYER, Buffer.alloc(1)]);
    await expect(upload(world, trainId, digestOf(LAYER), more)).rejects.toMatchObject({
      code: 'input.too-large',
    });
    const beyond = { offset: LAYER.length + 1 };
    await expect(upload(world, trainId, digestOf(LAYER), LAYER, beyond)).rejects.toMatchObject({
      code: 'input.too-large',
    });
    expect(world.store.blobs.owned('rosa').size).toBe(0);
  });

  it('of other bytes than the digest names is refused', async () => {
    const trainId = await admitted();
    const other = Buffer.alloc(LAYER.length, 8);
    await expect(upload(world, trainId, digestOf(LAYER), other)).rejects.toMatchObject({
      code: 'image.mismatch',
    });
    await expect(depart(world, trainId)).rejects.toMatchObject({ code: 'image.missing' });
  });

  it('of a blob that the train does not have, of a foreign train, or after departure is refused', async () => {
    const trainId = await admitted();
    const stray = randomBytes(10);
    await expect(upload(world, trainId, digestOf(stray), stray)).rejects.toMatchObject({ code: 'not-found' });
    await expect(upload(world, trainId, '../../etc/passwd', stray)).rejects.toMatchObject({
      code: 'not-found',
    });
    const foreign = { caller: 'otto' };
    await expect(upload(world, trainId, digestOf(LAYER), LAYER, foreign)).rejects.toMatchObject({
      code: 'not-found',
    });
    await expect(offset(trainId, digestOf(LAYER), 'otto')).rejects.toMatchObject({ code: 'not-found' });
    const station = { caller: 'north' };
    await expect(upload(world, trainId, digestOf(LAYER), LAYER, station)).rejects.toMatchObject({
      code: 'forbidden',
    });
    const departed = await underWay(world);
    await expect(upload(world, departed, digestOf(LAYER), LAYER)).rejects.toMatchObject({ code: 'conflict' });
  });

  it('is known to be complete after the departure, too', async () => {
    const trainId = await underWay(world);
    expect(await offset(trainId, digestOf(LAYER))).toEqual({ offset: BigInt(LAYER.length), complete: true });
    rmSync(join(world.dir, 'depot', 'rosa', 'blobs', 'sha256', digestOf(LAYER)));
    await expect(offset(trainId, digestOf(LAYER))).rejects.toMatchObject({ code: 'conflict' });
  });

  it('does not show what another researcher uploaded', async () => {
    await underWay(world);
    const manifest = manifestFor(world, { issuer: 'otto', recipients: [{ member: 'otto' }] });
    const { trainId } = await submit(world, signManifest(world, manifest, 'otto'), 'otto');
    expect(await offset(trainId, digestOf(LAYER), 'otto')).toEqual({ offset: 0n, complete: false });
    const half = await upload(world, trainId, digestOf(LAYER), LAYER.subarray(0, 10), { caller: 'otto' });
    expect(half).toEqual({ offset: 10, complete: false });
  });

  it('starts with its header and has only one', async () => {
    const trainId = await admitted();
    const header = { case: 'header', value: { trainId, digest: digestOf(LAYER), offset: 0n } } as const;
    async function* parts(...each: ('header' | 'chunk')[]) {
      for (const part of each) {
        yield request(UploadRequestSchema, {
          part: part === 'header' ? header : { case: 'chunk', value: LAYER },
        });
      }
    }
    for (const stream of [parts(), parts('chunk'), parts('header', 'header')]) {
      await expect(world.dispatcher.depot.upload(stream, world.as('rosa'))).rejects.toMatchObject({
        code: 'input.malformed',
      });
    }
  });
});

describe('a download', () => {
  it('is for stations of the route while their hop is open', async () => {
    const trainId = await underWay(world);
    const [order] = (await pull(world, 'north')).orders;
    if (order === undefined) throw new Error('no order');
    expect(await download(trainId, digestOf(LAYER), 'north')).toEqual(LAYER);
    expect(await download(trainId, digestOf(LAYER), 'north', 2900)).toEqual(LAYER.subarray(2900));
    expect(await download(trainId, digestOf(CONFIG), 'south')).toEqual(CONFIG);
    await expect(download(trainId, digestOf(LAYER), 'west')).rejects.toMatchObject({ code: 'not-found' });
    await expect(download(trainId, digestOf(LAYER), 'rosa')).rejects.toMatchObject({ code: 'forbidden' });
    await expect(download(trainId, digestOf(LAYER), 'north', 3001)).rejects.toMatchObject({
      code: 'not-found',
    });
    // A person who decides wants to see what is in the image.
    await report(world, order, { progress: 'awaiting-clearance' });
    expect(await download(trainId, digestOf(LAYER), 'north')).toEqual(LAYER);
    await report(world, order, receiptFor(world, order));
    await expect(download(trainId, digestOf(LAYER), 'north')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('gives no blob of another train', async () => {
    const other = randomBytes(50);
    const image = {
      configDigest: digestOf(CONFIG),
      configBytes: CONFIG.length,
      platform: 'linux/amd64' as const,
      layers: [{ diffId: digestOf(other), bytes: other.length }],
    };
    const elsewhere = await submit(world, signManifest(world, manifestFor(world, { image })));
    await upload(world, elsewhere.trainId, digestOf(other), other);
    const trainId = await underWay(world);
    await expect(download(trainId, digestOf(other), 'north')).rejects.toMatchObject({ code: 'not-found' });
    await expect(download(elsewhere.trainId, digestOf(other), 'north')).rejects.toMatchObject({
      code: 'not-found',
    });
  });
});

describe('a depot', () => {
  it('that lost a blob asks for it again', async () => {
    const trainId = await admitted();
    await upload(world, trainId, digestOf(CONFIG), CONFIG);
    await upload(world, trainId, digestOf(LAYER), LAYER);
    rmSync(join(world.dir, 'depot', 'rosa', 'blobs', 'sha256', digestOf(LAYER)));
    await expect(depart(world, trainId)).rejects.toMatchObject({ code: 'image.missing' });
    expect((await submit(world, signManifest(world, manifestFor(world)))).missingDigests).toEqual([
      digestOf(LAYER),
    ]);
    await upload(world, trainId, digestOf(LAYER), LAYER);
    expect((await depart(world, trainId)).state).toBe('under-way');
  });

  it('makes room by forgetting blobs of ended trains, oldest first', async () => {
    await world.close();
    world = await makeWorld({ blobBytesPerResearcherMax: 4000 });
    const trainId = await underWay(world);
    for (const station of ['north', 'south']) {
      for (const order of (await pull(world, station)).orders)
        await report(world, order, receiptFor(world, order));
    }
    const other = randomBytes(3500);
    const image = {
      configDigest: digestOf(CONFIG),
      configBytes: CONFIG.length,
      platform: 'linux/amd64' as const,
      layers: [{ diffId: digestOf(other), bytes: other.length }],
    };
    const next = await submit(world, signManifest(world, manifestFor(world, { image })));
    expect(next.missingDigests).toEqual([digestOf(other)]);
    await upload(world, next.trainId, digestOf(other), other);
    await world.dispatcher.sweep();
    expect([...world.store.blobs.owned('rosa').keys()].sort()).toEqual(
      [digestOf(CONFIG), digestOf(other)].sort(),
    );
    expect((await depart(world, next.trainId)).state).toBe('under-way');
    expect(world.store.trains.find(trainId)?.state).toBe('arrived');
  });
});
