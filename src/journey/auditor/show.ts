import type { BodyValue, EntryType, LedgerEntry } from '../../model/ledger/entry.ts';
import type { Member } from '../../model/network.ts';
import type { Opened } from './disclosed.ts';
import { textIn } from './entry.ts';
import type { Person } from './person.ts';

/** One line in the life of a train. `index` is the entry in the log of `member`. */
export type LifeEvent = {
  readonly atMs: number;
  readonly member: string;
  readonly role: string;
  readonly index: number;
  readonly type: EntryType;
  readonly hopId: string | null;
  readonly text: string;
  readonly body: Readonly<Record<string, BodyValue>>;
};

const DIGITS_SHOWN = 12;

type Known = { person: string; replayed: string };
type Tell = (text: (name: string) => string, entry: LedgerEntry, known: Known) => string;

/** What each kind of entry says, in words. A kind that is missing here is shown by its name. */
const TELL: Partial<Record<EntryType, Tell>> = {
  'train.admitted': () => 'admitted the train',
  'train.rejected': (text) => `rejected the train: ${text('code')}`,
  'order.issued': (text) => `ordered a hop from ${text('station')}`,
  'order.received': (_, { attempt }) => `took the order on (attempt ${attempt ?? '?'})`,
  'manifest.verified': () => 'verified the signatures of the train',
  'policy.decided': (text, { body }, { replayed }) => {
    const rules = body['rules'];
    const why = Array.isArray(rules) && rules.length > 0 ? ` (${rules.join(', ')})` : '';
    // What a narrow table cuts off must be the least of it.
    return `policy says ${text('verdict')}, ${replayed}${why}`;
  },
  'clearance.recorded': (text, _, { person }) => {
    if (text('verdict') === 'reject') return 'a person rejected the train';
    if (text('verdict') === 'approve') return 'one person approved; the policy asks for two';
    return text('by') === 'policy' ? 'cleared by policy' : `cleared in person by ${person}`;
  },
  'clearance.standing': () => 'a person signed a clearance for trains to come',
  'clearance.withdrawn': () => 'a person took a clearance back',
  'image.verified': (text) => `verified the image ${text('configDigest').slice(0, DIGITS_SHOWN)}`,
  'run.started': () => 'started the run',
  'run.ended': () => 'the run ended',
  'output.screened': () => 'screened the output for disclosure',
  'result.released': (text) => `released the sealed result ${text('jweDigest').slice(0, DIGITS_SHOWN)}`,
  'release.withdrawn': (text) => `took the release back, nothing has left: ${text('code')}`,
  'disclosure.made': () => 'opened its decisions to an auditor',
  'receipt.issued': (text) =>
    `signed the receipt: ${text('outcome')}${unlessSame(text('code'), text('outcome'))}`,
  'receipt.received': (text) => `took the receipt of ${text('station')}: ${text('outcome')}`,
  'result.fetched': () => 'handed a sealed result out',
  'train.arrived': () => 'the train arrived',
  'train.cancelled': (text) =>
    text('code') === 'signer.revoked'
      ? 'took the train back: its researcher was revoked'
      : 'the researcher cancelled the train',
  'hop.unheard': (text) =>
    text('code') === 'signer.revoked'
      ? `gave ${text('station')} up: a member was revoked`
      : `heard nothing of ${text('station')} in time`,
};

function unlessSame(code: string, outcome: string): string {
  return code === outcome || code === '' ? '' : ` (${code})`;
}

/** All that the logs say of one train, in the order of their clocks; within one log always in the order of its entries. */
export function lifeOf(
  entries: readonly { member: Member; index: number; entry: LedgerEntry }[],
  opened: readonly Opened[],
): LifeEvent[] {
  const latest = new Map<string, number>();
  const events = entries.map(({ member, index, entry }) => {
    // A clock that was set back must not turn the order of one log round.
    const sortMs = Math.max(latest.get(member.id) ?? 0, entry.ts);
    latest.set(member.id, sortMs);
    const of = opened.find(({ station, trainId }) => station === member.id && trainId === entry.trainId);
    return { sortMs, event: eventOf(member, index, entry, of) };
  });
  return events.toSorted((a, b) => a.sortMs - b.sortMs).map(({ event }) => event);
}

function eventOf(member: Member, index: number, entry: LedgerEntry, opened: Opened | undefined): LifeEvent {
  const { ts, type, hopId, body } = entry;
  const person = personText(opened?.persons.get(index));
  const checked = opened?.checked.has(index) === true ? ', signature checked' : '';
  const known = { person: `${person}${checked}`, replayed: REPLAYED[opened?.decisions.get(index) ?? 'not'] };
  const tell = TELL[type];
  const text = tell === undefined ? type : tell((name) => textIn(body, name) ?? '', entry, known);
  return { atMs: ts, member: member.id, role: member.role, index, type, hopId, text, body };
}

const REPLAYED = {
  replayed: 'replayed',
  contradicted: 'CONTRADICTED by its own policy',
  erased: 'not replayed: erased',
  not: 'not replayed',
} as const;

function personText(person: Person | undefined): string {
  if (person === undefined || person.is === 'undisclosed') return '(not disclosed)';
  return person.is === 'erased' ? 'erased' : person.id;
}

/** Who the train is about, as far as stations have disclosed it. */
export function namesIn(
  trainId: string,
  opened: readonly Opened[],
): { researcher: string; people: string[] } {
  const of = opened.filter((each) => each.trainId === trainId);
  const named = of.find(({ researcher }) => researcher.is === 'named') ?? of.find(() => true);
  const people = of.flatMap(({ station, persons }) =>
    [...persons.values()].map((person) => `Approved at ${station} by: ${personText(person)}`),
  );
  return { researcher: personText(named?.researcher), people: [...new Set(people)] };
}
