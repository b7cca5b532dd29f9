import type { Digest, HopId, TrainId } from '../../model/id.ts';
import type { LedgerEntry } from '../../model/ledger/entry.ts';
import { contradictionIn, HOP_TYPES, textIn } from './entry.ts';
import { type Finding, type FindingCode, finding, type Severity } from './findings.ts';

/** The last entry of each kind about one hop, by its index in the log; null where there is none. */
export type HopTrace = {
  readonly hopId: HopId;
  readonly trainId: TrainId | null;
  readonly manifestDigest: Digest | null;
  receivedAtMs: number | null;
  received: number | null;
  verified: number | null;
  decided: number | null;
  verdict: string | null;
  cleared: number | null;
  clearedBy: string | null;
  started: number | null;
  ended: number | null;
  screened: number | null;
  released: number | null;
  receipt: number | null;
  receiptDigest: string | null;
};

export type StationTrace = {
  take(index: number, entry: LedgerEntry): void;
  readonly hops: ReadonlyMap<string, HopTrace>;
  /** What is wrong within this log; to be believed only once the log itself is. */
  findings(): Finding[];
};

/** Kept until the log is known to be sound; more would only repeat them. */
const FINDINGS_MAX = 1000;

/** Follows each hop through one station's log and holds every release against what must have come before it. */
export function traceStation(station: string, isAdmin: (member: string) => boolean): StationTrace {
  const hops = new Map<string, HopTrace>();
  const releases = new Map<string, number>();
  const found: Finding[] = [];
  const wrong = (severity: Severity, code: FindingCode, index: number, text: string): void => {
    if (found.length < FINDINGS_MAX) found.push(finding(severity, code, { log: station, index }, text));
  };

  const release = (hop: HopTrace, index: number): void => {
    for (const { code, text } of brokenSteps(hop, isAdmin))
      wrong('misconduct', code, index, `${hop.hopId}: ${text}`);
    if (hop.receipt !== null) {
      wrong(
        'misconduct',
        'receipt.contradictory',
        index,
        `${hop.hopId} was released after its receipt ${at(hop.receipt)}`,
      );
    }
    // This version knows one step and one round, so the manifest alone names the visit.
    const visit = hop.manifestDigest ?? hop.hopId;
    const first = releases.get(visit);
    if (first === undefined) releases.set(visit, index);
    else
      wrong(
        'misconduct',
        'release.duplicate',
        index,
        `${hop.trainId ?? hop.hopId} was released before, ${at(first)}`,
      );
    hop.released = index;
  };

  const receipt = (hop: HopTrace, index: number, { body }: LedgerEntry): void => {
    if (hop.received === null)
      wrong('misconduct', 'receipt.unordered', index, `${hop.hopId} was never received here`);
    if (hop.receipt !== null) {
      wrong(
        'misconduct',
        'receipt.duplicate',
        index,
        `${hop.hopId} has a receipt already, ${at(hop.receipt)}`,
      );
      return;
    }
    if ((textIn(body, 'outcome') === 'released') !== (hop.released !== null)) {
      const fact = hop.released === null ? 'nothing was released' : `it was released ${at(hop.released)}`;
      wrong(
        'misconduct',
        'receipt.contradictory',
        index,
        `${hop.hopId}: outcome ${textIn(body, 'outcome')}, but ${fact}`,
      );
    }
    hop.receipt = index;
    hop.receiptDigest = textIn(body, 'receiptDigest');
    if (hop.receiptDigest === null) {
      wrong('error', 'entry.contradictory', index, `${hop.hopId}: a receipt without its digest`);
    }
  };

  return {
    hops,
    take: (index, entry) => {
      const problem = contradictionIn(entry);
      if (problem !== null) wrong('error', 'entry.contradictory', index, problem);
      if (!HOP_TYPES.has(entry.type) || entry.hopId === null) return;
      const hop = hops.get(entry.hopId) ?? newTrace(entry.hopId, entry);
      hops.set(entry.hopId, hop);
      if (entry.type === 'result.released') release(hop, index);
      else if (entry.type === 'receipt.issued') receipt(hop, index, entry);
      else note(hop, index, entry);
    },
    findings: () => {
      const unreceipted = [...hops.values()].filter(
        ({ released, receipt }) => released !== null && receipt === null,
      );
      const missing = unreceipted
        .slice(0, FINDINGS_MAX)
        .map(({ hopId, released }) =>
          finding(
            'misconduct',
            'receipt.missing',
            { log: station, ...(released === null ? {} : { index: released }) },
            `${hopId} was released and has no receipt`,
          ),
        );
      return [...found, ...missing];
    },
  };
}

function newTrace(hopId: HopId, { trainId, manifestDigest }: LedgerEntry): HopTrace {
  return {
    ...{ hopId, trainId, manifestDigest },
    ...{ receivedAtMs: null, received: null, verified: null, decided: null, verdict: null },
    ...{ cleared: null, clearedBy: null, started: null, ended: null, screened: null },
    ...{ released: null, receipt: null, receiptDigest: null },
  };
}

function note(hop: HopTrace, index: number, { type, body, ts }: LedgerEntry): void {
  switch (type) {
    case 'order.received':
      hop.received = index;
      hop.receivedAtMs = ts;
      return;
    case 'manifest.verified':
      hop.verified = index;
      return;
    case 'policy.decided':
      hop.decided = index;
      hop.verdict = textIn(body, 'verdict');
      return;
    case 'clearance.recorded':
      hop.cleared = index;
      hop.clearedBy = textIn(body, 'by');
      return;
    case 'run.started':
      hop.started = index;
      return;
    case 'run.ended':
      hop.ended = index;
      return;
    case 'output.screened':
      hop.screened = index;
      return;
    default:
  }
}

type Broken = { code: FindingCode; text: string };

/**
 * A hop may start over after a crash, so the last entry of each kind counts: they stand in the order of the protocol or
 * the release is not covered by them.
 */
function brokenSteps(hop: HopTrace, isAdmin: (member: string) => boolean): Broken[] {
  const broken: Broken[] = [];
  const { received, verified, decided, verdict, cleared, clearedBy, started, ended, screened } = hop;
  const demand = (code: FindingCode, holds: boolean, text: string): void => {
    if (!holds) broken.push({ code, text });
  };
  demand('release.without-order', received !== null, 'no order was received');
  demand(
    'release.without-verification',
    follows(received, verified),
    'the manifest was not verified after the order',
  );
  const permitted = verdict === 'permit' || verdict === 'ask';
  const inTime = started === null || follows(decided, started);
  const last =
    decided === null
      ? 'no policy decision'
      : `the last decision ${at(decided)} is ${verdict ?? 'unreadable'}`;
  demand(
    'release.without-permit',
    decided !== null && permitted && inTime,
    inTime ? last : `${last}, after the run began`,
  );
  if (verdict === 'ask') {
    const between = follows(decided, cleared) && (started === null || follows(cleared, started));
    const person = clearedBy !== null && isAdmin(clearedBy);
    const who = clearedBy === null ? 'nobody' : clearedBy;
    const text = person
      ? 'no clearance between decision and run'
      : `${who} cleared it, who is no admin of this station`;
    demand('release.without-clearance', between && person, text);
  }
  demand('release.without-run', follows(started, ended), 'no run was started and ended');
  demand('release.without-screening', follows(ended, screened), 'the output was not screened after the run');
  return broken;
}

function follows(first: number | null, second: number | null): boolean {
  return first !== null && second !== null && second > first;
}

function at(index: number): string {
  return `at entry ${index}`;
}
