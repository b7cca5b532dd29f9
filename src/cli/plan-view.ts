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

function cellsOf({ dataset, verdict, approvals, standing }: Outlook, asked: number): string[] {
  const missing = dataset?.missingColumns.length ?? 0;
  const columns = asked === 0 || dataset?.offered !== true ? '-' : missing === 0 ? 'all' : `lacks ${missing}`;
  return [
    dataset === null ? 'unknown' : dataset.offered ? 'offered' : 'not there',
    columns,
    ASKS[standing] ?? VERDICTS[verdict],
    verdict === 'permit' || standing === 'covers' ? 'nobody' : verdict === 'ask' ? personsOf(approvals) : '-',
  ];
}

/** A train that a standing clearance covers is like one that the policy permits. */
const ASKS: Readonly<Partial<Record<Outlook['standing'], string>>> = {
  covers: VERDICTS.permit,
  'may-cover': 'may ask',
};

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

function wordsOf({ verdict, approvals, standing, code, text }: Outlook): string {
  if (verdict === 'permit') return 'it would run now; decided again when it comes';
  const persons = personsOf(approvals);
  if (standing === 'covers')
    return 'it would run now by a standing clearance, which has a run left for it; decided again when it comes';
  if (standing === 'may-cover')
    return (
      `${persons} may have to approve it: a standing clearance over its code may cover it, which shows only when ` +
      'its image is there'
    );
  if (verdict === 'ask') return `${persons} must approve it; decided again when it comes`;
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
