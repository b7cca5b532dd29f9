import { randomUUID } from 'node:crypto';
import type { KeptProof } from '../../model/account.ts';
import { parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { type Digest, digestOf, type TrainId } from '../../model/id.ts';
import type { JourneyView } from '../../model/journey-view.ts';
import { isOfUnknownKey } from '../../model/proven.ts';
import { readStatement } from '../../model/statement.ts';
import { Manifest, type TrainImage } from '../../model/train.ts';
import type { Depot } from '../../ports/depot.ts';
import type { PackedTrain, PackedTrains } from '../../ports/researcher-trains.ts';
import { type JourneyClient, journeyOf } from './journeys.ts';
import { admissionOf } from './proofs.ts';
import { CALL_ATTEMPTS_MAX, type Researcher, type Retry } from './researcher.ts';

export type SubmitPorts = {
  client: JourneyClient;
  /** Whom the channel was opened to: the member of the network file, not what anybody answered. */
  dispatcher: string;
  trains: PackedTrains;
  depot: Depot;
  retry: Retry;
  /** Takes over a newer network file where the dispatcher has one. */
  fetchNetwork(): Promise<unknown>;
  /** Resumes where the other end stands. */
  upload(blob: { trainId: TrainId; digest: string; bytes: number }, signal: AbortSignal): Promise<void>;
};

/** What was already there, from this or an earlier train, did not move again. */
export type Submitted = { journey: JourneyView; uploadedBytes: number; admission: KeptProof };

/**
 * Manifest first, then, against the proof that it stands in the dispatcher's ledger, only the blobs that are lacking
 * there, then the start. Killed anywhere and run again, it is the same submission.
 *
 * @throws PhtError `not-found`, `replayed` for a train that has departed before, `proof.invalid` for an admission without
 *   its proof, and the dispatcher's refusals
 */
export async function submit(
  trainId: TrainId,
  researcher: Researcher,
  ports: SubmitPorts,
  signal: AbortSignal,
): Promise<Submitted> {
  const packed = ports.trains.find(trainId);
  const payload = payloadOf(parseEnvelope(packed.manifest, 'the manifest'));
  // Read, not verified: dispatcher and stations are the judges of it, and their reasons are the ones to show.
  const { image } = readStatement('manifest', Manifest, payload).predicate;
  const what = { image, digest: digestOf(payload) };
  try {
    return await send(what, packed, keyFor(packed, ports.trains), researcher, ports, signal);
  } catch (thrown) {
    if (!(thrown instanceof PhtError) || thrown.code !== 'image.missing') throw thrown;
    // Blobs that were there at the first asking are gone: only a new question gets a new list of what is missing.
    return send(what, packed, freshKey(packed, ports.trains), researcher, ports, signal);
  }
}

async function send(
  { image, digest }: { image: TrainImage; digest: Digest },
  { trainId, manifest }: PackedTrain,
  idempotencyKey: string,
  researcher: Researcher,
  ports: SubmitPorts,
  signal: AbortSignal,
): Promise<Submitted> {
  const call = <T>(attempt: () => Promise<T>): Promise<T> =>
    ports.retry(attempt, { signal, attemptsMax: CALL_ATTEMPTS_MAX });
  const admitted = await call(() => ports.client.submit({ idempotencyKey, manifest }, { signal }));
  if (admitted.trainId !== trainId) {
    throw new PhtError('conflict', 'the dispatcher gave the train another id than its manifest has');
  }
  const admission = await admit(trainId, digest, admitted.proof, researcher, ports);
  const uploadedBytes = await uploadAll(trainId, image, admitted.missingDigests, researcher, ports, signal);
  const departed = await call(() => ports.client.depart({ idempotencyKey, trainId }, { signal }));
  const journey = journeyOf(departed.journey);
  ports.trains.mark(trainId, { idempotencyKey, departed: true });
  return { journey, uploadedBytes, admission };
}

/** An admission that stands in no ledger could be denied later: nothing more is sent on the strength of it. */
async function admit(
  trainId: TrainId,
  digest: Digest,
  proof: Uint8Array,
  researcher: Researcher,
  { trains, dispatcher, fetchNetwork }: SubmitPorts,
): Promise<KeptProof> {
  const judged = (): KeptProof => admissionOf(proof, digest, researcher.network(), dispatcher);
  try {
    let admission: KeptProof;
    try {
      admission = judged();
    } catch (thrown) {
      if (!isOfUnknownKey(thrown)) throw thrown;
      // The dispatcher's ledger may have a key that was listed since this home last asked.
      await fetchNetwork();
      admission = judged();
    }
    trains.keepAdmission(trainId, proof);
    return admission;
  } catch (thrown) {
    if (!(thrown instanceof PhtError) || thrown.code !== 'proof.invalid') throw thrown;
    throw new PhtError(
      'proof.invalid',
      `${thrown.message}; no blob was uploaded, and the train has not departed`,
      {
        cause: thrown,
        hint: "ask the dispatcher's operator; submit the train again once its ledger is in order",
      },
    );
  }
}

/** A submission that was seen to succeed is over: submitting once more is a new one, which the dispatcher judges. */
function keyFor(packed: PackedTrain, trains: PackedTrains): string {
  const { departure } = packed;
  if (departure === null) return freshKey(packed, trains);
  return departure.departed ? randomUUID() : departure.idempotencyKey;
}

function freshKey({ trainId }: PackedTrain, trains: PackedTrains): string {
  const idempotencyKey = randomUUID();
  trains.mark(trainId, { idempotencyKey, departed: false });
  return idempotencyKey;
}

async function uploadAll(
  trainId: TrainId,
  image: TrainImage,
  missing: readonly string[],
  researcher: Researcher,
  ports: SubmitPorts,
  signal: AbortSignal,
): Promise<number> {
  let uploadedBytes = 0;
  const bytesOf = blobsOf(image);
  for (const [at, digest] of [...new Set(missing)].entries()) {
    const bytes = bytesOf.get(digest);
    // Whatever else lies in this depot is nobody's business.
    if (bytes === undefined) {
      throw new PhtError('forbidden', 'the dispatcher asks for a blob that is no part of this train');
    }
    if (!(await ports.depot.status(digest)).complete) {
      throw new PhtError('image.missing', 'a blob of this train is no longer in the depot of this home', {
        hint: 'pack the train again',
      });
    }
    researcher.tell(`uploading blob ${at + 1} of ${missing.length}, ${mebibytes(bytes)} MiB`);
    await ports.upload({ trainId, digest, bytes }, signal);
    uploadedBytes += bytes;
  }
  return uploadedBytes;
}

function blobsOf(image: TrainImage): Map<string, number> {
  const blobs = new Map([[image.configDigest, image.configBytes]]);
  for (const { diffId, bytes } of image.layers) blobs.set(diffId, bytes);
  return blobs;
}

const mebibytes = (bytes: number): string => (bytes / 1024 ** 2).toFixed(1);
