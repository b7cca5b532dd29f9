import { PhtError } from '../../model/error.ts';
import type { Depot } from '../../ports/depot.ts';
import type { Desk } from './desk.ts';

/** Each researcher has a depot of his own, so that nobody can learn from it what another one uploaded. */
export type DepotOf = (researcher: string) => Depot;

/**
 * Holds what the store says against what the depot has. A blob that is gone is forgotten, and so will be asked for.
 *
 * @throws PhtError `image.missing`
 */
export async function assertBlobs(
  digests: Iterable<string>,
  researcher: string,
  depotOf: DepotOf,
  desk: Desk,
): Promise<void> {
  const owned = desk.store.blobs.owned(researcher);
  let missing = 0;
  for (const digest of digests) {
    const { complete } = await depotOf(researcher).status(digest);
    if (owned.has(digest) && complete) continue;
    missing += 1;
    if (owned.has(digest)) desk.store.blobs.disown(researcher, digest);
  }
  if (missing === 0) return;
  throw new PhtError('image.missing', `${missing} blobs of the image have not been uploaded`, {
    hint: 'submit the train again; what has arrived already is not sent twice',
  });
}
