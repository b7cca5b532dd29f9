import { type Envelope, encodeEnvelope, payloadOf } from '../../src/model/dsse.ts';
import { type Digest, digestOf, hopIdOf, trainIdOf } from '../../src/model/id.ts';
import type { Order } from '../../src/model/order.ts';
import { signStatement } from '../../src/model/statement.ts';
import type { Manifest, TrainImage } from '../../src/model/train.ts';
import { logOf } from './dispatcher-log.ts';
import { type FakeNetwork, memberIn } from './network.ts';

/** Manifests of a researcher and orders of a dispatcher who may write into them whatever a test wants. */

const DAY_MS = 86_400_000;

export type FakeImage = { image: TrainImage; blobs: Map<string, Uint8Array> };

export function makeImage(entrypoint: string[] = ['/count']): FakeImage {
  const layer = Buffer.from(`layer of ${entrypoint.join(' ')}`);
  const diffId = digestOf(layer);
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: { Entrypoint: entrypoint, Env: ['PATH=/bin'], WorkingDir: '/' },
      rootfs: { type: 'layers', diff_ids: [`sha256:${diffId}`] },
    }),
  );
  const configDigest = digestOf(config);
  return {
    image: {
      configDigest,
      configBytes: config.byteLength,
      platform: 'linux/amd64',
      layers: [{ diffId, bytes: layer.byteLength }],
    },
    blobs: new Map([
      [configDigest, config],
      [diffId, layer],
    ]),
  };
}

export type FakeTrain = { manifest: Uint8Array; digest: Digest; envelope: Envelope };

/** @param overrides members of the predicate; `subject` for a digest that is not the image's */
export function makeTrain(
  fake: FakeNetwork,
  image: TrainImage,
  nowMs: number,
  overrides: Partial<Manifest> & { signedBy?: string } = {},
): FakeTrain {
  const { signedBy = 'rosa', ...changed } = overrides;
  const predicate: Manifest = {
    networkId: fake.network.id,
    networkVersion: fake.network.version,
    issuer: signedBy,
    title: 'Hello',
    purpose: { text: 'Count the rows of a dataset.', duo: ['DUO:0000006'] },
    image,
    dataset: 'cgd',
    parameters: { column: 'status' },
    route: { pattern: 'parallel', stops: ['north'], minStations: 1, deadlineMs: DAY_MS },
    limits: {
      memoryBytesMax: 64 * 1024 * 1024,
      cpuMillis: 1000,
      pidsMax: 16,
      wallMsMax: 30_000,
      outputBytesMax: 16 * 1024,
      scratchBytesMax: 1024 * 1024,
    },
    outputs: { schema: 'pht-result/v1', kinds: ['Frequencies'] },
    combine: false,
    recipients: [{ member: 'rosa' }],
    nonce: '00112233445566778899aabbccddeeff',
    issuedAtMs: nowMs,
    expiresMs: nowMs + 7 * DAY_MS,
    ...changed,
  };
  const subject = { name: 'image', digest: predicate.image.configDigest as Digest };
  const { envelope, digest } = signStatement('manifest', subject, predicate, memberIn(fake, signedBy).signer);
  return { manifest: encodeEnvelope(envelope), digest, envelope };
}

/** Changes the signed text under its signature, as somebody on the way could. */
export function forge(envelope: Envelope, from: string, to: string): Uint8Array {
  const payload = Buffer.from(payloadOf(envelope)).toString('utf8');
  if (!payload.includes(from)) throw new Error(`there is no ${from} to forge`);
  return encodeEnvelope({ ...envelope, payload: Buffer.from(payload.replace(from, to)).toString('base64') });
}

export function makeOrder(
  fake: FakeNetwork,
  manifestDigest: Digest,
  nowMs: number,
  overrides: Partial<Order> & { signedBy?: string } = {},
): { order: Uint8Array; digest: Digest; envelope: Envelope; proof: Uint8Array } {
  const { signedBy = 'dispatcher', ...changed } = overrides;
  const predicate: Order = {
    networkId: fake.network.id,
    networkVersion: fake.network.version,
    issuer: signedBy,
    audience: 'north',
    step: 'run',
    round: 1,
    attempt: 1,
    epoch: 1,
    inputs: [],
    notBeforeMs: nowMs,
    expiresMs: nowMs + 7 * DAY_MS,
    ...changed,
  };
  const subject = { name: 'manifest', digest: manifestDigest };
  const signed = signStatement('order', subject, predicate, memberIn(fake, signedBy).signer);
  const { envelope, digest } = signed;
  return {
    order: encodeEnvelope(envelope),
    digest,
    envelope,
    proof: proofOfOrder(fake, { digest, predicate, subject: manifestDigest }, signedBy),
  };
}

/** The order's entry in its dispatcher's ledger; one that names no dispatcher has an entry there all the same. */
export function proofOfOrder(
  fake: FakeNetwork,
  { digest, predicate, subject }: { digest: Digest; predicate: Order; subject: Digest },
  dispatcher = 'dispatcher',
): Uint8Array {
  const { attempt, epoch, audience } = predicate;
  return logOf(fake, dispatcher).prove({
    v: 1,
    ts: predicate.notBeforeMs,
    type: 'order.issued',
    trainId: trainIdOf(subject),
    hopId: hopIdOf(digest),
    attempt,
    epoch,
    manifestDigest: subject,
    actor: dispatcher,
    prev: null,
    body: { station: audience, orderDigest: digest },
  });
}
