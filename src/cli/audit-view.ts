import type { AuditedLog, AuditReport } from '../journey/auditor/audit.ts';
import type { Finding, Severity } from '../journey/auditor/findings.ts';
import { timeText } from '../journey/auditor/words.ts';
import type { Audited } from './audit-source.ts';
import type { Output, Style } from './output.ts';
import { clean, table, wrap } from './text.ts';

/** An audit as a program reads it and as a person prints it. */

type Context = { audited: Audited; compared: boolean };

const OPEN_SHOWN = 20;

export function reportView(report: AuditReport, { audited }: Context): object {
  const { network, live, name } = audited;
  return {
    networkId: network.id,
    networkVersion: network.version,
    source: live ? { dispatcher: name } : { logs: name },
    verdict: verdictOf(report),
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

function logView({ member, role, origin, head }: AuditedLog): object {
  return {
    member,
    role,
    origin,
    verified: head?.sound === true,
    size: head?.checkpoint.size ?? null,
    root: head === null ? null : Buffer.from(head.checkpoint.root).toString('hex'),
    newestMs: head?.newestMs ?? null,
    continues: head?.continues ?? null,
  };
}

export function reportLines(report: AuditReport, context: Context, paint: Output['paint']): string[] {
  const { network, live, name } = context.audited;
  const where = live ? `as ${name} serves them` : `in ${name}`;
  const rows = report.logs.map(({ member, role, head, missing }) => [
    member,
    role,
    head === null ? '-' : String(head.checkpoint.size),
    head?.newestMs == null ? '-' : timeText(head.newestMs),
    head?.continues == null ? '-' : `entry ${head.continues}`,
    missing ? 'no log' : head?.sound === true ? 'verified' : 'NOT VERIFIED',
  ]);
  return [
    ...wrap(`Audit of ${network.title} (network file version ${network.version}): the logs ${where}`),
    '',
    ...table(['LOG', 'ROLE', 'ENTRIES', 'NEWEST (UTC)', 'CONTINUES', 'RESULT'], rows),
    '',
    ...openLines(report),
    ...report.findings.flatMap((found) => findingLines(found, paint)),
    ...(report.omitted === 0 ? [] : [`and ${report.omitted} more findings of these kinds`, '']),
    ...wrap(conclusion(report, context)).map((line, at) => (at === 0 ? paint('bold', line) : line)),
  ];
}

function openLines({ openHops }: AuditReport): string[] {
  if (openHops.length === 0) return [];
  const shown = openHops.slice(0, OPEN_SHOWN);
  const rows = shown.map(({ station, hopId, trainId, sinceMs }) => [
    station,
    trainId ?? '-',
    hopId,
    sinceMs === null ? '-' : timeText(sinceMs),
  ]);
  return [
    `Under way, without a receipt yet: ${openHops.length}`,
    ...table(['STATION', 'TRAIN', 'HOP', 'SINCE (UTC)'], rows),
    ...(openHops.length > shown.length ? [`and ${openHops.length - shown.length} more (see --json)`] : []),
    '',
  ];
}

const STYLE: Readonly<Record<Severity, Style>> = { misconduct: 'red', error: 'red', warning: 'yellow' };

function findingLines(
  { severity, code, log, index, text, means }: Finding,
  paint: Output['paint'],
): string[] {
  const place = `${log ?? 'this auditor'}${index === null ? '' : `, entry ${index}`}`;
  return [
    `${paint(STYLE[severity], severity.toUpperCase())} ${code} (${clean(place)})`,
    ...wrap(text, 2),
    ...wrap(means, 2),
    '',
  ];
}

function conclusion(report: AuditReport, { audited, compared }: Context): string {
  const { logs, findings } = report;
  const entries = logs.reduce((sum, { head }) => sum + (head?.sound === true ? head.checkpoint.size : 0), 0);
  const verified = logs.filter(({ head }) => head?.sound === true).length;
  const bad = findings.filter(({ severity }) => severity !== 'warning').length + report.omitted;
  if (report.failed) return `NOT SOUND: ${bad} findings. ${verified} of ${logs.length} logs verified.`;
  const first = compared
    ? ''
    : audited.live
      ? ' This is the first audit here; the next one compares with it.'
      : '';
  const warnings = findings.length === 0 ? '' : ` ${findings.length} warnings.`;
  return `SOUND: ${entries} entries in ${verified} of ${logs.length} logs verified.${warnings}${first}`;
}
