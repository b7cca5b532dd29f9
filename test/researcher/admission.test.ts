import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDepot } from '../../src/adapters/depot/files.ts';
import { type SubmitPorts, submit } from '../../src/journey/researcher/submit.ts';
import { PhtError } from '../../src/model/error.ts';
import { digestOf } from '../../src/model/id.ts';
import { openEntryProof } from '../../src/model/ledger/entry-proof.ts';
import { trustIn } from '../../src/model/proven.ts';
import { memoryLog } from '../fakes/dispatcher-log.ts';
import { ed25519, type FakeNetwork, makeNetwork, publicOf, signerOf } from '../fakes/network.ts';
import { makeImage, makeOrder } from '../fakes/trains.ts';
import { proofOfAdmission } from './proofs.ts';
import { clientOf, type Home, makeHome, NOW_MS, type Packed, packTrain, retry } from './rig.ts';

/** An admission that stands in no ledger could be denied later. */

let fake: FakeNetwork;
let home: Home;
let packed: Packed;
const { image, blobs } = makeImage();
const signal = new AbortController().signal;
beforeAll(async () => {
  fake = await makeNetwork({ nowMs: NOW_MS });
});
beforeEach(() => {
  home = makeHome(fake);
  packed = packTrain(fake, ['north']);
  const { trainId } = packed.manifest;
  home.trains.keep({ trainId, manifest: packed.bytes, key: packed.key, departure: null });
});
afterEach(() => home.clear());

/** A dispatcher that lacks every blob and takes them; a start that nobody foresaw fails the test. */
async function portsFor(proof: Uint8Array): Promise<SubmitPorts & { uploaded: string[] }> {
  const depot = createDepot(join(home.dir, 'depot'));
  for (const [digest, bytes] of blobs) {
    await depot.write(
      digest,
      bytes.length,
      0,
      (async function* () {
        yield bytes;
      })(),
    );
  }
  const uploaded: string[] = [];
  const { trainId } = packed.manifest;
  const missingDigests = [image.configDigest, ...image.layers.map(({ diffId }) => diffId)];
  return {
    client: clientOf({ submit: async () => ({ trainId, missingDigests, proof }) }),
    dispatcher: 'dispatcher',
    trains: home.trains,
    depot,
    retry,
    uploaded,
    fetchNetwork: async () => undefined,
    upload: async ({ digest }) => void uploaded.push(digest),
  };
}

const admissionPath = (): string => join(home.dir, 'trains', packed.manifest.trainId, 'admission.tlog-proof');

test.each<[string, () => Uint8Array]>([
  ['without a proof', () => new Uint8Array()],
  ['with the proof of another train', () => proofOfAdmission(fake, digestOf('another manifest'))],
  [
    "with a proof under another member's ledger",
    () => proofOfAdmission(fake, packed.manifest.digest, 'north'),
  ],
  ['with the proof of another entry', () => makeOrder(fake, packed.manifest.digest, NOW_MS).proof],
  ['with what is no proof', () => Buffer.from('<html>')],
])('an admission %s ends the submission before a blob has left', async (_, prove) => {
  const way = await portsFor(prove());
  await expect(submit(packed.manifest.trainId, home.researcher, way, signal)).rejects.toMatchObject({
    code: 'proof.invalid',
    message: expect.stringMatching(/^the admission by dispatcher.*no blob was uploaded/),
  });
  expect(way.uploaded).toEqual([]);
  expect(existsSync(admissionPath())).toBe(false);
  expect(home.trains.find(packed.manifest.trainId).departure).toMatchObject({ departed: false });
});

test('a proof of another dispatcher than the one that was dialled is none', async () => {
  const way = await portsFor(proofOfAdmission(fake, packed.manifest.digest));
  const submitting = submit(
    packed.manifest.trainId,
    home.researcher,
    { ...way, dispatcher: 'elsewhere' },
    signal,
  );
  await expect(submitting).rejects.toMatchObject({ code: 'proof.invalid' });
  expect(way.uploaded).toEqual([]);
});

test('a proof under a key of the ledger that is listed since holds with the newer network file', async () => {
  const next = ed25519();
  const dispatcher = fake.network.members.get('dispatcher');
  if (dispatcher === undefined) throw new Error('no dispatcher');
  const { digest, trainId } = packed.manifest;
  const trust = trustIn(fake.network, 'dispatcher', 'dispatcher');
  const { entry } = openEntryProof(proofOfAdmission(fake, digest), trust);
  const proof = memoryLog(trust.origin, signerOf(next)).prove(entry);
  const way = await portsFor(proof);
  await expect(submit(trainId, home.researcher, way, signal)).rejects.toMatchObject({
    code: 'proof.invalid',
  });
  let network = fake.network;
  const researcher = { ...home.researcher, network: () => network };
  let fetches = 0;
  const fetchNetwork = async (): Promise<void> => {
    fetches++;
    const keys = { ...dispatcher.keys, log: publicOf(next) };
    network = fake.next({ renewed: [{ member: { ...dispatcher, keys } }] }).network;
  };
  const upload = (): Promise<void> => Promise.reject(new PhtError('internal', 'killed here'));
  const submitting = submit(trainId, researcher, { ...way, upload, fetchNetwork }, signal);
  await expect(submitting).rejects.toMatchObject({ code: 'internal' });
  expect(fetches).toBe(1);
  expect(readFileSync(admissionPath())).toEqual(Buffer.from(proof));
});

test('a proof that holds is kept before a blob leaves', async () => {
  const proof = proofOfAdmission(fake, packed.manifest.digest);
  const way = await portsFor(proof);
  const upload = (): Promise<void> => Promise.reject(new PhtError('internal', 'killed here'));
  await expect(
    submit(packed.manifest.trainId, home.researcher, { ...way, upload }, signal),
  ).rejects.toMatchObject({ code: 'internal' });
  expect(readFileSync(admissionPath())).toEqual(Buffer.from(proof));
});
