import { expect, test } from 'vitest';
import { createOutput, type Output } from './output.ts';

function capture(options: { json?: boolean; tty?: boolean; env?: Record<string, string> }): {
  output: Output;
  stdout: () => string;
  stderr: () => string;
} {
  const written = { stdout: '', stderr: '' };
  const stream = (
    name: 'stdout' | 'stderr',
  ): { write(text: string): void; isTTY: boolean; columns: number } => ({
    write: (text) => {
      written[name] += text;
    },
    isTTY: options.tty ?? false,
    columns: 20,
  });
  const output = createOutput({
    json: options.json ?? false,
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    env: options.env ?? {},
  });
  return { output, stdout: () => written.stdout, stderr: () => written.stderr };
}

test('people get lines, programs get one document', () => {
  const people = capture({});
  people.output.result({ a: 1 }, ['one', 'two']);
  expect(people.stdout()).toBe('one\ntwo\n');
  const program = capture({ json: true });
  program.output.progress('working');
  program.output.result({ a: 1 }, ['one']);
  expect(JSON.parse(program.stdout())).toStrictEqual({ a: 1 });
  expect(program.stderr()).toBe('');
});

test('a stream of answers is one JSON line each', () => {
  const { output, stdout } = capture({ json: true });
  output.event({ n: 1 }, 'one');
  output.event({ n: 2 }, 'two');
  expect(stdout()).toBe('{"n":1}\n{"n":2}\n');
});

test('no escape sequence reaches a file, NO_COLOR is respected, and a stranger never paints', () => {
  for (const options of [{}, { tty: true, env: { NO_COLOR: '1' } }, { tty: true, env: { TERM: 'dumb' } }]) {
    const { output, stdout } = capture(options);
    output.result({}, [output.paint('red', 'x'), 'evil \x1b[31m\x1b[2J']);
    expect(stdout()).not.toContain('\x1b');
  }
  const { output, stdout } = capture({ tty: true });
  output.result({}, [
    output.paint('bold', 'x'),
    'evil\x1b[2J\x1b]0;title\x07\x1b[8m\x1b[1m\x1b[32mapproved\x1b[0m',
  ]);
  expect(stdout().match(/\x1b/g)?.length).toBe(2);
  expect(stdout()).toContain('\x1b[1mx\x1b[0m');
  const twice = capture({ tty: true });
  twice.output.result({}, [`a ${twice.output.paint('red', 'b;c')} d ${twice.output.paint('dim', '')}e`]);
  expect(twice.stdout()).toBe('a \x1b[31mb;c\x1b[0m d \x1b[2m\x1b[0me\n');
});

test('progress is one moving line on a terminal and plain lines elsewhere', () => {
  const terminal = capture({ tty: true });
  terminal.output.progress('a line that is longer than the terminal is wide');
  terminal.output.progress('two');
  terminal.output.result({}, ['done']);
  expect(terminal.stderr()).toBe('a line that is long\r\x1b[Ktwo\r\x1b[K');
  const file = capture({});
  file.output.progress('one\x1b[2J');
  expect(file.stderr()).toBe('one\uFFFD[2J\n');
});

test('a warning is one line in a file, and wrapped at words on a terminal', () => {
  const long = `${'word '.repeat(30)}\x1b[2J`;
  const file = capture({});
  file.output.warn(long);
  expect(file.stderr()).toBe(`pht: ${'word '.repeat(30)}\uFFFD[2J\n`);
  const terminal = capture({ tty: true });
  terminal.output.warn(long);
  const lines = terminal.stderr().trimEnd().split('\n');
  expect(lines).toHaveLength(3);
  expect(lines[0]).toMatch(/^pht: word /);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
  for (const line of lines.slice(1)) expect(line).toMatch(/^ {5}\S/);
});

test('a warning is for people even beside JSON, on standard error', () => {
  const { output, stdout, stderr } = capture({ json: true });
  output.warn('careful\n');
  expect(stdout()).toBe('');
  expect(stderr()).toBe('pht: careful \n');
});

test('a document for programs holds nothing that a terminal acts on, and loses nothing', () => {
  const value = { text: 'a\u009b31m\u0085\u202e\u007f\u2028\n\u{e0041}b', list: [1, 2] };
  for (const show of ['result', 'event'] as const) {
    const { output, stdout } = capture({ json: true, tty: true });
    if (show === 'result') output.result(value, []);
    else output.event(value, '');
    expect(stdout().replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    expect(JSON.parse(stdout())).toStrictEqual(value);
  }
});
