import { expect, test } from 'vitest';
import type { VerifiedSignature } from './note.ts';
import { existedByMs, witnessedTimeMs } from './witnessed-time.ts';

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

test('liars do not make a checkpoint older than an honest witness saw it', () => {
  expect(existedByMs(at(100, 101, 102), 1)).toBe(101_000);
  expect(existedByMs(at(1, 101, 102), 1)).toBe(101_000);
  expect(existedByMs(at(1, 101), 1)).toBe(101_000);
  expect(existedByMs(at(1, 2, 100, 101, 102), 2)).toBe(100_000);
  // Nor younger, where more than the liars have seen it.
  expect(existedByMs(at(100, 101, 9_999_999), 1)).toBe(101_000);
});

test('what has no time tells none', () => {
  expect(existedByMs(at(), 1)).toBeNull();
  expect(existedByMs(at(100), 1)).toBeNull();
  expect(existedByMs(at(0, 100), 1)).toBeNull();
  expect(existedByMs(at(null, 100), 1)).toBeNull();
});
