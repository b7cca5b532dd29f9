import { describe, expect, test } from 'vitest';
import { HOP_MOVES, HOP_STATES, isSealed, mayMove, progressOf } from './hop.ts';

const open = HOP_STATES.filter((state) => !isSealed(state));

describe('the table of moves', () => {
  test('reaches every state from the first', () => {
    const reached = new Set<string>(['received']);
    for (const from of reached) for (const to of HOP_MOVES[from as keyof typeof HOP_MOVES]) reached.add(to);
    expect([...reached].sort()).toEqual([...HOP_STATES].sort());
  });

  test.each(open)('%s may end in a receipt', (state) => {
    expect(mayMove(state, 'sealed')).toBe(true);
  });

  test('nothing leaves a receipt but its delivery', () => {
    expect(HOP_MOVES.sealed).toEqual(['delivered']);
    expect(HOP_MOVES.delivered).toEqual([]);
  });

  test('no train is loaded that was not cleared, and none is cleared that was not decided', () => {
    const into = (to: (typeof HOP_STATES)[number]) => HOP_STATES.filter((from) => mayMove(from, to));
    expect(into('loaded')).toEqual(['cleared']);
    expect(into('running')).toEqual(['loaded']);
    expect(into('screened')).toEqual(['collected']);
    expect(into('awaiting-witness')).toEqual(['screened']);
    const after = ['loaded', 'running', 'collected', 'screened', 'awaiting-witness'];
    expect(into('cleared').filter((from) => !after.includes(from))).toEqual([
      'decided',
      'awaiting-clearance',
    ]);
  });
});

test('progress tells a dispatcher nothing that the data could sway', () => {
  expect(open.map(progressOf)).toEqual([
    'received',
    'received',
    'received',
    'awaiting-clearance',
    'cleared',
    'cleared',
    'running',
    'running',
    'running',
    // Its release is on record by then, where the dispatcher reads it.
    'awaiting-witness',
  ]);
});
