import { type Disclosure, decisionsIn, type Opening } from '../../model/disclosure.ts';
import type { LedgerEntry } from '../../model/ledger/entry.ts';
import type { Network } from '../../model/network.ts';
import type { Verified } from '../../model/statement.ts';
import type { ReplayDecision } from '../../ports/replay.ts';
import { CLEARED_BY, judgeClearance } from './disclosed-clearance.ts';
import type { StandingUse } from './disclosed-terms.ts';
import { judgeWithdrawals, WITHDRAWN } from './disclosed-withdrawals.ts';
import { clearedByPerson, textIn } from './entry.ts';
import { type Finding, type FindingCode, finding, type Severity } from './findings.ts';
import type { DatedHeads } from './on-record.ts';
import type { Person } from './person.ts';
import { approvalsIn, factsIn, judgeDecision } from './replay.ts';

export type VerifiedDisclosure = Verified<Disclosure>;

/** One station's disclosure of one train, held against the station's own log. */
export type Opened = {
  readonly station: string;
  readonly trainId: string;
  readonly researcher: Person;
  /** By the index of the entry. */
  readonly decisions: ReadonlyMap<number, 'replayed' | 'erased' | 'contradicted'>;
  readonly persons: ReadonlyMap<number, Person>;
  /** Entries whose clearance was verified down to its admin's key. */
  readonly checked: ReadonlySet<number>;
  readonly standing: readonly StandingUse[];
  readonly findings: readonly Finding[];
};

export type DisclosedLog = {
  /** What the station's log, found sound, holds of the train, and what it says of clearances that were taken back. */
  entries: ReadonlyMap<number, LedgerEntry>;
  size: number;
  /** False for a bundle: what is not among `entries` may have been left out by whoever made it. */
  whole: boolean;
  network: Network;
  replay: ReplayDecision;
  /** Since when the log's entries have been on record. */
  dated: DatedHeads;
};

type Wrong = (severity: Severity, code: FindingCode, index: number | undefined, text: string) => void;

/** @param disclosure authentic and true to itself already (`verifyDisclosure`) */
export function judgeDisclosure(disclosure: VerifiedDisclosure, log: DisclosedLog): Opened {
  const { issuer: station, trainId, hops, ledgerSize } = disclosure.predicate;
  const findings: Finding[] = [];
  const wrong: Wrong = (severity, code, index, text) => {
    const place = { log: station, ...(index === undefined ? {} : { index }) };
    findings.push(finding(severity, code, place, text));
  };
  const openings = new Map<string, Opening>();
  for (const { hopId, openings: of } of hops) {
    for (const opening of of) {
      openings.set(`${opening.index} ${opening.name}`, opening);
      judgeOpening(opening, hopId, log, wrong);
    }
  }
  const personAt = (index: number, name: string): Person => {
    const opening = openings.get(`${index} ${name}`);
    if (opening === undefined) return { is: 'undisclosed' };
    return 'erased' in opening ? { is: 'erased' } : { is: 'named', id: opening.value };
  };

  const { decisions, researcher } = judgeDecisions(disclosure, log, wrong);
  const persons = new Map<number, Person>();
  const checked = new Set<number>();
  const standing: StandingUse[] = [];
  for (const [index, entry] of log.entries) {
    if (entry.type === 'policy.decided' && index < ledgerSize && !decisions.has(index))
      wrong('warning', 'disclosure.incomplete', index, 'the decision is not among those disclosed');
    if (entry.type !== 'clearance.recorded' || !clearedByPerson(entry.body)) continue;
    const asked = questionBefore(index, entry, log.entries, openings);
    const used = (use: StandingUse): void => void standing.push(use);
    const judged = CLEARED_BY.filter(({ by }) => textIn(entry.body, by) !== null).map((names) => {
      const person = personAt(index, names.by);
      const digest = personAt(index, names.clearance);
      const hidden = person.is === 'undisclosed' ? 'who' : digest.is === 'undisclosed' ? 'what' : null;
      if (hidden !== null && index < ledgerSize)
        wrong(
          'warning',
          'disclosure.incomplete',
          index,
          `${hidden} cleared it is not among what was disclosed`,
        );
      const cleared = { index, entry, person, digest, station, asked, used };
      return { person, natural: judgeClearance(cleared, hops, log, wrong) };
    });
    persons.set(index, together(judged.map(({ person }) => person)));
    const answer = answerBefore(index, entry, log.entries, openings);
    const naturals = judged.map(({ natural }) => natural);
    if (judgePersons(naturals, answer, index, wrong)) checked.add(index);
  }
  judgeRuns(openings, log.entries, wrong);
  judgeWithdrawals(openings, log.entries, wrong);
  return { station, trainId, researcher, decisions, persons, checked, standing, findings };
}

/** Of two persons who cleared one train, whoever is not named stands for both. */
function together(persons: readonly Person[]): Person {
  const ids = persons.flatMap((person) => (person.is === 'named' ? [person.id] : []));
  const hidden = persons.find(({ is }) => is !== 'named');
  return hidden ?? { is: 'named', id: ids.join(' and ') };
}

type Openings = ReadonlyMap<string, Opening>;

/** What the policy last said of this hop before an entry; null where that is not disclosed. */
function answerBefore(
  index: number,
  about: LedgerEntry,
  entries: DisclosedLog['entries'],
  openings: Openings,
): string | null {
  const decided = decidedBefore(index, about, entries);
  return decided === undefined ? null : openedAt(decided[0], 'answerCommitment', openings);
}

function questionBefore(
  index: number,
  about: LedgerEntry,
  entries: DisclosedLog['entries'],
  openings: Openings,
): { question: string; policyDigest: string } | null {
  const decided = decidedBefore(index, about, entries);
  if (decided === undefined) return null;
  const question = openedAt(decided[0], 'requestCommitment', openings);
  const policyDigest = textIn(decided[1].body, 'policyDigest');
  return question === null || policyDigest === null ? null : { question, policyDigest };
}

function decidedBefore(
  index: number,
  { hopId }: LedgerEntry,
  entries: DisclosedLog['entries'],
): [number, LedgerEntry] | undefined {
  return [...entries].findLast(
    ([at, entry]) => at < index && entry.hopId === hopId && entry.type === 'policy.decided',
  );
}

function openedAt(index: number, name: string, openings: Openings): string | null {
  const opening = openings.get(`${index} ${name}`);
  return opening === undefined || 'erased' in opening ? null : opening.value;
}

/** @returns whether everybody was checked, they are different persons, and as many as the policy asked for */
function judgePersons(
  naturals: readonly (string | null)[],
  answer: string | null,
  index: number,
  wrong: Wrong,
): boolean {
  const needed = answer === null ? 1 : approvalsIn(answer);
  if (naturals.length < needed) {
    const text = `the policy asked for ${needed} persons, and ${naturals.length} cleared it`;
    wrong('misconduct', 'release.without-clearance', index, text);
    return false;
  }
  if (naturals.includes(null)) return false;
  if (new Set(naturals).size === naturals.length) return true;
  wrong('misconduct', 'release.without-clearance', index, 'two accounts of one person cleared it');
  return false;
}

function judgeOpening(
  { index, name, commitment }: Opening,
  hopId: string,
  log: DisclosedLog,
  wrong: Wrong,
): void {
  const entry = log.entries.get(index);
  // A bundle holds one train's entries, and taking a clearance back is about none.
  if (entry === undefined && !log.whole && name === WITHDRAWN) return;
  if (index >= log.size || isLeftOut(index, log, wrong)) return;
  const isOf = entry?.type === 'clearance.withdrawn' ? name === WITHDRAWN : entry?.hopId === hopId;
  if (isOf && entry?.body[name] === commitment) return;
  wrong(
    'misconduct',
    'disclosure.contradicted',
    index,
    `the entry has no ${name} ${commitment.slice(0, 16)}`,
  );
}

/** Nobody is convicted by what somebody else did not hand over. */
function isLeftOut(index: number, { entries, whole }: DisclosedLog, wrong: Wrong): boolean {
  if (whole || entries.has(index)) return false;
  wrong('error', 'bundle.incomplete', index, 'an entry that the station opened is not in it');
  return true;
}

function judgeDecisions(
  { predicate }: VerifiedDisclosure,
  log: DisclosedLog,
  wrong: Wrong,
): { decisions: Map<number, 'replayed' | 'erased' | 'contradicted'>; researcher: Person } {
  const decisions = new Map<number, 'replayed' | 'erased' | 'contradicted'>();
  let researcher: Person = { is: 'undisclosed' };
  for (const decision of decisionsIn(predicate)) {
    const { index, hopId, request } = decision;
    if (index >= log.size || isLeftOut(index, log, wrong)) continue;
    const entry = log.entries.get(index);
    const same =
      entry?.type === 'policy.decided' &&
      entry.hopId === hopId &&
      textIn(entry.body, 'policyDigest') === decision.policyDigest &&
      textIn(entry.body, 'requestCommitment') === decision.requestCommitment &&
      textIn(entry.body, 'answerCommitment') === decision.answerCommitment;
    if (!same) {
      wrong(
        'misconduct',
        'disclosure.contradicted',
        index,
        'the decision disclosed is not the one on record',
      );
      continue;
    }
    const judged = judgeDecision(decision, entry, predicate.issuer, log.replay);
    decisions.set(index, judged.is);
    if (judged.is === 'contradicted') wrong('misconduct', 'decision.contradicted', index, judged.why);
    const id = request === null ? null : (factsIn(request)?.researcher ?? null);
    if (id !== null) researcher = { is: 'named', id };
    else if (request === null && decision.requestCommitment !== null && researcher.is === 'undisclosed')
      researcher = { is: 'erased' };
  }
  return { decisions, researcher };
}

/** Whatever a statement allows, it is one run of one train; each run that is on record used one up. */
function judgeRuns(
  openings: ReadonlyMap<string, Opening>,
  entries: ReadonlyMap<number, LedgerEntry>,
  wrong: Wrong,
): void {
  const used = new Map<string, { index: number; hopId: string | null }>();
  for (const [index, { type, hopId }] of entries) {
    if (type !== 'clearance.recorded') continue;
    for (const { clearance } of CLEARED_BY) {
      const opening = openings.get(`${index} ${clearance}`);
      if (opening === undefined || 'erased' in opening) continue;
      const before = used.get(opening.value);
      // The same hop after a crash, or decided anew, goes on with its run.
      if (before === undefined || before.hopId === hopId) used.set(opening.value, { index, hopId });
      else wrong('misconduct', 'clearance.overspent', index, `its one run was used at entry ${before.index}`);
    }
  }
}
