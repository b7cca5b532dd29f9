import type { LedgerEntry } from '../../model/ledger/entry.ts';
import { contradictionIn, HOP_TYPES, type LeafOf, otherTrain, outcomeIn, textIn } from './entry.ts';
import { type Finding, type FindingCode, finding, type Severity } from './findings.ts';
import { at, brokenSteps, type HopTrace, newTrace, note } from './trace-hop.ts';

export type StationTrace = {
  take(index: number, entry: LedgerEntry, leafOf: LeafOf): void;
  readonly hops: ReadonlyMap<string, HopTrace>;
  /** Where each train was released, whatever has become of its hop. */
  readonly releases: ReadonlyMap<string, number>;
  /** Policy decisions, and clearances by a person, that were read. */
  readonly counts: { decisions: number; clearances: number };
  /** What is wrong within this log; to be believed only once the log itself is. */
  findings(): Finding[];
};

/** What an earlier audit left open. */
export type StationOpen = { hops: readonly HopTrace[]; releases: readonly (readonly [string, number])[] };

/** Kept until the log is known to be sound; more would only repeat them. */
const FINDINGS_MAX = 1000;

/** Follows each hop through one station's log and holds every release against what must have come before it. */
export function traceStation(station: string, open?: StationOpen): StationTrace {
  const hops = new Map<string, HopTrace>(open?.hops.map((hop) => [hop.hopId, { ...hop }]));
  const releases = new Map<string, number>(open?.releases);
  const counts = { decisions: 0, clearances: 0 };
  const found: Finding[] = [];
  const wrong = (severity: Severity, code: FindingCode, index: number, text: string): void => {
    if (found.length < FINDINGS_MAX) found.push(finding(severity, code, { log: station, index }, text));
  };

  return {
    hops,
    releases,
    counts,
    take: (index, entry, leafOf) => {
      const problem = contradictionIn(entry);
      if (problem !== null) wrong('error', 'entry.contradictory', index, problem);
      const { type, hopId } = entry;
      if (!HOP_TYPES.has(type) || hopId === null) return;
      const hop = hops.get(hopId) ?? newTrace(hopId, entry);
      hops.set(hopId, hop);
      const mixed = otherTrain(entry, hop);
      if (mixed !== null) wrong('error', 'entry.contradictory', index, mixed);
      if (type === 'policy.decided') counts.decisions++;
      if (type === 'result.released') release(hop, index, entry, releases, wrong);
      else if (type === 'release.withdrawn') withdraw(hop, index, releases, wrong);
      else if (type === 'receipt.issued') receipt(hop, index, entry, leafOf, wrong);
      else note(hop, index, entry);
      if (type === 'clearance.recorded' && hop.byPerson) counts.clearances++;
    },
    findings: () => found,
  };
}

type Wrong = (severity: Severity, code: FindingCode, index: number, text: string) => void;
type Releases = Map<string, number>;

/** This version knows one step and one round, so the train alone names the visit. */
const visitOf = ({ trainId, hopId }: HopTrace): string => trainId ?? hopId;

function release(hop: HopTrace, index: number, { ts }: LedgerEntry, releases: Releases, wrong: Wrong): void {
  for (const { code, text } of brokenSteps(hop)) wrong('misconduct', code, index, `${hop.hopId}: ${text}`);
  if (hop.receipt !== null) {
    const text = `${hop.hopId} was released after its receipt ${at(hop.receipt)}`;
    wrong('misconduct', 'receipt.contradictory', index, text);
  }
  const first = releases.get(visitOf(hop));
  if (first === undefined) releases.set(visitOf(hop), index);
  else wrong('misconduct', 'release.duplicate', index, `${visitOf(hop)} was released before, ${at(first)}`);
  hop.released = index;
  hop.releasedAtMs = ts;
}

/** It never left: the station could not show it to its witnesses in time, or the case changed while it waited. */
function withdraw(hop: HopTrace, index: number, releases: Releases, wrong: Wrong): void {
  if (hop.receipt !== null) {
    const text = `${hop.hopId} was withdrawn after its receipt ${at(hop.receipt)}`;
    wrong('misconduct', 'receipt.contradictory', index, text);
  }
  if (hop.released === null) {
    wrong('misconduct', 'withdrawal.groundless', index, `${hop.hopId}: nothing was released`);
    return;
  }
  if (releases.get(visitOf(hop)) === hop.released) releases.delete(visitOf(hop));
  hop.released = null;
  hop.releasedAtMs = null;
}

function receipt(hop: HopTrace, index: number, { body }: LedgerEntry, leafOf: LeafOf, wrong: Wrong): void {
  if (hop.received === null)
    wrong('misconduct', 'receipt.unordered', index, `${hop.hopId} was never received here`);
  if (hop.receipt !== null) {
    wrong('misconduct', 'receipt.duplicate', index, `${hop.hopId} has a receipt already, ${at(hop.receipt)}`);
    return;
  }
  if ((textIn(body, 'outcome') === 'released') !== (hop.released !== null)) {
    const fact = hop.released === null ? 'nothing was released' : `it was released ${at(hop.released)}`;
    const text = `${hop.hopId}: outcome ${textIn(body, 'outcome')}, but ${fact}`;
    wrong('misconduct', 'receipt.contradictory', index, text);
  }
  hop.receipt = index;
  hop.receiptDigest = textIn(body, 'receiptDigest');
  hop.outcome = outcomeIn(body);
  hop.receiptLeaf = leafOf();
  if (hop.receiptDigest === null) {
    wrong('error', 'entry.contradictory', index, `${hop.hopId}: a receipt without its digest`);
  }
}

/**
 * Releases that no receipt speaks of. Where witnesses have to see the release first, the receipt follows it later, and
 * what waits for them is only worth a look.
 */
export function* unreceipted(
  station: string,
  { hops }: Pick<StationTrace, 'hops'>,
  { witnessed, asOfMs, lagMs }: { witnessed: boolean; asOfMs: number; lagMs: number },
): Generator<Finding> {
  for (const { hopId, released, releasedAtMs, receipt } of hops.values()) {
    if (released === null || receipt !== null) continue;
    if (witnessed && asOfMs - (releasedAtMs ?? 0) <= lagMs) continue;
    const severity = witnessed ? 'warning' : 'misconduct';
    const place = { log: station, index: released };
    yield finding(severity, 'receipt.missing', place, `${hopId} was released and has no receipt`);
  }
}
