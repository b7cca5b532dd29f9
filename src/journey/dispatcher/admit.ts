import { type Envelope, encodeEnvelope, parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { assertFresh, type Network } from '../../model/network.ts';
import { readStatement } from '../../model/statement.ts';
import {
  LIFETIME_MS_MAX,
  Manifest,
  recipientKeys,
  type VerifiedManifest,
  verifyManifest,
} from '../../model/train.ts';
import type { Train } from '../../ports/dispatcher-store.ts';
import type { Desk } from './desk.ts';

/** Who and what may enter: the same checks that every station repeats behind us, and quotas. */

/**
 * @param caller the member who holds the connection; only his own trains
 * @throws PhtError `signer.unknown`, `signature.invalid`, `network.*`, `statement.*`, `manifest.*`, `recipient.unknown`,
 *   `forbidden`
 */
export function inspectManifest(envelope: Envelope, caller: string, desk: Desk): VerifiedManifest {
  const nowMs = desk.clock.nowMs();
  const network = desk.network();
  assertFresh(network, nowMs);
  const verified = verifyManifest(envelope, network, nowMs);
  const { predicate: manifest } = verified;
  if (manifest.issuer !== caller)
    throw new PhtError('forbidden', 'the manifest was signed by another researcher');
  if (manifest.expiresMs - manifest.issuedAtMs > LIFETIME_MS_MAX) {
    throw new PhtError('manifest.too-long', 'the manifest is valid for longer than 90 days', {
      hint: 'give it an earlier expiry and sign it again',
    });
  }
  assertStopsNow(manifest, network);
  recipientKeys(manifest, network);
  blobsOf(manifest);
  return verified;
}

/** The manifest's own version of the network may be older; a stop that is gone since would only be waited for. */
function assertStopsNow({ route }: Manifest, network: Network): void {
  const gone = route.stops.find((stop) => network.members.get(stop)?.role !== 'station');
  if (gone === undefined) return;
  throw new PhtError('manifest.invalid', `${gone} is not a station of this network any more`, {
    hint: 'leave it out of the route, and pack the train anew',
  });
}

/** Every blob of an image with its declared size: the config and each distinct layer. */
export function blobsOf({ image }: Manifest): ReadonlyMap<string, number> {
  const sizes = new Map([[image.configDigest, image.configBytes]]);
  for (const { diffId, bytes } of image.layers) {
    if ((sizes.get(diffId) ?? bytes) !== bytes) {
      throw new PhtError('manifest.invalid', 'the manifest declares two sizes for one blob');
    }
    sizes.set(diffId, bytes);
  }
  return sizes;
}

/** What this researcher has to upload still; who else holds a blob plays no part. */
export function missingOf(manifest: Manifest, researcher: string, desk: Desk): string[] {
  const owned = desk.store.blobs.owned(researcher);
  return [...blobsOf(manifest).keys()].filter((digest) => !owned.has(digest));
}

/** @throws PhtError `quota.exceeded` */
export function assertQuota(manifest: Manifest, desk: Desk): void {
  const { openTrainsPerResearcherMax, blobBytesPerTrainMax, blobBytesPerResearcherMax } = desk.quotas;
  const open = desk.store.trains.open({ researcher: manifest.issuer });
  if (open.length >= openTrainsPerResearcherMax) {
    throw exceeded(
      `${open.length} trains of this researcher are under way`,
      'wait for one to arrive, or cancel one',
    );
  }
  const own = blobsOf(manifest);
  const ownBytes = sum(own.values());
  if (ownBytes > blobBytesPerTrainMax) {
    throw exceeded(
      `the image has ${ownBytes} bytes; ${blobBytesPerTrainMax} are taken`,
      'make the image smaller',
    );
  }
  // Blobs of trains that have ended make room; those of open trains stay, uploaded or not.
  const needed = new Map([...open.flatMap((train) => [...blobsOf(manifestOf(train))]), ...own]);
  if (sum(needed.values()) > blobBytesPerResearcherMax) {
    throw exceeded(
      'the images of the trains under way take up all the room',
      'wait for one to arrive, or cancel one',
    );
  }
}

function exceeded(message: string, hint: string): PhtError {
  return new PhtError('quota.exceeded', message, { hint });
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** The manifest as it was verified at admission. */
export function manifestOf(train: Train): Manifest {
  return readStatement('manifest', Manifest, payloadOf(parseEnvelope(train.manifest, 'manifest'))).predicate;
}

/** @param admittedAt where the admission stands in the ledger */
export function trainOf(verified: VerifiedManifest, admittedAt: number, nowMs: number): Train {
  const { predicate: manifest } = verified;
  return {
    trainId: verified.trainId,
    manifestDigest: verified.digest,
    manifest: encodeEnvelope(verified.envelope),
    researcher: manifest.issuer,
    title: manifest.title,
    state: 'loading',
    submittedAtMs: nowMs,
    expiresMs: manifest.expiresMs,
    cancellation: null,
    admittedAt,
  };
}
