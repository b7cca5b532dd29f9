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
  'log.withheld': 'The log exists but was not handed over; nothing in it could be checked.',
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
  'checkpoint.uncosigned':
    'Too few witnesses have seen this head: another one may have been shown to others, and no one would know.',
  'checkpoint.miscosigned':
    "A witness's signature on the head does not verify: the head was altered, or the signature made up.",
  'head.unusable': 'An earlier head was served that is not the word of this member; it was not used.',
  'cosignature.unknown': 'It was ignored: no member of the network file signs as that.',
  'quorum.none':
    'No witnesses watch over the logs of this network: a log that is shown in two versions is found only by comparing.',
  'log.stale': 'Witnesses saw this head long ago: the member is silent, or newer heads are held back.',
  'log.restored':
    'The member took its log up again from a copy. What it did since that copy was made may be gone.',
  'log.rotation':
    'The log is not signed with the key that belongs to its size: the change to that key is missing, or not signed with both.',
  'entries.missing': 'The log was cut short after the member had signed it.',
  'entries.excess': 'More was served than the member had signed.',
  'entries.altered':
    'The entries are not those that the member signed: something was changed, added or removed.',
  'entry.altered': 'This is the place where the entries stop being those that the member signed.',
  'entry.malformed': 'An entry that does not have its one exact form says nothing that can be relied on.',
  'entry.foreign': 'The member put an entry on record in the name of somebody else.',
  'entry.contradictory': 'The entry contradicts itself: its ids or digests do not belong together.',
  'file.damaged': 'The copy is damaged or was altered there.',
  'copy.unusable': "The other reader's copy is missing or damaged there, so that it proves nothing.",
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
  'withdrawal.groundless': 'The station took back a release that it had never made.',
  'clearance.overspent': 'A person allowed fewer runs than the station made on the strength of that word.',
  'clearance.contradicted':
    'The clearance that the station shows is not the one that its log speaks of, or allowed something else.',
  // across logs
  'order.unadmitted': 'The dispatcher ordered hops of a train that it had not admitted.',
  'order.unissued':
    "A station took on an order that is in no dispatcher's log: it made the order up, or was shown another log than this one.",
  'receipt.unmatched': "The dispatcher's record of a receipt and the station's log contradict each other.",
  'mirror.behind':
    'The log as it is served ends before what another log, or an earlier head of it, speaks of: it is late, or it is held back.',
  'quote.missing':
    "What one member took from another came without the other's entry: nothing ties the two logs together there.",
  'quote.unmatched':
    'One log quotes an entry that the other does not hold there: one of the two members did not show everybody the same.',
  'witness.conflict':
    'A witness says that this log was shown in two versions. Ask the witness for the file and check it with: pht audit misconduct',
  // the network file and who was a member
  'network.forked':
    'One version of the list of members has two digests: the authority has shown different lists, or somebody has logged what it was never shown. Keep the files and compare.',
  'network.rolled-back':
    'An older network file was used after a newer one: whoever was revoked meanwhile was a member again. A warning where a newer root came with it, which took back what a thief of the members key had signed.',
  'signer.revoked':
    'The member was revoked, or its keys were in other hands, and nothing proves that it signed this before; it does not count.',
  'revocation.unproven':
    'The member was revoked. Without witnesses only the log itself says that this is older.',
  // what stations disclose to an auditor
  'decision.contradicted':
    "The station's own policy gives another answer to what was asked than the one on record.",
  'disclosure.contradicted': 'What the station disclosed is not what its log commits to.',
  'disclosure.incomplete': 'The station left out of its disclosure what its log speaks of.',
  'disclosure.invalid': 'The disclosure is not the word of a station of this network; it was not used.',
  // a bundle about one train
  'bundle.incomplete': 'The bundle does not hold it; what depends on it could not be checked.',
  'proof.invalid': 'A proof does not hold against its log; the entry was not used.',
  'statement.invalid': 'A signed statement does not verify with the pinned keys; it was not used.',
  'statement.unrecorded': 'A signed statement that no entry in the bundle speaks of.',
  'statement.contradicted': 'What the member signed says something else than its own log.',
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
