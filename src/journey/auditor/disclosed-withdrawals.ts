import type { Opening } from '../../model/disclosure.ts';
import type { LedgerEntry } from '../../model/ledger/entry.ts';
import { CLEARED_BY } from './disclosed-clearance.ts';
import type { FindingCode, Severity } from './findings.ts';

/** The member of `clearance.withdrawn` that commits to the clearance which was taken back. */
export const WITHDRAWN = 'withdrawnCommitment';

type Wrong = (severity: Severity, code: FindingCode, index: number, text: string) => void;

/**
 * A clearance that was taken back lets nothing run, and nothing leave that has run by it.
 *
 * @param openings by index and name
 */
export function judgeWithdrawals(
  openings: ReadonlyMap<string, Opening>,
  entries: ReadonlyMap<number, LedgerEntry>,
  wrong: Wrong,
): void {
  const withdrawn = new Map<string, number>();
  for (const opening of openings.values()) {
    if (opening.name !== WITHDRAWN || 'erased' in opening) continue;
    const { index, value } = opening;
    if (entries.get(index)?.type !== 'clearance.withdrawn') continue;
    withdrawn.set(value, Math.min(index, withdrawn.get(value) ?? index));
  }
  if (withdrawn.size === 0) return;
  const clearedBy = new Map<string | null, string[]>();
  for (const [index, { type, hopId }] of [...entries].sort(([one], [other]) => one - other)) {
    if (type === 'clearance.recorded') {
      const digests = CLEARED_BY.flatMap(({ clearance }) => {
        const opening = openings.get(`${index} ${clearance}`);
        return opening === undefined || 'erased' in opening ? [] : [opening.value];
      });
      clearedBy.set(hopId, digests);
    }
    if (type !== 'clearance.recorded' && type !== 'result.released') continue;
    const goneAt = (clearedBy.get(hopId) ?? []).map((digest) => withdrawn.get(digest) ?? index);
    const since = Math.min(index, ...goneAt);
    if (since === index) continue;
    const did = type === 'result.released' ? 'a result was released by it' : 'it was used';
    wrong('misconduct', 'clearance.contradicted', index, `${did} after it was taken back at entry ${since}`);
  }
}
