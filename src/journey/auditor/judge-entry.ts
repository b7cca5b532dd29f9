import { decodeEntry, type LedgerEntry } from '../../model/ledger/entry.ts';
import { SKEW_MS } from '../../model/skew.ts';
import { type Finding, type FindingCode, finding, type Severity } from './findings.ts';
import { isAboutTheLog } from './served.ts';

const MINUTE_MS = 60_000;

type Judging = {
  member: string;
  /** Wall clock to judge entries by; null for a copy, which may be read at any later time. */
  nowMs: number | null;
  /** The newest date among the entries before. */
  newestMs: number | null;
  found: (finding: Finding) => void;
  onEntry: (index: number, entry: LedgerEntry, bytes: Uint8Array) => void;
};

export type EntryJudge = { take: (index: number, bytes: Uint8Array) => void; newestMs: () => number | null };

/** Judges each entry by itself and by those before it: its strict form, its author, its date. */
export function createEntryJudge({ member, nowMs, found, onEntry, ...before }: Judging): EntryJudge {
  let { newestMs } = before;

  const judge = (index: number, entry: LedgerEntry, bytes: Uint8Array): void => {
    const wrong = (severity: Severity, code: FindingCode, text: string): void =>
      found(finding(severity, code, { log: member, index }, text));
    if (entry.actor !== member)
      wrong('misconduct', 'entry.foreign', `the entry names ${entry.actor} as its author`);
    if (newestMs !== null && entry.ts < newestMs - SKEW_MS) {
      const minutes = Math.round((newestMs - entry.ts) / MINUTE_MS);
      wrong('error', 'clock.backwards', `the entry is dated ${minutes} min before one that precedes it`);
    }
    if (nowMs !== null && entry.ts > nowMs + SKEW_MS) {
      const minutes = Math.round((entry.ts - nowMs) / MINUTE_MS);
      wrong('error', 'clock.ahead', `the entry is dated ${minutes} min ahead of this machine's clock`);
    }
    newestMs = Math.max(newestMs ?? 0, entry.ts);
    onEntry(index, entry, bytes);
  };

  return {
    newestMs: () => newestMs,
    take: (index, bytes) => {
      let entry: LedgerEntry;
      try {
        entry = decodeEntry(bytes);
      } catch (thrown) {
        if (!isAboutTheLog(thrown)) throw thrown;
        found(finding('error', 'entry.malformed', { log: member, index }, thrown.message));
        return;
      }
      judge(index, entry, bytes);
    },
  };
}
