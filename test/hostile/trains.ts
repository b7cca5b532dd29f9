import { randomBytes } from 'node:crypto';
import { type Envelope, encodeEnvelope, parseEnvelope, payloadOf } from '../../src/model/dsse.ts';
import { type Digest, digestOf, type HopId, hopIdOf, trainIdOf } from '../../src/model/id.ts';
import type { Network } from '../../src/model/network.ts';
import type { Order } from '../../src/model/order.ts';
import { readStatement, signStatement } from '../../src/model/statement.ts';
import { Manifest } from '../../src/model/train.ts';
import type { Signer } from '../../src/ports/signer.ts';
import type { FakeLog } from '../fakes/dispatcher-log.ts';

/** Trains and orders from real homes, and what a liar makes of them. */

export type Train = { manifest: Uint8Array; digest: Digest; envelope: Envelope; predicate: Manifest };
export type Ordered = {
  order: Uint8Array;
  manifest: Uint8Array;
  proof: Uint8Array;
  orderDigest: Digest;
  hopId: HopId;
};
export type OrderLies = Partial<Order> & { signer?: Signer };

const DAY_MS = 86_400_000;

/** @param manifest the envelope as `pht train pack` wrote it, or as somebody changed it */
export function trainOf(manifest: Uint8Array): Train {
  const envelope = parseEnvelope(manifest, 'manifest');
  const payload = payloadOf(envelope);
  const { predicate } = readStatement('manifest', Manifest, payload);
  return { manifest, envelope, predicate, digest: digestOf(payload) };
}

/** Another train like this one, signed by whoever holds the key. */
export function signedTrain(like: Train, signer: Signer, changes: Partial<Manifest> = {}): Train {
  const nonce = randomBytes(16).toString('hex');
  const predicate = { ...like.predicate, nonce, ...changes };
  const subject = { name: 'image', digest: predicate.image.configDigest as Digest };
  return trainOf(encodeEnvelope(signStatement('manifest', subject, predicate, signer).envelope));
}

/** The signed text changed under its signature, as somebody on the way could. */
export function forged({ envelope }: { envelope: Envelope }, from: string, to: string): Uint8Array {
  const payload = Buffer.from(payloadOf(envelope)).toString('utf8');
  if (!payload.includes(from)) throw new Error(`there is no ${from} to forge`);
  return encodeEnvelope({ ...envelope, payload: Buffer.from(payload.replace(from, to)).toString('base64') });
}

export function orderFor(
  network: Network,
  audience: string,
  train: Pick<Train, 'manifest' | 'digest'>,
  dispatcher: Signer & { log: FakeLog },
  { signer = dispatcher, ...changes }: OrderLies = {},
): Ordered {
  const nowMs = Date.now();
  const predicate: Order = {
    networkId: network.id,
    networkVersion: network.version,
    issuer: 'dispatcher',
    audience,
    step: 'run',
    round: 1,
    attempt: 1,
    epoch: 1,
    inputs: [],
    notBeforeMs: nowMs,
    expiresMs: nowMs + DAY_MS,
    ...changes,
  };
  const subject = { name: 'manifest', digest: train.digest };
  const { envelope, digest } = signStatement('order', subject, predicate, signer);
  const hopId = hopIdOf(digest);
  const proof = dispatcher.log.prove({
    v: 1,
    ts: nowMs,
    type: 'order.issued',
    trainId: trainIdOf(train.digest),
    hopId,
    attempt: predicate.attempt,
    epoch: predicate.epoch,
    manifestDigest: train.digest,
    actor: 'dispatcher',
    prev: null,
    body: { station: audience, orderDigest: digest },
  });
  return { order: encodeEnvelope(envelope), manifest: train.manifest, proof, orderDigest: digest, hopId };
}
