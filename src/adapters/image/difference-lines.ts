/** A unified diff of two short texts, by Myers' greedy algorithm (Algorithmica 1 (1986), 251 to 266). */

const CONTEXT_LINES = 3;
/** Beyond so many edits the texts have little in common, and looking further costs the square of it. */
const EDITS_MAX = 1000;

type Edit = { sign: ' ' | '-' | '+'; line: string };

/** @returns hunks as `diff -u` prints them, without the two lines of names; '' for equal texts */
export function unifiedDiff(before: string, now: string): string {
  const edits = editsBetween(linesOf(before), linesOf(now));
  const out: string[] = [];
  const above = { '-': 0, '+': 0 };
  let done = 0;
  for (const { from, to } of hunksIn(edits)) {
    const hunk = edits.slice(from, to);
    for (const { sign } of edits.slice(done, from)) {
      if (sign !== '+') above['-'] += 1;
      if (sign !== '-') above['+'] += 1;
    }
    done = from;
    out.push(`@@ -${range(above['-'], hunk, '+')} +${range(above['+'], hunk, '-')} @@`);
    for (const { sign, line } of hunk) {
      if (line.endsWith('\n')) out.push(sign + line.slice(0, -1));
      else out.push(sign + line, '\\ No newline at end of file');
    }
  }
  return out.length === 0 ? '' : `${out.join('\n')}\n`;
}

/** With their line feeds, which the last one may lack. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function editsBetween(before: readonly string[], now: readonly string[]): Edit[] {
  let start = 0;
  while (start < before.length && start < now.length && before[start] === now[start]) start++;
  let tail = 0;
  const room = Math.min(before.length, now.length) - start;
  while (tail < room && before[before.length - 1 - tail] === now[now.length - 1 - tail]) tail++;
  const same = (line: string): Edit => ({ sign: ' ', line });
  return [
    ...before.slice(0, start).map(same),
    ...middleEdits(before.slice(start, before.length - tail), now.slice(start, now.length - tail)),
    ...before.slice(before.length - tail).map(same),
  ];
}

function middleEdits(a: readonly string[], b: readonly string[]): Edit[] {
  const trace = shortestTrace(a, b);
  if (trace === null) {
    return [...a.map((line): Edit => ({ sign: '-', line })), ...b.map((line): Edit => ({ sign: '+', line }))];
  }
  const edits: Edit[] = [];
  let x = a.length;
  let y = b.length;
  for (let d = trace.length - 1; d >= 0; d--) {
    const reached = (diagonal: number): number => trace[d]?.[diagonal + d + 1] ?? -1;
    const k = x - y;
    const down = d > 0 && (k === -d || (k !== d && reached(k - 1) < reached(k + 1)));
    const beforeK = down ? k + 1 : k - 1;
    const beforeX = d === 0 ? 0 : reached(beforeK);
    const beforeY = d === 0 ? 0 : beforeX - beforeK;
    while (x > beforeX && y > beforeY) {
      edits.push({ sign: ' ', line: a[--x] ?? '' });
      y--;
    }
    if (d === 0) break;
    if (down) edits.push({ sign: '+', line: b[--y] ?? '' });
    else edits.push({ sign: '-', line: a[--x] ?? '' });
  }
  return edits.reverse();
}

/**
 * Of each number of edits, how far every diagonal had come before the last of them, the lowest of `d + 1` diagonals below
 * the middle first; null where there are too many.
 */
function shortestTrace(a: readonly string[], b: readonly string[]): Int32Array[] | null {
  const trace: Int32Array[] = [];
  // Half a million numbers: as maps they would take as long as the rest of the look.
  const middle = EDITS_MAX + 1;
  const furthest = new Int32Array(2 * middle + 1).fill(-1);
  furthest[middle + 1] = 0;
  for (let d = 0; d <= EDITS_MAX; d++) {
    trace.push(furthest.slice(middle - d - 1, middle + d + 2));
    for (let k = -d; k <= d; k += 2) {
      const fromBelow = furthest[middle + k + 1] ?? -1;
      const fromLeft = furthest[middle + k - 1] ?? -1;
      let x = k === -d || (k !== d && fromLeft < fromBelow) ? fromBelow : fromLeft + 1;
      while (x < a.length && x - k < b.length && x - k >= 0 && a[x] === b[x - k]) x++;
      furthest[middle + k] = x;
      if (x >= a.length && x - k >= b.length) return trace;
    }
  }
  return null;
}

/** Stretches with a change in them and a few lines around, as positions among the edits. */
function hunksIn(edits: readonly Edit[]): { from: number; to: number }[] {
  const hunks: { from: number; to: number }[] = [];
  for (const [at, { sign }] of edits.entries()) {
    if (sign === ' ') continue;
    const last = hunks.at(-1);
    const to = Math.min(edits.length, at + CONTEXT_LINES + 1);
    if (last !== undefined && at - CONTEXT_LINES <= last.to) last.to = to;
    else hunks.push({ from: Math.max(0, at - CONTEXT_LINES), to });
  }
  return hunks;
}

/** Where a hunk stands in the text that has no lines of sign `other`, and has so many lines above it. */
function range(above: number, hunk: readonly Edit[], other: '+' | '-'): string {
  const lines = hunk.filter(({ sign }) => sign !== other).length;
  const first = lines === 0 ? above : above + 1;
  return lines === 1 ? String(first) : `${first},${lines}`;
}
