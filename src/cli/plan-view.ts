import type { Outlook, Plan, PlannedStop } from '../journey/researcher/plan.ts';
import { refusalOf } from '../model/refusal.ts';
import { EXIT, type ExitStatus } from './exit.ts';
import { table, wrap } from './text.ts';

/** What stations said to an inquiry, for people, within 80 columns. */

/** A plan that says no is an answer, and no failure of this command. */
export function planStatus({ stops }: Plan): ExitStatus {
  if (stops.some(({ word }) => word === 'unverified')) return EXIT.unverified;
  return stops.some(({ word }) => word === 'replied') ? EXIT.done : EXIT.unreachable;
}

export function planLines(planned: Plan): string[] {
  const { title, trainId, stops, able, minStations, columns } = planned;
  const rows = stops.map((stop) => [
    stop.station,
    STATES[stop.word],
    ...(stop.outlook === null ? ['-', '-', '-', '-'] : cellsOf(stop.outlook, columns.length)),
  ]);
  return [
    ...wrap(`${title} (${trainId})`),
    '',
    ...table(['STATION', 'STATE', 'DATASET', 'COLUMNS', 'VERDICT', 'APPROVAL BY'], rows),
    ...stops.flatMap((stop) => whyLines(stop, planned)),
    '',
    ...wrap(
      `${able} of ${stops.length} stops have what it needs and would take it; ${minStations} needed. ` +
        'Nothing was submitted, and each station decides again when the train comes.',
    ),
    `Next: pht train submit ${trainId}`,
  ];
}

const STATES: Readonly<Record<PlannedStop['word'], string>> = {
  replied: 'online',
  silent: 'no answer',
  offline: 'offline',
  unverified: 'unverified',
};

const VERDICTS: Readonly<Record<Outlook['verdict'], string>> = {
  permit: 'would run',
  ask: 'asks first',
  deny: 'would refuse',
  error: 'cannot say',
};

function cellsOf({ dataset, verdict, approvals }: Outlook, asked: number): string[] {
  const missing = dataset?.missingColumns.length ?? 0;
  const columns = asked === 0 || dataset?.offered !== true ? '-' : missing === 0 ? 'all' : `lacks ${missing}`;
  return [
    dataset === null ? 'unknown' : dataset.offered ? 'offered' : 'not there',
    columns,
    VERDICTS[verdict],
    verdict === 'permit' ? 'nobody' : verdict === 'ask' ? personsOf(approvals) : '-',
  ];
}

const personsOf = (approvals: number): string => (approvals === 1 ? '1 person' : `${approvals} persons`);

function whyLines(stop: PlannedStop, { dataset }: Plan): string[] {
  const { station, outlook } = stop;
  if (outlook === null) return ['', ...wrap(`${station}: ${unheardWords(stop)}`)];
  const { missingColumns = [] } = outlook.dataset ?? {};
  const lacks = missingColumns.length > 0;
  return [
    '',
    ...wrap(`${station}: ${wordsOf(outlook)}`),
    ...outlook.reasons.flatMap((reason) => wrap(`- ${reason}`, 2)),
    ...(lacks ? wrap(`- its ${dataset} has no column ${missingColumns.join(', ')}`, 2) : []),
    ...(outlook.engineReady ? [] : wrap('- its container engine could not run a train now', 2)),
  ];
}

function wordsOf({ verdict, approvals, code, text }: Outlook): string {
  if (verdict === 'permit') return 'it would run now; decided again when it comes';
  if (verdict === 'ask') return `${personsOf(approvals)} must approve it; decided again when it comes`;
  const what = verdict === 'deny' ? 'it would be refused now' : 'it cannot say';
  const why = text === '' && code !== null ? refusalOf(code).text : text;
  return `${what}: ${why} (${code})`;
}

function unheardWords({ word, code, text, lastSeenMs }: PlannedStop): string {
  if (word === 'unverified') return `its answer does not verify: ${text} (${code})`;
  if (word === 'silent') return 'it did not answer in time, or answers no inquiries';
  const seen = lastSeenMs === null ? 'never seen' : `last seen ${new Date(lastSeenMs).toISOString()}`;
  return `offline, ${seen}, says the dispatcher`;
}
