import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect, parseArgs } from 'node:util';
import { type LogClaims, readClaims } from '../test/interop/claims.ts';
import { fsckLogs } from '../test/interop/fsck.ts';
import { buildTools, checkSource, judgeWithGo, makeWithGo } from '../test/interop/go-tools.ts';
import { judgeLog } from '../test/interop/judge.ts';
import { makeDamaged } from '../test/interop/make-damaged.ts';
import { makeLogs } from '../test/interop/make-logs.ts';
import { addWrongClaims } from '../test/interop/make-wrong.ts';
import { failed, type Outcome, passed } from '../test/interop/outcome.ts';

/**
 * `npm run interop`: our ledgers held against other people's tools, and theirs against ours. Needs Go, whose modules
 * come from GOPROXY or from its cache. Where they cannot be had it says SKIPPED and exits 0, or with `--skip-status N`.
 */

const INTERRUPTED = 130;
/** The damaged logs are copies of this one. */
const DAMAGED = 'ours-700';

type Tools = { interop: string; fsck: string };
type Tell = (title: string, outcomes: readonly Outcome[]) => void;

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { 'skip-status': { type: 'string', default: '0' } } });
  const home = temporaryFolder();
  const built = await buildTools(folderIn(home, 'bin'));
  if ('skipped' in built) {
    say(`SKIPPED interop: ${built.skipped}. Nothing was held against other people's tools.`);
    return Number(values['skip-status']);
  }
  const told: Outcome[] = [];
  const tell: Tell = (title, outcomes) => {
    told.push(...outcomes);
    say(title);
    for (const { name, count, ok, why } of outcomes)
      say(ok ? `  ok     ${name} (${count})` : `  FAILED ${name} (${count}): ${why}`);
  };
  try {
    if ('failed' in built) tell('The Go program', [failed('go build', 1, built.failed)]);
    else await compare(home, built, tell);
  } catch (thrown) {
    tell('Interop itself', [failed('came to its end', 1, inspect(thrown))]);
  }
  const wrong = told.filter(({ ok }) => !ok).length;
  say(`${told.length - wrong} passed, ${wrong} failed`);
  return wrong === 0 ? 0 : 1;
}

async function compare(home: string, tools: Tools, tell: Tell): Promise<void> {
  tell('The Go program', await checkSource());
  const ours = folderIn(home, 'signalbox');
  const sound = (await makeLogs(ours)).map(addWrongClaims);
  const damaged = sound.filter(({ name }) => name === DAMAGED).flatMap((log) => makeDamaged(ours, log));
  const logs = [...sound, ...damaged];
  writeFileSync(join(ours, 'claims.json'), JSON.stringify({ logs }));
  await judgeBoth(tools, ours, "Signalbox's logs", logs, tell);
  tell("Signalbox's logs, by Tessera's fsck", await fsckLogs(tools.fsck, ours, logs));
  const theirs = folderIn(home, 'go');
  await makeWithGo(tools.interop, theirs);
  await judgeBoth(tools, theirs, "Go's logs", readClaims(join(theirs, 'claims.json')), tell);
}

/** Both sides have to find the same, and to have looked at the same. */
async function judgeBoth(
  tools: Tools,
  folder: string,
  whose: string,
  logs: readonly LogClaims[],
  tell: Tell,
): Promise<void> {
  const byUs = logs.flatMap((log) => judgeLog(log, folder));
  tell(`${whose}, by Signalbox`, byUs);
  const byGo = await judgeWithGo(tools.interop, join(folder, 'claims.json'));
  tell(`${whose}, by Go's libraries`, byGo);
  const seenByGo = new Map(byGo.map(({ name, count }) => [name, count]));
  const unseen = byUs.filter(({ name, count }) => seenByGo.get(name) !== count).map(({ name }) => name);
  const same = 'the same checks on both sides';
  tell(`${whose}, by both`, [
    unseen.length === 0
      ? passed(same, byUs.length)
      : failed(same, unseen.length, `not so: ${unseen.join(', ')}`),
  ]);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function folderIn(home: string, name: string): string {
  mkdirSync(join(home, name));
  return join(home, name);
}

function temporaryFolder(): string {
  const home = mkdtempSync(join(tmpdir(), 'signalbox-interop-'));
  process.on('exit', () => rmSync(home, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => process.exit(INTERRUPTED));
  return home;
}

process.exitCode = await main();
