import { expect, test } from 'vitest';
import type { VerifiedSignature } from './note.ts';
import { witnessedTimeMs } from './witnessed-time.ts';

const at = (...times: (number | null)[]): VerifiedSignature[] =>
  times.map((timeS) => ({ key: {} as VerifiedSignature['key'], timeS }));

test('one liar moves the bound neither forward nor, with an honest majority, back', () => {
  expect(witnessedTimeMs(at(100, 101, 102), 1)).toBe(101_000);
  expect(witnessedTimeMs(at(100, 101, 9_999_999), 1)).toBe(101_000);
  expect(witnessedTimeMs(at(0, 101, 102), 1)).toBe(101_000);
  expect(witnessedTimeMs(at(9_999, 9_998, 100, 101, 102), 2)).toBe(102_000);
});

test('too few tell nothing', () => {
  expect(witnessedTimeMs([], 1)).toBeNull();
  expect(witnessedTimeMs(at(100), 1)).toBeNull();
  expect(witnessedTimeMs(at(100, null), 1)).toBeNull();
});
