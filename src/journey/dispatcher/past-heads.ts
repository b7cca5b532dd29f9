import { PhtError } from '../../model/error.ts';
import { type OpenedCheckpoint, openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { formatNote, parseNote } from '../../model/ledger/note.ts';
import { ledgerOrigin } from '../../model/ledger/origin.ts';
import { PAST_HEAD_BYTES_MAX } from '../../model/ledger/past-heads.ts';
import { FINE_MS, retained } from '../../model/ledger/retained.ts';
import type { Network } from '../../model/network.ts';
import { inForce, isKey, logKeysOf } from '../../model/past-keys.ts';
import { SKEW_MS } from '../../model/skew.ts';
import { trustEndsMs } from '../../model/trust-ends.ts';
import { keysOfRule, provenAtMs, quorumRule } from '../../model/witnessing.ts';
import type { PastHead } from '../../ports/dispatcher-store.ts';
import type { Ledger } from '../../ports/ledger.ts';
import type { Desk } from './desk.ts';

/** Earlier heads that prove since when entries have been on record: whoever audits after a revocation has no others. */
export interface PastHeadsKept {
  /**
   * Keeps a head that is shown, if its quorum is full; in the caller's transaction, where there is one. The same again
   * changes nothing, and neither does one of the same size: the older cosignatures prove more.
   */
  keep(member: string, shown: Uint8Array): void;
}

type Keeping = Pick<Desk, 'network' | 'store' | 'clock'>;

export function createPastHeads({ network, store, clock }: Keeping): PastHeadsKept {
  const { pastHeads } = store;
  /** Under heavy load a ledger has many heads a second. */
  const thinned = new Map<string, number>();

  const thin = (member: string, now: Network, nowMs: number): void => {
    const heads = pastHeads.list(member);
    const kept = retained(heads, { nowMs, endsMs: trustEndsMs(now) });
    for (const head of heads) if (!kept.has(head)) pastHeads.remove(head);
  };

  return {
    keep: (member, shown) => {
      const now = network();
      const nowMs = clock.nowMs();
      const head = provenHead(now, member, shown);
      if (head === null || head.atMs > nowMs + SKEW_MS) return;
      store.atomically(() => {
        if (!pastHeads.add(head)) return;
        const slot = Math.floor(nowMs / FINE_MS);
        if (thinned.get(member) === slot) return;
        thin(member, now, nowMs);
        thinned.set(member, slot);
      });
    },
  };
}

/**
 * Keeps heads of the dispatcher's own ledger: the one that is shown now, which a crash may have left out, and each that
 * the witnesses are asked for from now on.
 *
 * @returns `gather` that keeps them
 */
export function keepingOwn(
  past: PastHeadsKept,
  { id, ledger, gather }: { id: string; ledger: Pick<Ledger, 'published'>; gather: Gather },
): Gather {
  const keep = (): void => {
    const head = ledger.published();
    if (head !== null) past.keep(id, head.text);
  };
  keep();
  return async (signal) => {
    await gather(signal);
    keep();
  };
}

type Gather = (signal: AbortSignal) => Promise<void>;

/** @returns null for what proves nothing: without a quorum, or with a cosignature that does not verify */
function provenHead(network: Network, member: string, shown: Uint8Array): PastHead | null {
  const rule = quorumRule(network, member);
  if (rule === null) return null;
  try {
    const opened = openCheckpoint(shown, {
      origin: ledgerOrigin(network.id, member),
      logKeys: inForce(logKeysOf(network, member)),
      witnessKeys: keysOfRule(rule),
    });
    const { size, extensions } = opened.checkpoint;
    const atMs = provenAtMs(rule, opened);
    const text = onlyVerified(shown, opened);
    const isNone = size === 0 || atMs === null || extensions.length > 0;
    if (isNone || text.length > PAST_HEAD_BYTES_MAX) return null;
    return { member, version: network.version, size, atMs, text };
  } catch (thrown) {
    // Whoever reads the newest head says what is wrong with it.
    if (thrown instanceof PhtError && NOT_KEPT.has(thrown.code)) return null;
    throw thrown;
  }
}

const NOT_KEPT: ReadonlySet<string> = new Set(['signature.invalid', 'signer.unknown', 'ledger.invalid']);

/** Nobody's further lines take up room for years. */
function onlyVerified(shown: Uint8Array, { signedBy, cosignatures }: OpenedCheckpoint): Uint8Array {
  const { text, signatures } = parseNote(shown);
  const keys = [...signedBy, ...cosignatures.map(({ key }) => key)];
  return Buffer.from(
    formatNote({ text, signatures: signatures.filter((line) => keys.some((key) => isKey(line, key))) }),
  );
}
