import type { Digest, HopId, TrainId } from '../../model/id.ts';
import type { EntryQuote, LedgerEntry } from '../../model/ledger/entry.ts';
import { clearedByPerson, textIn } from './entry.ts';
import type { FindingCode } from './findings.ts';

/** The last entry of each kind about one hop, by its index in the log; null where there is none. */
export type HopTrace = {
  readonly hopId: HopId;
  readonly trainId: TrainId | null;
  readonly manifestDigest: Digest | null;
  receivedAtMs: number | null;
  received: number | null;
  /** The dispatcher's entry that the received order came with. */
  quote: EntryQuote | null;
  verified: number | null;
  decided: number | null;
  verdict: string | null;
  cleared: number | null;
  byPerson: boolean;
  started: number | null;
  ended: number | null;
  screened: number | null;
  /** Null again once it was withdrawn. */
  released: number | null;
  releasedAtMs: number | null;
  receipt: number | null;
  receiptDigest: string | null;
  /** Outcome and code of the receipt. */
  outcome: string | null;
  receiptLeaf: Digest | null;
};

export function newTrace(hopId: HopId, { trainId, manifestDigest }: LedgerEntry): HopTrace {
  return {
    ...{ hopId, trainId, manifestDigest },
    ...{ receivedAtMs: null, received: null, quote: null, verified: null, decided: null, verdict: null },
    ...{ cleared: null, byPerson: false, started: null, ended: null, screened: null },
    ...{ released: null, releasedAtMs: null, receipt: null, receiptDigest: null },
    ...{ outcome: null, receiptLeaf: null },
  };
}

/** Takes a step of the hop that is judged only once something is released. */
export function note(hop: HopTrace, index: number, { type, body, ts, prev }: LedgerEntry): void {
  switch (type) {
    case 'order.received':
      hop.received = index;
      hop.receivedAtMs = ts;
      hop.quote = prev;
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
      hop.byPerson = clearedByPerson(body);
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

export type Broken = { code: FindingCode; text: string };

/**
 * A hop may start over after a crash, so the last entry of each kind counts: they stand in the order of the protocol or
 * the release is not covered by them.
 */
export function brokenSteps(hop: HopTrace): Broken[] {
  const broken: Broken[] = [];
  const { received, verified, decided, verdict, cleared, byPerson, started, ended, screened } = hop;
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
    const text = between ? 'no person cleared it' : 'no clearance between decision and run';
    demand('release.without-clearance', between && byPerson, text);
  }
  demand('release.without-run', follows(started, ended), 'no run was started and ended');
  demand('release.without-screening', follows(ended, screened), 'the output was not screened after the run');
  return broken;
}

function follows(first: number | null, second: number | null): boolean {
  return first !== null && second !== null && second > first;
}

export function at(index: number): string {
  return `at entry ${index}`;
}
