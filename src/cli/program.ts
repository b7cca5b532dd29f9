import { writeSync } from 'node:fs';
import type { Command } from 'commander';
import { PhtError } from '../model/error.ts';
import { EXIT, exitStatusOf, meaningOf, nextOf } from './exit.ts';
import { foreseen } from './foreseen.ts';
import type { Frame } from './frame.ts';
import { createOutput, hanging } from './output.ts';
import { clean } from './text.ts';

/**
 * The first word after `pht`, what it is for, and the file that knows the rest. Only the file of the command that was
 * asked for is loaded.
 */
type Group = {
  name: string;
  summary: string;
  load: () => Promise<{ register(program: Command, frame: Frame): void }>;
};
const GROUPS: readonly Group[] = [
  { name: 'init', summary: "make a member's home with its keys", load: () => import('./init.ts') },
  { name: 'network', summary: 'who is a member, with which keys', load: () => import('./network.ts') },
  { name: 'dispatcher', summary: 'run the hub that routes trains', load: () => import('./dispatcher.ts') },
  { name: 'station', summary: 'run and govern a station', load: () => import('./station.ts') },
  { name: 'train', summary: 'send an analysis to stations', load: () => import('./train.ts') },
  { name: 'audit', summary: 'prove what happened from the signed logs', load: () => import('./audit.ts') },
];

const EXAMPLES = `
Examples:
  $ pht --home net network init --title 'Heart network'
  $ pht --home ana init --role researcher --id ana --title 'Ana Sol' \\
        --organisation 'University X' --network net/network.json
  $ pht network admit --help`;

/** 128 + SIGTERM, as a shell counts. */
const TERMINATED = 143;

const args = process.argv.slice(2);
const json = wants('--json');
const output = createOutput({ json, stdout: process.stdout, stderr: process.stderr, env: process.env });
const stop = new AbortController();
let listening = false;
let interrupted = false;

/** Flags after `--` are operands. */
function wants(flag: string): boolean {
  const end = args.indexOf('--');
  return (end === -1 ? args : args.slice(0, end)).includes(flag);
}

/** A command that listens to the signal ends by itself; any other has nothing to tidy up. */
function onSignal(status: number, asked: boolean): void {
  if (!listening || stop.signal.aborted) process.exit(status);
  interrupted ||= asked;
  stop.abort(new PhtError('cancelled', 'stopped by a signal'));
}

function onBrokenOutput(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') {
    // Standard error may be the one that is broken; then nothing can be said at all.
    complain(`pht: the output could not be written: ${error.code ?? 'unknown error'}\n`);
    process.exit(EXIT.other);
  }
  // The reader went away, as `head` does; that is no error of ours.
  if (!listening) process.exit(process.exitCode ?? EXIT.done);
  stop.abort(new PhtError('cancelled', 'nobody reads the output any more'));
}

function complain(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // The exit status remains.
  }
}

/** The first operand, past the options of `pht` itself; `help X` asks for X. */
function groupAsked(): string | undefined {
  const words: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const word = args[at] ?? '';
    if (word === '--home') at++;
    else if (!word.startsWith('-')) words.push(word);
  }
  return words[0] === 'help' ? words[1] : words[0];
}

async function run(version: string): Promise<void> {
  const { Command } = await import('commander');
  const { createFrame } = await import('./frame.ts');
  const program = new Command('pht');
  program
    .description('A Personal Health Train: the analysis travels, the patients\u2019 data stays.')
    .option('--home <dir>', "the member's directory (or PHT_HOME)")
    .option('--json', 'answer in JSON, for programs')
    .option('--debug', 'show the stack trace of an error')
    .version(version, '-V, --version')
    .configureHelp({ showGlobalOptions: true, helpWidth: Math.min(process.stdout.columns ?? 80, 100) })
    .configureOutput({
      writeErr: (text) => void (json || process.stderr.write(text)),
      // Said below like any other error, with its code.
      outputError: () => undefined,
    })
    .exitOverride()
    .addHelpText('after', EXAMPLES);
  const frame = createFrame({
    output,
    env: process.env,
    home: () => program.opts<{ home?: string }>().home,
    signal: () => {
      listening = true;
      return stop.signal;
    },
  });
  const asked = groupAsked();
  for (const { name, summary, load } of GROUPS) {
    if (name === asked) (await load()).register(program, frame);
    else program.command(name).summary(summary).description(summary);
  }
  await program.parseAsync(args, { from: 'user' });
}

/** @returns the exit status */
function fail(thrown: unknown): number {
  if (isInterrupt(thrown)) return EXIT.interrupted;
  const usage = fromCommander(thrown);
  if (usage === 'shown') return EXIT.done;
  const error = usage ?? foreseen(thrown);
  const { code, message } = error;
  const hint = error.hint ?? nextOf(code);
  if (json) {
    output.result({ error: hint === undefined ? { code, message } : { code, message, hint } }, []);
  } else if (!helpWasShown(thrown)) {
    output.warn(`${message} [${code}]`);
    const lines = [meaningOf(code), hint === undefined ? null : `Next: ${hint}`];
    const terminal = process.stderr.isTTY;
    for (const line of lines)
      if (line !== null) process.stderr.write(`${hanging('     ', line, terminal)}\n`);
  }
  if (wants('--debug')) process.stderr.write(`${stackOf(thrown).split('\n').map(clean).join('\n')}\n`);
  return exitStatusOf(code);
}

function isInterrupt(thrown: unknown): boolean {
  return interrupted || (thrown instanceof Error && thrown.constructor.name === 'Interrupted');
}

/** Commander shows the whole help where a command is missing, and nothing has to be added. */
function helpWasShown(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'commander.help';
}

/** Help and version are no errors. */
function fromCommander(thrown: unknown): PhtError | 'shown' | null {
  if (!(thrown instanceof Error) || !('exitCode' in thrown) || !('code' in thrown)) return null;
  if (!String(thrown.code).startsWith('commander.')) return null;
  if (thrown.exitCode === 0) return 'shown';
  const missing = thrown.code === 'commander.help';
  const message = missing
    ? 'a command is missing'
    : thrown.message.replace(/^error: /, '').replaceAll('\n', ' ');
  return new PhtError('usage.invalid', message, { hint: 'see --help of the command, which has an example' });
}

function stackOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const cause = thrown.cause === undefined ? '' : `\ncaused by: ${stackOf(thrown.cause)}`;
  return `${thrown.stack ?? thrown.message}${cause}`;
}

/** Runs the command that the process was started for. @returns the exit status */
export async function main(version: string): Promise<number> {
  process.stdout.on('error', onBrokenOutput);
  process.stderr.on('error', onBrokenOutput);
  process.on('SIGINT', () => onSignal(EXIT.interrupted, true));
  process.on('SIGTERM', () => onSignal(TERMINATED, false));
  try {
    await run(version);
    return interrupted ? EXIT.interrupted : Number(process.exitCode ?? EXIT.done);
  } catch (thrown) {
    return fail(thrown);
  }
}
