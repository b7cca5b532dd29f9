import type { LedgerEntry } from '../../model/ledger/entry.ts';
import type { Network } from '../../model/network.ts';
import type { ReplayDecision } from '../../ports/replay.ts';
import { judgeDisclosure, type Opened, type VerifiedDisclosure } from './disclosed.ts';
import { overspentTerms } from './disclosed-terms.ts';
import { textIn } from './entry.ts';
import { type Finding, finding } from './findings.ts';
import type { DatedHeads } from './on-record.ts';
import type { Watch } from './read-log.ts';

/** An entry that a reader of the report has to know of, though nothing is wrong with it. */
export type Notice = { log: string; index: number; atMs: number; type: LedgerEntry['type']; text: string };

const NOTICES_MAX = 200;
/** Of one audit; findings beyond twenty of a kind are only counted anyway. */
const CONFLICTS_MAX = 1000;

const TELL: Partial<Record<LedgerEntry['type'], (entry: LedgerEntry) => string>> = {
  'log.restored': ({ body: { from, to } }) => {
    const last = typeof to === 'number' ? to - 1 : '?';
    return `entries ${typeof from === 'number' ? from : '?'} to ${last} came back from a copy`;
  },
  'trust.decided': ({ body }) =>
    `an admin decided about ${textIn(body, 'member') ?? 'a member'} after a conflict: ${textIn(body, 'verdict') ?? '?'}`,
  'disclosure.made': ({ trainId }) => `disclosed ${trainId ?? 'a train'} to an auditor`,
  'salts.erased': ({ body }) => `erased what tells whom ${String(body['count'] ?? '?')} commitments mean`,
  'log.rotated': ({ body }) =>
    `went on with the log key ${textIn(body, 'newKeyId') ?? '?'} in place of ${textIn(body, 'oldKeyId') ?? '?'}`,
  'witness.conflict': ({ body }) => `saw two versions of ${textIn(body, 'origin') ?? 'a log'}`,
};

export type Watching = Watch & {
  notices(sound: ReadonlySet<string>): Notice[];
  /** What follows from the notices, of logs that are sound. */
  findings(sound: ReadonlySet<string>, network: Network): Finding[];
  /** Each disclosure held against the log of its station, if that is sound. */
  opened(
    heads: ReadonlyMap<string, number>,
    by: { network: Network; replay: ReplayDecision; dated: DatedHeads },
  ): Opened[];
};

/** Keeps of the entries that pass by what the report needs besides the hops. */
/** @param whole whether every entry of each log passes by */
export function watchLogs(disclosures: readonly VerifiedDisclosure[], whole = true): Watching {
  const notices = new Map<string, Notice[]>();
  const conflicts: { log: string; index: number; origin: string }[] = [];
  const restored: { log: string; index: number; text: string }[] = [];
  const entries = new Map<string, Map<number, LedgerEntry>>();
  const keyOf = (station: string, trainId: string | null): string => `${station} ${trainId ?? ''}`;
  for (const { predicate } of disclosures) entries.set(keyOf(predicate.issuer, predicate.trainId), new Map());

  return {
    take: ({ id }, index, entry) => {
      if (entry.trainId !== null && entries.size > 0)
        entries.get(keyOf(id, entry.trainId))?.set(index, entry);
      // It is about no train, and may be about the clearance of any.
      if (entry.type === 'clearance.withdrawn')
        for (const [key, of] of entries) if (key.startsWith(`${id} `)) of.set(index, entry);
      const tell = TELL[entry.type];
      if (tell === undefined) return;
      const of = notices.get(id) ?? [];
      notices.set(id, of);
      const origin = textIn(entry.body, 'origin');
      if (entry.type === 'witness.conflict' && origin !== null && conflicts.length < CONFLICTS_MAX)
        conflicts.push({ log: id, index, origin });
      const text = tell(entry);
      if (entry.type === 'log.restored' && restored.length < CONFLICTS_MAX)
        restored.push({ log: id, index, text });
      of.push({ log: id, index, atMs: entry.ts, type: entry.type, text });
      // The newest are shown, so that many of one kind hide nothing that came after them.
      if (of.length > NOTICES_MAX) of.shift();
    },
    forget: ({ id }) => {
      notices.delete(id);
      for (const [key, of] of entries) if (key.startsWith(`${id} `)) of.clear();
      conflicts.splice(0, conflicts.length, ...conflicts.filter(({ log }) => log !== id));
      restored.splice(0, restored.length, ...restored.filter(({ log }) => log !== id));
    },
    notices: (sound) => [...notices].flatMap(([log, of]) => (sound.has(log) ? of : [])),
    findings: (sound, network) => [
      ...restored.flatMap(({ log, index, text }) =>
        sound.has(log) ? [finding('warning', 'log.restored', { log, index }, text)] : [],
      ),
      ...conflicts.flatMap(({ log, index, origin }) =>
        sound.has(log) ? [conflictFinding(log, index, origin, network)] : [],
      ),
    ],
    opened: (heads, by) => {
      const opened = disclosures.flatMap((disclosure) => {
        const { issuer, trainId } = disclosure.predicate;
        const size = heads.get(issuer);
        const of = entries.get(keyOf(issuer, trainId));
        if (size === undefined || of === undefined) return [];
        return [judgeDisclosure(disclosure, { entries: of, size, whole, ...by })];
      });
      const [first, ...others] = opened;
      if (first === undefined) return [];
      return [{ ...first, findings: [...first.findings, ...overspentTerms(opened)] }, ...others];
    },
  };
}

function conflictFinding(log: string, index: number, origin: string, { id }: Network): Finding {
  const member = origin.startsWith(`signalbox.example/${id}/`) ? origin.split('/').at(-1) : undefined;
  const text = `${log} saw two versions of the log of ${member ?? origin}, and has both signed heads`;
  return finding('warning', 'witness.conflict', { log, index }, text);
}
