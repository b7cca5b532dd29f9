import { clip } from './words.ts';

/**
 * What an audit can find. Codes are stable: programs match on them. `misconduct` is proved by the member's own
 * signature; an `error` is wrong without saying whose doing it is; a `warning` may be harmless.
 */
export type Severity = 'misconduct' | 'error' | 'warning';

const MEANS = {
  // one log
  'log.missing': 'What this member did cannot be checked.',
  'log.unknown': 'It was not read: no dispatcher or station of the network file has this name.',
  'log.withheld': 'The log was announced but not handed over; nothing in it could be checked.',
  'log.rolled-back': 'Entries that were there at an earlier audit are gone.',
  'log.forked':
    'The member signed two histories that cannot both be true. Keep both checkpoints: they prove it.',
  'log.older-copy':
    'The copy ends before what this auditor has seen already; later entries were not checked.',
  'key.missing':
    'The network file pins no log key for this member, so that nothing of its log can be verified.',
  'checkpoint.malformed': 'The head of the log was damaged or altered; nothing in the log is believed.',
  'checkpoint.unsigned':
    'The head of the log is not the word of this member; nothing in the log is believed.',
  'checkpoint.foreign': 'Another log was served in the place of this one.',
  'entries.missing': 'The log was cut short after the member had signed it.',
  'entries.excess': 'More was served than the member had signed.',
  'entries.altered':
    'The entries are not those that the member signed: something was changed, added or removed.',
  'entry.altered': 'This is the place where the entries stop being those that the member signed.',
  'entry.malformed': 'An entry that does not have its one exact form says nothing that can be relied on.',
  'entry.foreign': 'The member put an entry on record in the name of somebody else.',
  'entry.contradictory': 'The entry contradicts itself: its ids or digests do not belong together.',
  'file.damaged': 'The copy is damaged or was altered there.',
  'file.unknown': 'The file is no part of a log and was ignored.',
  'clock.backwards': "The member's clock was set back, or entries were written later than they claim.",
  'clock.ahead': "The member's clock runs ahead, or the entry was dated later than it was written.",
  // this auditor's own memory
  'state.damaged': 'What the last audits saw cannot be compared. The file was left as it is; keep it.',
  'state.missing':
    'Logs were archived here, but what was seen is gone: a roll-back since then cannot be noticed.',
  // hops within one log
  'release.without-order': 'A result left the station for an order that it never took on.',
  'release.without-verification':
    'A result left the station for a train whose signatures it did not check first.',
  'release.without-permit': "A result left the station without its policy's permission before the run.",
  'release.without-clearance':
    'The policy asked for a person, and no admin of the station had cleared the run.',
  'release.without-run': 'A result left the station that no recorded run produced.',
  'release.without-screening': 'A result left the station without passing the disclosure gate after the run.',
  'release.duplicate': 'The station released more than one result for the same visit of a train.',
  'receipt.missing': 'A result was released and no receipt says so.',
  'receipt.duplicate': 'One hop has more than one receipt.',
  'receipt.unordered': 'A receipt speaks of a hop that this log never ordered or received.',
  'receipt.contradictory': 'The receipt says something else than the log.',
  // across logs
  'order.unadmitted': 'The dispatcher ordered hops of a train that it had not admitted.',
  'order.unissued': 'A station took on an order that is not in the log of any dispatcher.',
  'receipt.unmatched': "The dispatcher's record of a receipt and the station's log contradict each other.",
  'mirror.behind':
    'The mirrored log ends before a receipt that was delivered: it is late, or it is held back.',
} as const;

export type FindingCode = keyof typeof MEANS;
export const FINDING_CODES = Object.keys(MEANS) as FindingCode[];

/** `log` is a member id (or the name under which a log was offered), `index` the entry in it. */
export type Finding = {
  readonly severity: Severity;
  readonly code: FindingCode;
  readonly log: string | null;
  readonly index: number | null;
  readonly text: string;
  readonly means: string;
};

export type Place = { log: string | null; index?: number };

export function finding(severity: Severity, code: FindingCode, place: Place, text: string): Finding {
  const { log, index = null } = place;
  return { severity, code, log, index, text: clip(text), means: MEANS[code] };
}

/** Takes findings; a log that is wrong throughout must not fill the memory, so further ones of a kind are counted. */
export type Findings = {
  add(found: Finding): void;
  /** Worst first, otherwise in the order found. */
  list(): Finding[];
  /** How many were counted but not kept. */
  omitted(): number;
  /** Whether anything but warnings was found. */
  failed(): boolean;
};

const KEPT_OF_A_KIND = 20;
const ORDER: readonly Severity[] = ['misconduct', 'error', 'warning'];

export function collectFindings(): Findings {
  const kept: Finding[] = [];
  const counts = new Map<string, number>();
  let omitted = 0;
  return {
    add: (found) => {
      const kind = `${found.severity} ${found.code} ${found.log ?? ''}`;
      const count = (counts.get(kind) ?? 0) + 1;
      counts.set(kind, count);
      if (count <= KEPT_OF_A_KIND) kept.push(found);
      else omitted++;
    },
    list: () => kept.toSorted((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity)),
    omitted: () => omitted,
    failed: () => kept.some(({ severity }) => severity !== 'warning'),
  };
}
