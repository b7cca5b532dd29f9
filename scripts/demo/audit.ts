import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Checks, same } from './checks.ts';
import { type Places, STATIONS } from './members.ts';
import { ask, read, run, until } from './pht.ts';
import { say, verbatim } from './screen.ts';

/** All ledgers, verified from the auditor's own home; then a copy with one byte changed. */

type Finding = { severity: string; code: string; log: string | null; text: string };
type Report = {
  verdict: string;
  logs: { member: string; verified: boolean; size: number | null }[];
  openHops: unknown[];
  findings: Finding[];
};

const UNVERIFIED = 4;

export async function audit(places: Places, checks: Checks): Promise<void> {
  const home = places.auditor;
  // A station hands its newest entries over a moment after the receipt.
  const report = await until('the last ledger entries to reach the dispatcher', async () => {
    const seen = await ask<Report>(home, ['audit', 'verify']);
    return seen.openHops.length === 0 ? seen : undefined;
  });
  say('$ pht --home auditor audit verify');
  verbatim(await read(home, ['audit', 'verify']), 2);
  const verified = report.logs.filter((log) => log.verified).map(({ member }) => member);
  const wanted = ['dispatcher', ...STATIONS].sort();
  checks.hold('the auditor verified every ledger', same(verified.sort(), wanted), verified.join(', '));
  checks.hold('the audit found nothing wrong', report.verdict !== 'unsound', JSON.stringify(report.findings));
  await tamper(places, checks);
}

async function tamper(places: Places, checks: Checks): Promise<void> {
  const copy = join(places.auditor, 'copy-of-logs');
  cpSync(join(places.auditor, 'audit/logs'), copy, { recursive: true });
  const { member, path, at } = flipByte(copy);
  const { status, stdout } = await run(places.auditor, ['audit', 'verify', '--logs', copy, '--json']);
  const { findings } = JSON.parse(stdout) as Report;
  const found = findings.find(({ log, severity }) => log === member && severity !== 'warning');
  say(`One bit of byte ${at} of ${path}, in a copy, was flipped:`);
  say(found === undefined ? 'the audit did not find it' : `${found.text} [${found.code}, ${member}]`, 4);
  checks.hold(
    'the audit finds one flipped bit in a copy',
    status === UNVERIFIED && found !== undefined,
    stdout,
  );
  rmSync(copy, { recursive: true, force: true });
}

/** Flips a bit in the middle of the first station's entries. */
function flipByte(copy: string): { member: string; path: string; at: number } {
  const path = readdirSync(copy, { recursive: true, encoding: 'utf8' })
    .filter((name) => /(^|\/)entries\//.test(name) && statSync(join(copy, name)).isFile())
    .sort()
    .find((name) => STATIONS.some((station) => name.includes(station)));
  const member = STATIONS.find((station) => path?.split('/').includes(station));
  if (path === undefined || member === undefined) throw new Error(`no entries of a station below ${copy}`);
  const bytes = readFileSync(join(copy, path));
  const at = bytes.length >> 1;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(join(copy, path), bytes);
  return { member, path, at };
}
