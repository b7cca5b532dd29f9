import type { AuditReport } from '../journey/auditor/audit.ts';
import { type LifeEvent, lifeOf, namesIn } from '../journey/auditor/show.ts';
import { timeText } from '../journey/auditor/words.ts';
import type { LedgerEntry } from '../model/ledger/entry.ts';
import type { Member } from '../model/network.ts';
import { table, wrap } from './text.ts';

/** One train's life as a program reads it and as a person prints it: what logs that do not verify say is left out. */

type Told = readonly { member: Member; index: number; entry: LedgerEntry }[];

export function lifeView(
  trainId: string,
  entries: Told,
  report: AuditReport,
): { trainId: string; events: LifeEvent[]; unverifiedEvents: number } {
  const { believed, dropped } = split(entries, report);
  return { trainId, events: believed, unverifiedEvents: dropped };
}

export function lifeLines(trainId: string, entries: Told, report: AuditReport): string[] {
  const { believed, dropped } = split(entries, report);
  const rows = believed.map(({ atMs, member, index, text }) => [timeText(atMs), member, String(index), text]);
  const { researcher, people } = namesIn(trainId, report.opened);
  return [
    trainId,
    ...wrap(`Researcher: ${researcher}`),
    ...people.flatMap((line) => wrap(line)),
    '',
    ...table(['TIME (UTC)', 'WHO', 'ENTRY', 'WHAT'], rows),
    ...(dropped === 0 ? [] : ['', ...wrap(`${dropped} entries are left out: their log does not verify.`)]),
  ];
}

function split(entries: Told, { logs, opened }: AuditReport): { believed: LifeEvent[]; dropped: number } {
  const sound = new Set(logs.filter(({ head }) => head?.sound === true).map(({ member }) => member));
  const events = lifeOf(entries, opened);
  const believed = events.filter(({ member }) => sound.has(member));
  return { believed, dropped: events.length - believed.length };
}
