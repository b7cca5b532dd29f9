import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Checks } from './checks.ts';
import { leftOvers, networkIn, sweepEngine } from './engine.ts';
import { ASKING, type Places, placesIn } from './members.ts';
import { ROOT } from './pht.ts';
import { isAlive, runningIn, type Server, self, stopAll } from './processes.ts';
import { verbatim } from './screen.ts';

/** How a demo ends: everything gone, or everything kept on purpose. */

const MARK = 'signalbox-demo.json';

/** `by`: the demo that fills this directory, or null once it is kept. */
type Mark = { by: Omit<Server, 'name' | 'home'> | null };

/** Says that this directory is a demo's, so that no other one is ever removed. */
export function markHome(home: string, kept: boolean): void {
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const mark: Mark = { by: kept ? null : self() };
  writeFileSync(join(home, MARK), `${JSON.stringify(mark)}\n`);
}

/** @returns why nothing may be put there, or null where there is nothing or only what a killed demo left */
export function occupied(home: string): string | null {
  if (!existsSync(home) || readdirSync(home).length === 0) return null;
  if (!existsSync(join(home, MARK))) return 'is no directory of a demo';
  const { by } = JSON.parse(readFileSync(join(home, MARK), 'utf8')) as Mark;
  if (by !== null) return isAlive(by) ? 'is where another demo is at work' : null;
  return 'holds a demo that was kept';
}

/**
 * Stops what runs, looks whether anything is left, and removes the directory.
 *
 * @param logs where the servers' logs are to go instead
 */
export async function tearDown(home: string, checks?: Checks, logs?: string): Promise<void> {
  const networkId = networkIn(placesIn(home).network);
  const stubborn = await stopAll(home);
  checks?.hold('every process ended when asked', stubborn.length === 0, stubborn.join(', '));
  checks?.hold('no process is left', runningIn(home).length === 0);
  if (networkId !== undefined) {
    const left = await leftOvers(networkId);
    checks?.hold('no container and no volume is left', left.length === 0, left.join(', '));
    await sweepEngine(networkId);
  }
  if (!existsSync(join(home, MARK))) return;
  if (logs !== undefined && existsSync(join(home, 'logs'))) {
    rmSync(logs, { recursive: true, force: true });
    cpSync(join(home, 'logs'), logs, { recursive: true });
  }
  rmSync(home, { recursive: true, force: true });
}

/** One command for each role, to be pasted as it stands. */
export function tellKept(places: Places, trainId: string): void {
  const home = relative(process.cwd(), places.home) || '.';
  const short = home.startsWith('..') ? places.home : home;
  const pht = relative(process.cwd(), join(ROOT, 'pht')).replace(/^(?![./])/, './');
  const line = (member: string, command: string): string =>
    `    ${pht} --home ${short}/${member} \\\n      ${command}`;
  const lines = [
    'Everything keeps running. Each member has a directory below',
    `  ${places.home}`,
    '  the researcher',
    line('researcher', 'network datasets'),
    line('researcher', 'train submit trains/hello --wait'),
    line('researcher', `train result ${trainId}`),
    `  the admin of ${ASKING}`,
    line(`admins/${ASKING}`, 'station inbox --all'),
    '  a station',
    line('stations/nih', 'station inbox --all'),
    '  the auditor',
    line('auditor', 'audit verify'),
    line('auditor', `audit show ${trainId}`),
    '  the authority',
    line('network', 'network show'),
    '  the dispatcher, whose log shows what it does',
    `    tail ${short}/logs/dispatcher.log`,
    '  and to stop it all',
    `    npm run demo -- --stop --home ${short}`,
  ];
  verbatim(lines.flatMap((text) => text.split('\n')));
}

export function tellNext(): void {
  verbatim([
    'What to try next:',
    '  npm run demo -- --keep --home .state/kept   leave it running, and play a role',
    '  trains/hello                                the smallest train, to copy from',
    '  docs/                                       one page for each role',
  ]);
}
