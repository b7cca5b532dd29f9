import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PHT, ROOT, until } from './pht.ts';

/**
 * The servers of a demo: processes of their own that outlive this one when it is told to keep them. Each has a file in
 * `.state/running` of the checkout, whatever the home: scripts/with-deps looks there before it replaces node_modules.
 */

export type Server = { pid: number; startedAt: string; name: string; home: string };

const RUNNING = join(ROOT, '.state/running');
const STOP_MS_MAX = 20_000;

/** Field 22 of /proc/PID/stat: with it a number that was given to another process is told apart. */
function startedAt(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? undefined : fields[18];
  } catch {
    return process.platform === 'linux' ? undefined : startedAtByPs(pid);
  }
}

function startedAtByPs(pid: number): string | undefined {
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined; // ps has its own status for "no such process"
  }
}

/** This process, as `isAlive` knows it. */
export function self(): Omit<Server, 'name' | 'home'> {
  return { pid: process.pid, startedAt: startedAt(process.pid) ?? '' };
}

export function isAlive({ pid, startedAt: since }: Omit<Server, 'name' | 'home'>): boolean {
  return startedAt(pid) === since;
}

let starting = true;

/** From now on nothing is started: what is being torn down must not grow behind one's back. */
export function startNoMore(): void {
  starting = false;
}

/** Starts `pht … serve` for one member; its words go to `logs/<name>.log` below the demo's home. */
export function startServer(demoHome: string, name: string, args: readonly string[]): Server {
  if (!starting) throw new Error(`${name} is not started any more`);
  mkdirSync(join(demoHome, 'logs'), { recursive: true });
  mkdirSync(RUNNING, { recursive: true });
  const log = openSync(logOf(demoHome, name), 'a', 0o600);
  const env = { ...process.env, PHT_HOME: '', NO_COLOR: '1' };
  const child = spawn(PHT, [...args, '--json'], {
    cwd: ROOT,
    detached: true,
    stdio: ['ignore', log, log],
    env,
  });
  closeSync(log);
  child.unref();
  const { pid } = child;
  const since = pid === undefined ? undefined : startedAt(pid);
  if (pid === undefined || since === undefined) throw new Error(`${name} could not be started`);
  const server = { pid, startedAt: since, name, home: demoHome };
  writeFileSync(join(RUNNING, `${pid}.json`), `${JSON.stringify(server)}\n`);
  return server;
}

const logOf = (demoHome: string, name: string): string => join(demoHome, 'logs', `${name}.log`);

/** Waits for the line that a server prints once it serves. */
export async function ready(server: Server): Promise<void> {
  await until(`${server.name} to be ready`, async () => {
    const log = readFileSync(logOf(server.home, server.name), 'utf8');
    if (/^\{"ready":true.*\}$/m.test(log)) return true;
    if (isAlive(server)) return undefined;
    throw new Error(`${server.name} ended before it was ready:\n${log.slice(-4000)}`);
  });
}

/** Those of this home that still run. Files of processes that are gone are removed. */
export function runningIn(demoHome: string): Server[] {
  return all().filter((server) => server.home === demoHome);
}

function all(): Server[] {
  let names: string[];
  try {
    names = readdirSync(RUNNING);
  } catch {
    return []; // no demo has ever run from this checkout
  }
  return names.flatMap((name) => {
    const path = join(RUNNING, name);
    const server = JSON.parse(readFileSync(path, 'utf8')) as Server;
    if (isAlive(server)) return [server];
    rmSync(path, { force: true });
    return [];
  });
}

/** @returns the names of those that did not end when asked to, and had to be killed */
export async function stopAll(demoHome: string): Promise<string[]> {
  const servers = runningIn(demoHome);
  for (const { pid } of servers) kill(pid, 'SIGTERM');
  const endMs = Date.now() + STOP_MS_MAX;
  const left = (): Server[] => servers.filter(isAlive);
  while (left().length > 0 && Date.now() < endMs) await new Promise((resolve) => setTimeout(resolve, 25));
  const stubborn = left();
  for (const { pid } of stubborn) kill(pid, 'SIGKILL');
  for (const { pid } of servers) rmSync(join(RUNNING, `${pid}.json`), { force: true });
  return stubborn.map(({ name }) => name);
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (thrown) {
    if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'ESRCH')) throw thrown;
  }
}
