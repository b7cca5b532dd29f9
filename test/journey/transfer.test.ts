import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arms, type Journey, makeJourney } from './harness.ts';
import { ok } from './processes.ts';

type Packed = { trainId: string; directory: string };
type Blobs = Map<string, number>;

/**
 * All members of a test share one engine, so an image that is simply there would prove nothing: it is removed after it
 * was packed, and what arrives in each member's depot is counted.
 */
describe('an image travels as blobs', () => {
  const docker = new Docker();
  let journey: Journey;
  beforeAll(async () => {
    journey = await makeJourney([
      { id: 'north', policy: 'permit', ...arms(61, 62) },
      { id: 'south', policy: 'permit', ...arms(40, 43) },
    ]);
    await journey.startDispatcher();
    await Promise.all([journey.startStation('north'), journey.startStation('south')]);
    await journey.online(2);
  }, 120_000);
  afterAll(() => journey.close());

  /** Complete blobs by digest, wherever the member's depot keeps them. */
  const blobs = async (member: string): Promise<Blobs> => {
    const entries = await readdir(join(journey.home(member), 'depot'), {
      recursive: true,
      withFileTypes: true,
    });
    const files = entries.filter((entry) => entry.isFile() && entry.parentPath.endsWith('sha256'));
    const sizes = await Promise.all(
      files.map(async (file) => (await stat(join(file.parentPath, file.name))).size),
    );
    return new Map(files.map(({ name }, at) => [name, sizes[at] ?? 0]));
  };
  const total = (held: Blobs): number => [...held.values()].reduce((sum, size) => sum + size, 0);
  const removeImage = async (configDigest: string): Promise<void> => {
    const images = await docker.listImages();
    for (const image of images.filter(({ Id }) => Id === `sha256:${configDigest}`)) {
      await docker.getImage(image.Id).remove({ force: true });
    }
  };
  const imageOf = async (
    packed: Packed,
  ): Promise<{ configDigest: string; layers: { diffId: string; bytes: number }[] }> => {
    const envelope = JSON.parse(await readFile(join(packed.directory, 'manifest.dsse.json'), 'utf8')) as {
      payload: string;
    };
    const statement = JSON.parse(Buffer.from(envelope.payload, 'base64').toString()) as {
      predicate: { image: { configDigest: string; layers: { diffId: string; bytes: number }[] } };
    };
    return statement.predicate.image;
  };

  it('moves every byte once, and no blob twice at the next submission', async () => {
    const pack = ['train', 'pack', 'trains/hello', '--stop', 'north', '--stop', 'south'];
    const first = await ok<Packed>(journey.home('lee'), pack);
    const image = await imageOf(first);
    const second = await ok<Packed>(journey.home('lee'), pack);
    await removeImage(image.configDigest);
    expect(total(await blobs('dispatcher'))).toBe(0);

    await ok(journey.home('lee'), ['train', 'submit', first.trainId, '--wait']);
    const layerBytes = image.layers.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(layerBytes).toBeGreaterThan(500_000);
    const atDispatcher = await blobs('dispatcher');
    for (const { diffId, bytes } of image.layers) expect(atDispatcher.get(diffId)).toBe(bytes);
    expect(atDispatcher.has(image.configDigest)).toBe(true);
    const received = total(await blobs('north')) + total(await blobs('south'));
    expect(received).toBeGreaterThanOrEqual(layerBytes);

    const submit = ['train', 'submit', second.trainId];
    const { uploadedBytes } = await ok<{ uploadedBytes: number }>(journey.home('lee'), submit);
    await ok(journey.home('lee'), ['train', 'watch', second.trainId]);
    expect(uploadedBytes).toBe(0);
    expect(total(await blobs('dispatcher'))).toBe(total(atDispatcher));
    expect(total(await blobs('north')) + total(await blobs('south'))).toBe(received);
  }, 180_000);
});
