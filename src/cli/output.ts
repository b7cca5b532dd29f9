import { randomBytes } from 'node:crypto';
import { clean, escapedJson, wrap } from './text.ts';

/** Everything a command says goes through here: answers to standard output, everything else to standard error. */
export interface Output {
  readonly json: boolean;
  /** The command's one answer: a JSON document for programs, lines for people. */
  result(value: object, lines: readonly string[]): void;
  /** One of a stream of answers: one JSON line each for programs. */
  event(value: object, line: string): void;
  /** What is going on, for people only; a terminal shows the last one, a file one line each. */
  progress(line: string): void;
  /** What a person must know even when a program reads the answer. */
  warn(line: string): void;
  /** Emphasis, only where standard output is a terminal that wants colours. */
  paint(style: Style, text: string): string;
}

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow';

const SGR: Readonly<Record<Style, string>> = {
  bold: '\x1b[1m',
  dim: '\x1b[2m',
  red: '\x1b[31m',
  green: '\x1b[32m',
  yellow: '\x1b[33m',
};
const RESET = '\x1b[0m';
const CLEAR_LINE = '\r\x1b[K';

type Stream = { write(text: string): unknown; isTTY?: boolean; columns?: number };

export function createOutput(options: {
  json: boolean;
  stdout: Stream;
  stderr: Stream;
  env: Readonly<Record<string, string | undefined>>;
}): Output {
  const { json, stdout, stderr, env } = options;
  const colours = stdout.isTTY === true && !json && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  // What strangers wrote may hold the same sequences as our colours, so ours are told apart by what nobody can know.
  const mark = randomBytes(12).toString('hex');
  let progressShown = false;

  const endProgress = (): void => {
    if (progressShown) stderr.write(CLEAR_LINE);
    progressShown = false;
  };
  const print = (lines: readonly string[]): void => {
    endProgress();
    stdout.write(lines.map((line) => `${painted(line, mark)}\n`).join(''));
  };

  return {
    json,
    result(value, lines) {
      if (json) stdout.write(`${plainJson(value, 2)}\n`);
      else print(lines);
    },
    event(value, line) {
      if (json) stdout.write(`${plainJson(value)}\n`);
      else print([line]);
    },
    progress(line) {
      if (json) return;
      if (stderr.isTTY !== true) return void stderr.write(`${clean(line)}\n`);
      endProgress();
      stderr.write([...clean(line)].slice(0, (stderr.columns ?? 80) - 1).join(''));
      progressShown = true;
    },
    warn(line) {
      endProgress();
      stderr.write(`${hanging('pht: ', line, stderr.isTTY === true)}\n`);
    },
    paint: (style, text) => (colours ? `${mark}${style};${text}${mark}reset;` : text),
  };
}

/** A file gets one line, to be searched; a terminal gets words that are not cut at its edge. */
export function hanging(head: string, line: string, wrapped: boolean): string {
  if (!wrapped) return `${head}${clean(line)}`;
  return head + wrap(line, head.length).join('\n').trimStart();
}

function plainJson(value: object, indent = 0): string {
  // The line feeds of the indentation stand between the members; those within strings are escaped already.
  return JSON.stringify(value, null, indent).split('\n').map(escapedJson).join('\n');
}

/** Our own colours, where they were marked as ours; every control character came from outside. */
function painted(line: string, mark: string): string {
  const [first = '', ...rest] = clean(line).split(mark);
  const parts = rest.map((part) => {
    const end = part.indexOf(';');
    return `${SGR[part.slice(0, end) as Style] ?? RESET}${part.slice(end + 1)}`;
  });
  return first + parts.join('');
}
