import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Checks, same } from './checks.ts';
import { ASKING, type Places, STATIONS } from './members.ts';
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

export async function audit(places: Places, trainId: string, checks: Checks): Promise<void> {
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
  await open(places, trainId, checks);
  await tamper(places, checks);
}

/** One station opens its decision to the auditor; all that proves the train's life then fits into one file. */
async function open(places: Places, trainId: string, checks: Checks): Promise<void> {
  const disclosure = join(places.auditor, `${ASKING}.disclosure`);
  const disclose = ['station', 'disclose', trainId, '--to', 'auditor', '--out'];
  await ask(places.admins[ASKING], [...disclose, disclosure]);
  say(`$ pht --home admins/${ASKING} ${disclose.join(' ')} europe-other.disclosure`);
  const shown = await read(places.auditor, ['audit', 'show', trainId, '--disclosure', disclosure]);
  say(`$ pht --home auditor audit show ${trainId} --disclosure europe-other.disclosure`);
  const about = shown.filter((line) => /clear|approv|decid|replay/i.test(line));
  verbatim(about.slice(0, 8), 2);

  const file = join(places.auditor, 'train.tar');
  const bundle = ['audit', 'bundle', trainId, '--disclosure', disclosure, '--out', file];
  await ask(places.auditor, bundle);
  const { networkId } = await ask<{ networkId: string }>(places.auditor, ['network', 'show']);
  const stranger = join(places.home, 'nobody');
  const verified = await ask<{ verdict: string }>(stranger, [
    ...['audit', 'verify', '--bundle', file, '--network-id', networkId],
  ]);
  say('$ pht audit verify --bundle train.tar --network-id ID      # no home, no network');
  say(`verdict: ${verified.verdict}`, 4);
  checks.hold('a stranger verifies the train from one file', verified.verdict !== 'unsound');
  const { size } = statSync(file);
  say(`${Math.ceil(size / 1024)} KiB: network file, signed heads, a proof of each entry, statements`, 4);
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
