import { encodeEnvelope } from '../../model/dsse.ts';
import type { Digest } from '../../model/id.ts';
import { signStatement } from '../../model/statement.ts';
import { type VerifiedManifest, verifyManifest } from '../../model/train.ts';
import type { TrainFile } from '../../model/train-file.ts';
import type { ImageOrigin, TrainImages } from '../../ports/researcher-images.ts';
import type { PackedTrains, TrainKey } from '../../ports/researcher-trains.ts';
import type { Signer } from '../../ports/signer.ts';
import { type Choices, draftManifest, finishManifest } from './manifest.ts';
import type { Researcher } from './researcher.ts';

export type PackPorts = {
  images: TrainImages;
  trains: PackedTrains;
  signer: Signer;
  newKey(): TrainKey;
};

/**
 * From a directory to a signed train: draft → image → key → sign → keep. What an honest dispatcher would refuse is
 * refused here, before anybody else sees it.
 *
 * @throws PhtError `usage.invalid`, `manifest.*`, `engine.unreachable`, `image.*`
 */
export async function pack(
  train: { file: TrainFile; origin: ImageOrigin; choices: Choices },
  researcher: Researcher,
  ports: PackPorts,
  signal: AbortSignal,
): Promise<VerifiedManifest> {
  const network = researcher.network();
  const nowMs = researcher.clock.nowMs();
  const draft = draftManifest(train.file, train.choices, { id: researcher.id, network }, nowMs);
  const image = await ports.images.take(train.origin, signal);
  const key = ports.newKey();
  const manifest = finishManifest(draft, image, key);
  const subject = { name: 'image', digest: image.configDigest as Digest };
  const { envelope } = signStatement('manifest', subject, manifest, ports.signer);
  const packed = verifyManifest(envelope, network, manifest.issuedAtMs);
  const { columns = [] } = train.file;
  const kept = { trainId: packed.trainId, manifest: encodeEnvelope(envelope), key, departure: null };
  ports.trains.keep({ ...kept, columns });
  return packed;
}
