import fc from 'fast-check';
import { expect, it } from 'vitest';
import { unifiedDiff } from './difference-lines.ts';

const lines = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, at) => `line ${from + at}\n`).join('');

it('shows what changed with three lines around', () => {
  const before = lines(1, 20);
  const now = before.replace('line 10\n', 'line ten\n');
  expect(unifiedDiff(before, now)).toBe(
    '@@ -7,7 +7,7 @@\n line 7\n line 8\n line 9\n-line 10\n+line ten\n line 11\n line 12\n line 13\n',
  );
});

it('joins changes that are near, and parts those that are not', () => {
  const before = lines(1, 40);
  const near = before.replace('line 10\n', '').replace('line 16\n', 'x\n');
  const far = before.replace('line 10\n', '').replace('line 30\n', 'x\n');
  expect(unifiedDiff(before, near).match(/^@@.*/gm)).toEqual(['@@ -7,13 +7,12 @@']);
  expect(unifiedDiff(before, far).match(/^@@.*/gm)).toEqual(['@@ -7,7 +7,6 @@', '@@ -27,7 +26,7 @@']);
});

it('tells of a missing last line feed, of nothing, and of all', () => {
  expect(unifiedDiff('a\n', 'a')).toBe('@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n');
  expect(unifiedDiff('', 'a\n')).toBe('@@ -0,0 +1 @@\n+a\n');
  expect(unifiedDiff('a\nb\n', '')).toBe('@@ -1,2 +0,0 @@\n-a\n-b\n');
  expect(unifiedDiff('same\n', 'same\n')).toBe('');
});

it('can be applied, and turned around', () => {
  const text = fc
    .tuple(fc.array(fc.constantFrom('a', 'b', 'c', '', '-d', '+e', '@@'), { maxLength: 40 }), fc.boolean())
    .map(([words, ended]) => words.join('\n') + (ended ? '\n' : ''));
  fc.assert(
    fc.property(text, text, (before, now) => {
      const diff = unifiedDiff(before, now);
      expect(applied(before, diff)).toBe(now);
      const turned = unifiedDiff(now, before);
      expect(applied(now, turned)).toBe(before);
    }),
    { numRuns: 500 },
  );
});

it('gives up in time on long texts with nothing in common', () => {
  const before = Array.from({ length: 30_000 }, (_, at) => `${at % 7}${at}\n`).join('');
  const now = Array.from({ length: 30_000 }, (_, at) => `${at % 5}x${at}\n`).join('');
  expect(applied(before, unifiedDiff(before, now))).toBe(now);
});

/** As `patch` does, without any fuzz. */
function applied(before: string, diff: string): string {
  const old = before.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  const out: string[] = [];
  let at = 0;
  const body = diff.split('\n').slice(0, -1);
  for (const [position, line] of body.entries()) {
    const head = /^@@ -([0-9]+)(?:,([0-9]+))? /.exec(line);
    const unended = body[position + 1]?.startsWith('\\') === true;
    const content = line.slice(1) + (unended ? '' : '\n');
    if (head !== null && isHead(body, position)) {
      const start = Number(head[1]) - (head[2] === '0' ? 0 : 1);
      out.push(...old.slice(at, start));
      at = start;
    } else if (line.startsWith('+')) out.push(content);
    else if (!line.startsWith('\\')) {
      expect(old[at]).toBe(content);
      if (line.startsWith(' ')) out.push(content);
      at += 1;
    }
  }
  return out.concat(old.slice(at)).join('');
}

/** A line of a text always has a sign before it. */
function isHead(body: readonly string[], position: number): boolean {
  return body[position]?.startsWith('@@') === true;
}
