import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The product as its users start it: `./pht` and nothing else. */

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
export const PHT: string = `${ROOT}/pht`;
const COMMAND_MS_MAX = 180_000;

export type Ended = { status: number | null; stdout: string; stderr: string };
/** What `--json` prints when a command fails. */
export type Failure = { status: number | null; code: string; message: string };

const stopping = new AbortController();

/** Ends the commands that run, and lets no further one start. */
export function stopCommands(): void {
  stopping.abort();
}

/** Runs one command to its end. */
export function run(home: string, args: readonly string[]): Promise<Ended> {
  const child = spawn(PHT, ['--home', home, ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: COMMAND_MS_MAX,
    killSignal: 'SIGKILL',
    env: { ...process.env, PHT_HOME: '', NO_COLOR: '1' },
    signal: stopping.signal,
  });
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, stdout: stdout(), stderr: stderr() }));
  });
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    text += chunk;
  });
  return () => text;
}

/** @returns the command's one JSON answer; throws with all that it said unless it succeeded */
export async function ask<T>(home: string, args: readonly string[]): Promise<T> {
  const ended = await run(home, [...args, '--json', '--debug']);
  if (ended.status === 0) return JSON.parse(ended.stdout) as T;
  throw new Error(
    `pht ${args.join(' ')} (${home}) ended with ${ended.status}:\n${ended.stdout}${ended.stderr}`,
  );
}

/** @returns how a command failed; throws when it succeeded */
export async function refusal(home: string, args: readonly string[]): Promise<Failure> {
  const ended = await run(home, [...args, '--json']);
  if (ended.status === 0) throw new Error(`pht ${args.join(' ')} was not refused:\n${ended.stdout}`);
  const { error } = JSON.parse(ended.stdout) as { error: { code: string; message: string } };
  return { status: ended.status, ...error };
}

/** @returns the lines that a person would read; throws unless it succeeded */
export async function read(home: string, args: readonly string[]): Promise<string[]> {
  const ended = await run(home, args);
  if (ended.status !== 0)
    throw new Error(`pht ${args.join(' ')} ended with ${ended.status}:\n${ended.stderr}`);
  return ended.stdout.trimEnd().split('\n');
}

/** Runs all, at most `atOnce` at a time: a command is one process, and there may be two cores. */
export async function each<T>(
  items: readonly T[],
  work: (item: T) => Promise<unknown>,
  atOnce = 3,
): Promise<void> {
  const waiting = [...items];
  const lane = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

/** Looks again until there is something to see; a condition, never a guessed time. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined>,
  msMax = 120_000,
): Promise<T> {
  const endMs = Date.now() + msMax;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (Date.now() > endMs) throw new Error(`gave up after ${msMax / 1000} s waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
