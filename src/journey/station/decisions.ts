import { setImmediate as turn } from 'node:timers/promises';
import type { DecisionsRequest, DecisionsResponse } from '../../gen/pht/v1/admin_pb.ts';
import { decodeEntry, type LedgerEntry } from '../../model/ledger/entry.ts';
import type { LedgerRows } from '../../ports/ledger.ts';
import type { StationArchive } from '../../ports/station-archive.ts';

export type DecisionsPorts = {
  archive: Pick<StationArchive, 'opening' | 'policy'>;
  ledgerRows: Pick<LedgerRows, 'size' | 'read'>;
};

/** As the wire takes it: every field may be left out. */
export type PastDecision = Partial<Omit<DecisionsResponse, '$typeName' | '$unknown'>>;

const BATCH_ENTRIES = 512;
const NEWEST_DEFAULT = 1000;
const NEWEST_MAX = 10_000;
const NONE = new Uint8Array();

/**
 * What the policy decided here, newest first, found in the ledger itself, so that it is found after a restore too; with
 * the facts and the answer, as they were committed to, from the archive. Both are empty where an erasure took them. The
 * text of a policy comes with the first decision by it, and not again.
 *
 * @param request `decisionsMax` at most 10,000; 0 stands for 1,000
 */
export async function* pastDecisions(
  { hopId, decisionsMax }: Pick<DecisionsRequest, 'hopId' | 'decisionsMax'>,
  { archive, ledgerRows }: DecisionsPorts,
  signal?: AbortSignal,
): AsyncGenerator<PastDecision> {
  let left = Math.min(decisionsMax === 0 ? NEWEST_DEFAULT : decisionsMax, NEWEST_MAX);
  const told = new Set<string>();
  for (let end = ledgerRows.size(); end > 0 && left > 0; ) {
    const first = Math.max(0, end - BATCH_ENTRIES);
    for (const entry of decisionsIn(ledgerRows.read(first, end), hopId)) {
      signal?.throwIfAborted();
      if (left === 0) return;
      left -= 1;
      const digest = textIn(entry, 'policyDigest');
      const policy = told.has(digest) ? '' : (archive.policy(digest) ?? '');
      told.add(digest);
      yield decisionOf(entry, policy, archive);
    }
    end = first;
    // A ledger can have millions of entries, and the station has trains to run meanwhile.
    await turn();
  }
}

/** Newest first. Most entries are of another type, which shows without decoding them. */
function* decisionsIn(batch: Uint8Array[], hopId: string): Generator<LedgerEntry> {
  for (const bytes of batch.toReversed()) {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (!text.includes('policy.decided') || !text.includes(hopId)) continue;
    const entry = decodeEntry(bytes);
    if (entry.type === 'policy.decided' && (hopId === '' || entry.hopId === hopId)) yield entry;
  }
}

function decisionOf(
  entry: LedgerEntry,
  policy: string,
  archive: Pick<StationArchive, 'opening'>,
): PastDecision {
  const opened = (name: string): Uint8Array => {
    const opening = archive.opening(textIn(entry, name));
    return opening === null ? NONE : Buffer.from(opening.value);
  };
  return {
    hopId: entry.hopId ?? '',
    trainId: entry.trainId ?? '',
    decidedAtMs: BigInt(entry.ts),
    request: opened('requestCommitment'),
    answer: opened('answerCommitment'),
    policyDigest: textIn(entry, 'policyDigest'),
    policy,
  };
}

function textIn({ body }: LedgerEntry, name: string): string {
  const value = body[name];
  return typeof value === 'string' ? value : '';
}
