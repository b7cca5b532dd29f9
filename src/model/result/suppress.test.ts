import { describe, expect, it } from 'vitest';
import { derivableCells } from './derivable.ts';
import { suppressedCells } from './suppress.ts';
import { linesOf } from './table.ts';

const RULE = { threshold: 10, zerosDisclosive: true };

/** Row-major counts with hidden cells as `*`. */
function shown(
  counts: (number | null)[],
  shape: number[],
  rule: Parameters<typeof suppressedCells>[2] = RULE,
): string {
  return suppressedCells(counts, shape, rule)
    .map((hidden, at) => (hidden ? '*' : counts[at]))
    .join(' ');
}

describe('suppressedCells', () => {
  it.each([
    ['leaves a table without small cells', [10, 20, 30], '10 20 30'],
    ['hides the smallest beside one small cell', [3, 30, 20, 40], '* 30 * 40'],
    ['breaks a tie by position', [40, 20, 3, 20], '40 * * 20'],
    ['takes an empty cell for a small one', [0, 30, 20, 40], '* 30 * 40'],
    ['takes a null for a small one', [null, 30, 20, 40], '* 30 * 40'],
    ['does not let two small cells add up to a small one', [1, 2, 30, 20, 40], '* * 30 * 40'],
    ['hides all where all are small', [1, 2, 3], '* * *'],
  ])('%s', (_name, counts, expected) => {
    expect(shown(counts, [counts.length])).toBe(expected);
  });

  it('hides a lone total below the threshold', () => {
    expect(shown([9], [])).toBe('*');
    expect(shown([10], [])).toBe('10');
    expect(shown([9], [1, 1])).toBe('*');
  });

  it('shows zeros where they are not disclosive, and spends none as a victim', () => {
    const lenient = { threshold: 10, zerosDisclosive: false };
    expect(shown([0, 30, 20], [3], lenient)).toBe('0 30 20');
    expect(shown([0, 3, 30, 20], [4], lenient)).toBe('0 * 30 *');
  });

  it('goes along rows and columns to a fixed point', () => {
    expect(shown([3, 20, 30, 40], [2, 2])).toBe('* * * *');
    expect(shown([3, 50, 60, 20, 70, 80, 90, 91, 92], [3, 3])).toBe('* * 60 * * 80 90 91 92');
  });

  it('hides a group that falls into one level', () => {
    const lenient = { threshold: 10, zerosDisclosive: false };
    // The third arm has no event at all; its line is hidden, and so is what would give it away.
    const hidden = suppressedCells([30, 40, 50, 60, 0, 70], [3, 2], lenient);
    expect(hidden.slice(4)).toEqual([true, true]);
    expect(shown([0, 70], [2], lenient)).toBe('0 70');
  });

  it('leaves an ordinary arm × event table whole', () => {
    expect(shown([31, 20, 32, 12], [2, 2])).toBe('31 20 32 12');
  });

  it('breaks open what algebra over several lines would compute', () => {
    // Two blocks of four joined by one cell: rows 0 and 1 less columns 0 and 1 give the joint.
    const block = [3, 4, 90, 90, 5, 6, 7, 90, 90, 90, 3, 4, 90, 90, 5, 6];
    const lines = linesOf([4, 4]);
    const joint = block.map((n) => n < 10);
    expect(derivableCells(joint, lines)).toEqual([6]);
    expect(derivableCells(suppressedCells(block, [4, 4], RULE), lines)).toEqual([]);
  });

  it('does not show all parts of a cell that another table hides', () => {
    const counts = [30, 40, 50, 60, 70, 80];
    expect(shown(counts, [3, 2], { ...RULE, slabs: [[2, 3]] })).toBe('* * * * 70 80');
  });

  it('hides a group that is withheld for another reason', () => {
    expect(shown([50, 60, 70], [3], { ...RULE, withheld: [true, false, false] })).toBe('* * 70');
  });
});
