import { expect, test } from 'vitest';
import { createRate } from './rate.ts';

test('so many in any window, for each key by itself', () => {
  const rate = createRate({ max: 2, windowMs: 1000 });
  expect([0, 400, 500].map((atMs) => rate.take('rosa', atMs))).toEqual([true, true, false]);
  expect(rate.take('otto', 500)).toBe(true);
  // What was refused did not count, so the first one's end makes room for one.
  expect([1000, 1001].map((atMs) => rate.take('rosa', atMs))).toEqual([true, false]);
  expect(rate.take('rosa', 1400)).toBe(true);
});

test('a clock that is set back makes no room at once, and one that is right again makes it', () => {
  const rate = createRate({ max: 1, windowMs: 1000 });
  expect(rate.take('rosa', 5000)).toBe(true);
  expect(rate.take('rosa', 4500)).toBe(false);
  expect(rate.take('rosa', 6000)).toBe(true);
});
