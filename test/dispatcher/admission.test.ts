import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeEnvelope, parseEnvelope, payloadOf } from '../../src/model/dsse.ts';
import { digestOf } from '../../src/model/id.ts';
import { signStatement } from '../../src/model/statement.ts';
import { LIFETIME_MS_MAX } from '../../src/model/train.ts';
import { ed25519, signerOf } from '../fakes/network.ts';
import {
  CONFIG,
  depart,
  LAYER,
  makeWorld,
  manifestFor,
  NOW_MS,
  newKey,
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

const typesOf = (): string[] => world.entries().map(({ type }) => type);
const rejections = () => world.entries().filter(({ type }) => type === 'train.rejected');

/** The newest one. */
const commitmentTo = (member: string) => world.store.salts.open(member).at(-1)?.commitment;

describe('admission', () => {
  it('answers with the blobs that are missing, after its ledger entry', async () => {
    const { trainId, missingDigests } = await submit(world, signManifest(world, manifestFor(world)));
    expect(trainId).toMatch(/^trn_[0-9a-f]{24}$/);
    expect(missingDigests.sort()).toEqual([digestOf(CONFIG), digestOf(LAYER)].sort());
    const entry = world.entries().at(-1);
    expect(entry).toMatchObject({
      type: 'train.admitted',
      trainId,
      actor: 'dispatcher',
      body: { expiresMs: expect.any(Number), stops: 2, researcherCommitment: commitmentTo('rosa') },
    });
    expect(JSON.stringify(world.entries())).not.toContain('rosa');
  });

  it('takes the same manifest for the same journey while it is loading', async () => {
    const manifest = signManifest(world, manifestFor(world));
    const first = await submit(world, manifest);
    await upload(world, first.trainId, digestOf(CONFIG), CONFIG);
    const again = await submit(world, manifest);
    expect(again).toMatchObject({ trainId: first.trainId, missingDigests: [digestOf(LAYER)] });
    expect(typesOf().filter((type) => type === 'train.admitted')).toHaveLength(1);
  });

  it('gives the same answer to the same key, also after a restart', async () => {
    const manifest = signManifest(world, manifestFor(world));
    const key = newKey();
    const first = await submit(world, manifest, 'rosa', key);
    await upload(world, first.trainId, digestOf(CONFIG), CONFIG);
    await world.restart();
    expect(await submit(world, manifest, 'rosa', key)).toEqual(first);
  });

  it('refuses a key that belongs to another request, and no key at all', async () => {
    const key = newKey();
    await submit(world, signManifest(world, manifestFor(world)), 'rosa', key);
    const other = signManifest(world, manifestFor(world));
    await expect(submit(world, other, 'rosa', key)).rejects.toMatchObject({ code: 'conflict' });
    await expect(submit(world, other, 'rosa', '')).rejects.toMatchObject({ code: 'input.malformed' });
    // Another member's same key is another key.
    const otto = signManifest(
      world,
      manifestFor(world, { issuer: 'otto', recipients: [{ member: 'otto' }] }),
      'otto',
    );
    await expect(submit(world, otto, 'otto', key)).resolves.toMatchObject({ trainId: expect.any(String) });
  });

  it('does not tell one researcher what another has uploaded', async () => {
    await underWay(world);
    const manifest = manifestFor(world, { issuer: 'otto', recipients: [{ member: 'otto' }] });
    const { missingDigests } = await submit(world, signManifest(world, manifest, 'otto'), 'otto');
    expect(missingDigests).toHaveLength(2);
    const { missingDigests: own } = await submit(world, signManifest(world, manifestFor(world)));
    expect(own).toEqual([]);
  });
});

describe('a train that is refused', () => {
  it('because a parameter was changed after signing', async () => {
    const envelope = parseEnvelope(
      signManifest(world, manifestFor(world, { parameters: { arm: 'a' } })),
      'manifest',
    );
    const changed = Buffer.from(payloadOf(envelope)).toString().replace('"arm":"a"', '"arm":"b"');
    const bytes = encodeEnvelope({ ...envelope, payload: Buffer.from(changed).toString('base64') });
    await expect(submit(world, bytes)).rejects.toMatchObject({ code: 'signature.invalid' });
    expect(rejections()).toMatchObject([
      {
        manifestDigest: digestOf(changed),
        body: { code: 'signature.invalid', callerCommitment: commitmentTo('rosa') },
      },
    ]);
  });

  it('because its signer is no researcher of the network', async () => {
    const manifest = manifestFor(world, { issuer: 'mallory' });
    const subject = { name: 'image', digest: digestOf(CONFIG) };
    const { envelope } = signStatement('manifest', subject, manifest, signerOf(ed25519()));
    await expect(submit(world, encodeEnvelope(envelope))).rejects.toMatchObject({ code: 'signer.unknown' });
    const station = manifestFor(world, { issuer: 'north' });
    await expect(submit(world, signManifest(world, station, 'north'))).rejects.toMatchObject({
      code: 'signer.unknown',
    });
    expect(rejections()).toHaveLength(2);
  });

  it.each([
    ['it has expired', { issuedAtMs: NOW_MS - 10_000, expiresMs: NOW_MS }, 'manifest.expired'],
    ['it is valid for too long', { expiresMs: NOW_MS + LIFETIME_MS_MAX + 1 }, 'manifest.too-long'],
    [
      'it comes from the future',
      { issuedAtMs: NOW_MS + 600_000, expiresMs: NOW_MS + 700_000 },
      'manifest.invalid',
    ],
    ['it is of another network', { networkId: 'b'.repeat(64) }, 'network.mismatch'],
    [
      'a stop is no station',
      { route: { pattern: 'parallel' as const, stops: ['rosa'], minStations: 1, deadlineMs: 60_000 } },
      'manifest.invalid',
    ],
    ['a recipient is a stranger', { recipients: [{ member: 'mallory' }] }, 'recipient.unknown'],
    [
      'it declares two sizes for one blob',
      {
        image: {
          configDigest: digestOf(CONFIG),
          configBytes: CONFIG.length,
          platform: 'linux/amd64' as const,
          layers: [
            { diffId: digestOf(LAYER), bytes: 1 },
            { diffId: digestOf(LAYER), bytes: 2 },
          ],
        },
      },
      'manifest.invalid',
    ],
  ])('because %s', async (_why, change, code) => {
    await expect(submit(world, signManifest(world, manifestFor(world, change)))).rejects.toMatchObject({
      code,
    });
    expect(rejections()).toMatchObject([{ body: { code } }]);
    expect(typesOf()).not.toContain('train.admitted');
  });

  it('because somebody else holds the connection', async () => {
    const manifest = signManifest(world, manifestFor(world));
    await expect(submit(world, manifest, 'otto')).rejects.toMatchObject({ code: 'forbidden' });
    await expect(submit(world, manifest, 'north')).rejects.toMatchObject({ code: 'forbidden' });
    await expect(submit(world, manifest, 'nobody')).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('because it has departed already, and says as what', async () => {
    const manifest = signManifest(world, manifestFor(world));
    const { trainId } = await submit(world, manifest);
    await upload(world, trainId, digestOf(CONFIG), CONFIG);
    await upload(world, trainId, digestOf(LAYER), LAYER);
    await depart(world, trainId);
    await expect(submit(world, manifest)).rejects.toMatchObject({
      code: 'replayed',
      message: expect.stringContaining(trainId),
      hint: expect.stringContaining(`pht train result ${trainId}`),
    });
    expect(rejections()).toMatchObject([{ trainId, body: { code: 'replayed' } }]);
  });

  it('because too many are under way, or the image is too large', async () => {
    await world.close();
    world = await makeWorld({ openTrainsPerResearcherMax: 2 });
    await submit(world, signManifest(world, manifestFor(world)));
    await submit(world, signManifest(world, manifestFor(world)));
    const third = signManifest(world, manifestFor(world));
    await expect(submit(world, third)).rejects.toMatchObject({ code: 'quota.exceeded' });
    await world.close();
    world = await makeWorld({ blobBytesPerTrainMax: 3000 });
    await expect(submit(world, third)).rejects.toMatchObject({ code: 'quota.exceeded' });
    await world.close();
    world = await makeWorld({ blobBytesPerResearcherMax: 3000 });
    await expect(submit(world, third)).rejects.toMatchObject({ code: 'quota.exceeded' });
  });

  it('is counted, and no longer written down one by one, when there are many', async () => {
    for (let at = 0; at < 30; at++) {
      await expect(submit(world, Buffer.from('{}'))).rejects.toMatchObject({ code: 'statement.malformed' });
    }
    expect(rejections()).toHaveLength(10);
    world.clock.ms += 60_000;
    await world.dispatcher.sweep();
    const counted = world.entries().filter(({ type }) => type === 'rejects.counted');
    expect(counted).toMatchObject([{ body: { count: 20, codes: ['statement.malformed 20'] } }]);
    await world.dispatcher.sweep();
    expect(world.entries().filter(({ type }) => type === 'rejects.counted')).toHaveLength(1);
  });

  it('whatever bytes arrive', async () => {
    const envelope = signManifest(world, manifestFor(world));
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.json().map((text) => Buffer.from(text)),
          fc.tuple(fc.nat(envelope.length - 1), fc.nat(255)).map(([at, byte]) => {
            const bytes = Buffer.from(envelope);
            bytes[at] = byte;
            return bytes;
          }),
        ),
        async (bytes) => {
          if (Buffer.from(bytes).equals(Buffer.from(envelope))) return;
          const code = await submit(world, bytes).then(
            () => 'admitted',
            (thrown: { code?: string }) => thrown.code ?? 'crashed',
          );
          // A changed envelope around the same signed bytes is still the same train.
          expect(code === 'admitted' ? 'signature.invalid' : code).not.toMatch(/^(?:crashed|internal)$/);
          if (code === 'admitted') expect(world.store.trains.open({ researcher: 'rosa' })).toHaveLength(1);
        },
      ),
      { numRuns: 150 },
    );
  });
});
