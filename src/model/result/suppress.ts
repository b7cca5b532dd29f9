import { derivableCells } from './derivable.ts';
import { linesOf } from './table.ts';

export type SuppressionRule = {
  readonly threshold: number;
  readonly zerosDisclosive: boolean;
  /** Cells hidden for another reason than their count. */
  readonly withheld?: readonly boolean[];
  /** Sets of cells of which at least one must be hidden. */
  readonly slabs?: readonly (readonly number[])[];
};

type State = {
  readonly counts: readonly (number | null)[];
  readonly rule: SuppressionRule;
  readonly hidden: boolean[];
  /** Hidden although it reaches the threshold: what keeps the sum of a line's hidden cells from being small. */
  readonly weighty: boolean[];
};

/**
 * Which cells of a table to hide: first those that are small (or empty, or already null), then as many others as it takes
 * so that, for one who knows every margin exactly,
 * - no line has exactly one hidden cell, and no hidden cell is a combination of margins and shown cells;
 * - what is hidden in a partly shown line adds up to at least the threshold;
 * - no group of a table with two or more dimensions is seen to fall into one level (class disclosure).
 *
 * The victim is the smallest shown cell, ties by position; counts of the cells hidden first decide nothing but that they
 * are below the threshold, so changing 3 to 7 changes no choice. It does not bound how narrow an interval remains: rounding does.
 *
 * @param counts row-major; `null` for what the train suppressed itself
 */
export function suppressedCells(
  counts: readonly (number | null)[],
  shape: readonly number[],
  rule: SuppressionRule,
): boolean[] {
  const lines = linesOf(shape);
  const hidden = counts.map((n, at) => isPrimary(n, rule) || rule.withheld?.[at] === true);
  const state: State = { counts, rule, hidden, weighty: counts.map(() => false) };
  if (shape.filter((length) => length > 1).length >= 2) hideClasses(state, lines);
  for (const slab of rule.slabs ?? []) {
    if (!slab.some((at) => state.hidden[at])) hideSmallest(state, slab);
  }
  // Each turn hides one more cell or ends.
  while (hideAlongLines(state, lines) || hideAgainstAlgebra(state, lines));
  return state.hidden;
}

function isPrimary(n: number | null, { threshold, zerosDisclosive }: SuppressionRule): boolean {
  if (n === null) return true;
  return n === 0 ? zerosDisclosive : n < threshold;
}

/** One level that holds (nearly) everybody says of each of the group what it is: the whole line goes. */
function hideClasses({ counts, rule, hidden, weighty }: State, lines: readonly (readonly number[])[]): void {
  const reaches = (at: number): boolean => (counts[at] ?? 0) >= rule.threshold;
  for (const line of lines) {
    if (line.length === counts.length || line.filter(reaches).length !== 1) continue;
    for (const at of line) {
      if (!hidden[at]) weighty[at] = reaches(at);
      hidden[at] = true;
    }
  }
}

/** @returns whether another cell had to be hidden */
function hideAlongLines(state: State, lines: readonly (readonly number[])[]): boolean {
  return lines.some((line) => isExposed(state, line) && hideSmallest(state, line));
}

function isExposed({ counts, rule, hidden, weighty }: State, line: readonly number[]): boolean {
  const hiddenHere = line.filter((at) => hidden[at]).length;
  if (hiddenHere === 0 || hiddenHere === line.length) return false;
  if (hiddenHere === 1) return true;
  const couldWeigh = line.some((at) => !hidden[at] && (counts[at] ?? 0) >= rule.threshold);
  return couldWeigh && !line.some((at) => weighty[at]);
}

/** @returns whether another cell had to be hidden */
function hideAgainstAlgebra(state: State, lines: readonly (readonly number[])[]): boolean {
  const [first] = derivableCells(state.hidden, lines);
  if (first === undefined) return false;
  const through = lines.filter((line) => line.includes(first));
  return through.some((line) => hideSmallest(state, line)) || hideSmallest(state, [...state.counts.keys()]);
}

/** A zero protects nothing, so it is the last choice. */
function hideSmallest({ counts, rule, hidden, weighty }: State, line: readonly number[]): boolean {
  const rank = (at: number): number => {
    const n = counts[at] ?? 0;
    return n === 0 ? Number.POSITIVE_INFINITY : n;
  };
  let victim: number | undefined;
  for (const at of line) {
    if (!hidden[at] && (victim === undefined || rank(at) < rank(victim))) victim = at;
  }
  if (victim === undefined) return false;
  hidden[victim] = true;
  weighty[victim] = (counts[victim] ?? 0) >= rule.threshold;
  return true;
}
