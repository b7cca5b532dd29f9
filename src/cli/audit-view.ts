import type { AuditReport } from '../journey/auditor/audit.ts';
import type { Finding, Severity } from '../journey/auditor/findings.ts';
import type { AuditedLog } from '../journey/auditor/read-log.ts';
import { timeText } from '../journey/auditor/words.ts';
import type { Network } from '../model/network.ts';
import type { Output, Style } from './output.ts';
import { clean, table, wrap } from './text.ts';

/** An audit as a program reads it and as a person prints it. */

/** `name` is the dispatcher that serves the logs, or where a copy lies. */
type Context = {
  network: Network;
  live: boolean;
  name: string;
  compared: boolean;
  /** Of a bundle, which holds some entries of each log only. */
  proved?: number;
};

const OPEN_SHOWN = 20;

export function reportView(report: AuditReport, { network, live, name }: Context): object {
  return {
    networkId: network.id,
    networkVersion: network.version,
    source: live ? { dispatcher: name } : { logs: name },
    verdict: verdictOf(report),
    read: report.onlyNew ? 'new' : 'everything',
    decisions: { recorded: report.tally.decisions, replayed: report.tally.replayed },
    clearancesByPersons: { recorded: report.tally.clearances, checked: report.tally.checked },
    notices: report.notices,
    logs: report.logs.map(logView),
    openHops: report.openHops,
    findings: report.findings,
    findingsOmitted: report.omitted,
  };
}

export function verdictOf({ failed, findings }: AuditReport): 'sound' | 'warnings' | 'unsound' {
  if (failed) return 'unsound';
  return findings.length > 0 ? 'warnings' : 'sound';
}

function logView({ member, role, origin, head, cosigned }: AuditedLog): object {
  return {
    member,
    role,
    origin,
    verified: head?.sound === true,
    size: head?.checkpoint.size ?? null,
    root: head === null ? null : Buffer.from(head.checkpoint.root).toString('hex'),
    newestMs: head?.newestMs ?? null,
    continues: head?.continues ?? null,
    cosigned,
  };
}

export function reportLines(report: AuditReport, context: Context, paint: Output['paint']): string[] {
  const { network, live, name } = context;
  const where = live ? `as ${name} serves them` : `in ${name}`;
  const rows = report.logs.map(({ member, head, cosigned, missing }) => [
    member,
    head === null ? '-' : String(head.checkpoint.size),
    head?.newestMs == null ? '-' : timeText(head.newestMs),
    cosigned?.quorum == null ? '-' : `${cosigned.witnesses.length} (${cosigned.quorum})`,
    head?.continues == null ? '-' : `entry ${head.continues}`,
    missing ? 'no log' : head?.sound === true ? 'verified' : 'NOT VERIFIED',
  ]);
  return [
    ...wrap(`Audit of ${network.title} (network file version ${network.version}): the logs ${where}`),
    '',
    ...table(['LOG', 'ENTRIES', 'NEWEST (UTC)', 'SEEN BY', 'CONTINUES', 'RESULT'], rows),
    '',
    ...openLines(report),
    ...tallyLines(report),
    ...noticeLines(report),
    ...report.findings.flatMap((found) => findingLines(found, paint)),
    ...(report.omitted === 0 ? [] : [`and ${report.omitted} more findings of these kinds`, '']),
    ...wrap(conclusion(report, context)).map((line, at) => (at === 0 ? paint('bold', line) : line)),
  ];
}

function openLines({ openHops }: AuditReport): string[] {
  if (openHops.length === 0) return [];
  const shown = openHops.slice(0, OPEN_SHOWN);
  const rows = shown.map(({ station, hopId, trainId, sinceMs, waits }) => [
    station,
    trainId ?? '-',
    hopId,
    `${sinceMs === null ? '-' : timeText(sinceMs)}${waits ? ' (waits for witnesses)' : ''}`,
  ]);
  return [
    `Under way, without a receipt yet: ${openHops.length}`,
    ...table(['STATION', 'TRAIN', 'HOP', 'SINCE (UTC)'], rows),
    ...(openHops.length > shown.length ? [`and ${openHops.length - shown.length} more (see --json)`] : []),
    '',
  ];
}

/** What nobody but the station could have checked is said to be so, never to be fine. */
function tallyLines({ tally, onlyNew }: AuditReport): string[] {
  const { decisions, replayed, clearances, checked } = tally;
  const lines = [
    ...(decisions === 0
      ? []
      : [`Decisions of policies: ${replayed} replayed, ${decisions - replayed} not replayed`]),
    ...(clearances === 0
      ? []
      : [`Clearances by persons: ${checked} checked, ${clearances - checked} not checked`]),
    ...(onlyNew ? ['Only what came after the last audit was read.'] : []),
  ];
  return lines.length === 0 ? [] : [...lines, ''];
}

const NOTICES_SHOWN = 20;

function noticeLines({ notices }: AuditReport): string[] {
  if (notices.length === 0) return [];
  const shown = notices.slice(-NOTICES_SHOWN);
  const rows = shown.map(({ atMs, log, index, text }) => [timeText(atMs), log, String(index), text]);
  const more = notices.length - shown.length;
  return [
    'Also on record:',
    ...table(['TIME (UTC)', 'LOG', 'ENTRY', 'WHAT'], rows),
    ...(more === 0 ? [] : [`and ${more} earlier ones (see --json)`]),
    '',
  ];
}

const STYLE: Readonly<Record<Severity, Style>> = { misconduct: 'red', error: 'red', warning: 'yellow' };

export function findingLines(
  { severity, code, log, index, text, means }: Finding,
  paint: Output['paint'],
): string[] {
  const nobody = code.startsWith('state.') ? 'this auditor' : 'the network';
  const place = `${log ?? nobody}${index === null ? '' : `, entry ${index}`}`;
  return [
    `${paint(STYLE[severity], severity.toUpperCase())} ${code} (${clean(place)})`,
    ...wrap(text, 2),
    ...wrap(means, 2),
    '',
  ];
}

function conclusion(report: AuditReport, { live, compared, proved }: Context): string {
  const { logs, findings } = report;
  const entries = logs.reduce((sum, { head }) => sum + (head?.sound === true ? head.checkpoint.size : 0), 0);
  const verified = logs.filter(({ head }) => head?.sound === true).length;
  const bad = findings.filter(({ severity }) => severity !== 'warning').length + report.omitted;
  if (report.failed) return `NOT SOUND: ${bad} findings. ${verified} of ${logs.length} logs verified.`;
  const first = compared ? '' : live ? ' This is the first audit here; the next one compares with it.' : '';
  const warnings = findings.length === 0 ? '' : ` ${findings.length} warnings.`;
  const what = proved === undefined ? `${entries} entries in` : `${proved} entries proved, and the heads of`;
  return `SOUND: ${what} ${verified} of ${logs.length} logs${proved === undefined ? ' verified' : ''}.${warnings}${first}`;
}
