import type { DispatcherStore } from '../../ports/dispatcher-store.ts';

/**
 * Erases what opens the commitments about one member. That it was done goes on record, of whom it does not.
 *
 * @returns how many salts there were
 */
export function forgetMember(member: string, store: DispatcherStore, nowMs: number): number {
  const erased = store.atomically(() => {
    const count = store.salts.forget(member);
    if (count === 0) return 0;
    const head = { trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null };
    store.append([{ type: 'salts.erased', ...head, body: { count } }], nowMs);
    return count;
  });
  store.salts.scrub();
  return erased;
}
