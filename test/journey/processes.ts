import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The product as its users start it: real processes of `./pht`, nothing imported from `src`. */

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));
const PHT = fileURLToPath(new URL('../../pht', import.meta.url));
const COMMAND_MS_MAX = 120_000;
const READY_MS_MAX = 60_000;

export type Answer<T> = { status: number | null; value: T; stdout: string; stderr: string };

/** Runs one command to its end with `--json`. */
export async function pht<T = Record<string, unknown>>(
  home: string,
  args: readonly string[],
): Promise<Answer<T>> {
  const child = spawn(PHT, ['--home', home, ...args, '--json'], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: COMMAND_MS_MAX,
    killSignal: 'SIGKILL',
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const text = stdout();
  return { status, value: parsed<T>(text), stdout: text, stderr: stderr() };
}

/** Like `pht`, and throws with everything it said unless it succeeded. */
export async function ok<T = Record<string, unknown>>(home: string, args: readonly string[]): Promise<T> {
  const answer = await pht<T>(home, args);
  if (answer.status !== 0) {
    throw new Error(`pht ${args.join(' ')} ended with ${answer.status}\n${answer.stdout}\n${answer.stderr}`);
  }
  return answer.value;
}

function parsed<T>(text: string): T {
  const lines = text.trim();
  if (lines === '') return {} as T;
  try {
    return JSON.parse(lines) as T;
  } catch {
    // A stream of events: one JSON document a line.
    return lines.split('\n').map((line) => JSON.parse(line) as unknown) as T;
  }
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  let text = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (chunk: string) => {
    text += chunk;
  });
  return () => text;
}

export type Server = {
  readonly child: ChildProcess;
  log(): string;
  /** As a power cut would: no chance to tidy up. */
  kill(): Promise<void>;
  stop(): Promise<void>;
};

/** Starts a server and waits for its ready line. */
export async function start(
  home: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Server> {
  const child = spawn(PHT, ['--home', home, ...args, '--json'], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const log = collect(child.stderr);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await ended;
  };
  await ready(child, log, args);
  return { child, log, kill: () => end('SIGKILL'), stop: () => end('SIGTERM') };
}

function ready(child: ChildProcess, log: () => string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`pht ${args.join(' ')} ${why}\n${log()}`));
    const timer = setTimeout(() => fail('did not get ready'), READY_MS_MAX);
    child.once('close', (status) => fail(`ended with ${status}`));
    if (child.stdout === null) return fail('has no output');
    createInterface({ input: child.stdout }).once('line', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Looks again until it holds; a condition, never a sleep of a guessed length. */
export async function until<T>(
  what: string,
  look: () => Promise<T | null | false>,
  msMax = 60_000,
): Promise<T> {
  const endMs = Date.now() + msMax;
  for (;;) {
    const seen = await look();
    if (seen !== null && seen !== false) return seen;
    if (Date.now() > endMs) throw new Error(`gave up waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
