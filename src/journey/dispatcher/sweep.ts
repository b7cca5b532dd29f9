import { asPhtError } from '../../model/error.ts';
import { blobsOf, manifestOf } from './admit.ts';
import type { Desk } from './desk.ts';
import { giveUp } from './dispatch.ts';
import { assertBlobs, type DepotOf } from './loading.ts';

/** How long after a train's expiry a receipt may still be on its way. */
export const GRACE_MS: number = 15 * 60_000;
/** An idempotency key is remembered for longer than any peer repeats a call. */
const REPLY_MS_MAX = 7 * 24 * 3_600_000;

/** What becomes due with time alone. Looks at the clock and the store, so it may run at any moment, and twice. */
export function sweep(desk: Desk): void {
  const nowMs = desk.clock.nowMs();
  for (const train of desk.store.trains.open({ expiredBeforeMs: nowMs - GRACE_MS })) {
    desk.store.atomically(() => giveUp(train, desk));
    desk.note('a train expired before all of its stations were heard', { trainId: train.trainId });
  }
  desk.store.replies.prune(nowMs - REPLY_MS_MAX);
  desk.rejects.flush();
}

/** Makes room in the depots of researchers that hold more than they may; blobs of open trains stay. */
export async function trimDepots(
  researchers: readonly string[],
  depotOf: DepotOf,
  desk: Desk,
): Promise<void> {
  for (const researcher of researchers) {
    const owned = desk.store.blobs.owned(researcher);
    const bytes = [...owned.values()].reduce((sum, each) => sum + each, 0);
    if (bytes <= desk.quotas.blobBytesPerResearcherMax) continue;
    const keep = new Set(
      desk.store.trains.open({ researcher }).flatMap((train) => [...blobsOf(manifestOf(train)).keys()]),
    );
    await depotOf(researcher).trim(desk.quotas.blobBytesPerResearcherMax, keep);
    await assertBlobs(owned.keys(), researcher, depotOf, desk).catch((thrown: unknown) => {
      desk.note('made room in a depot', { researcher, code: asPhtError(thrown).code });
    });
  }
}
