import { clean, wrap } from '../../src/cli/text.ts';

/** What a person watching sees: stages with the seconds since the start, and on a terminal what is going on now. */

const COLUMNS = 80;
const CLEAR_LINE = '\r\u001b[K';
const startedMs = Date.now();
let ticker: NodeJS.Timeout | undefined;
let current = '';

export function elapsedS(): number {
  return (Date.now() - startedMs) / 1000;
}

/** Begins a stage; the line stays. */
export function stage(title: string): void {
  quiet();
  process.stdout.write(`\n[${elapsedS().toFixed(1).padStart(5)} s] ${title}\n`);
  doing(title);
}

/** What is going on now, on a terminal only; it moves every second, so that nobody thinks it hangs. */
export function doing(what: string): void {
  current = what;
  if (process.stderr.isTTY !== true) return;
  draw();
  ticker ??= setInterval(draw, 1000).unref();
}

function draw(): void {
  const line = `  ${elapsedS().toFixed(0)} s  ${current}`.slice(0, COLUMNS - 1);
  process.stderr.write(`${CLEAR_LINE}${line}`);
}

/** Takes the moving line away, before other words. */
export function quiet(): void {
  if (ticker === undefined) return;
  clearInterval(ticker);
  ticker = undefined;
  process.stderr.write(CLEAR_LINE);
}

/** Words of ours, wrapped below a stage. */
export function say(text: string, indent = 2): void {
  verbatim(wrap(text, indent, COLUMNS));
}

/** Lines as a command printed them; none is wrapped or cut, and none is pushed over the edge. */
export function verbatim(lines: readonly string[], indent = 0): void {
  quiet();
  const widest = Math.max(0, ...lines.map((line) => line.length));
  const blanks = ' '.repeat(widest + indent <= COLUMNS ? indent : 0);
  for (const line of lines) process.stdout.write(`${`${blanks}${clean(line)}`.trimEnd()}\n`);
  if (process.stderr.isTTY === true) doing(current);
}
