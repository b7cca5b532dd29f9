import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { backoffMs, retrying } from './backoff.ts';

const fast = { limits: { baseMs: 1, maxMs: 2 }, random: () => 0.5 };

test('the ceiling doubles from 250 ms to 15 s', () => {
  const ceilings = [0, 1, 2, 3, 4, 5, 6, 7, 60].map((attempt) => backoffMs(attempt, () => 0.999999));
  expect(ceilings).toEqual([249, 499, 999, 1999, 3999, 7999, 14999, 14999, 14999]);
});

test('jitter is full: anything from 0 to the ceiling, never beyond', () => {
  fc.assert(
    fc.property(
      fc.nat(200),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (attempt, random) => {
        const waitMs = backoffMs(attempt, () => random);
        expect(waitMs).toBeGreaterThanOrEqual(0);
        expect(waitMs).toBeLessThan(15_000);
      },
    ),
  );
  expect(backoffMs(5, () => 0)).toBe(0);
});

test('tries again after unreachable and timed-out, and returns what came at last', async () => {
  const codes = ['unreachable', 'timed-out'] as const;
  const answer = await retrying(async ({ number }) => {
    const code = codes[number];
    if (code !== undefined) throw new PhtError(code, 'not yet');
    return number;
  }, fast);
  expect(answer).toBe(2);
});

test('anything else is thrown at once', async () => {
  let calls = 0;
  const failing = retrying(async () => {
    calls += 1;
    throw new PhtError('forbidden', 'no');
  }, fast);
  await expect(failing).rejects.toMatchObject({ code: 'forbidden' });
  expect(calls).toBe(1);
});

test('gives up after the attempts it was given, unless something came through', async () => {
  let calls = 0;
  const failing = retrying(
    async ({ progressed }) => {
      calls += 1;
      if (calls === 2) progressed();
      throw new PhtError('unreachable', 'no');
    },
    { ...fast, attemptsMax: 3 },
  );
  await expect(failing).rejects.toMatchObject({ code: 'unreachable' });
  expect(calls).toBe(4);
});

test('an abort ends the wait', async () => {
  const controller = new AbortController();
  const waiting = retrying(
    async () => {
      setTimeout(() => controller.abort(), 20);
      throw new PhtError('unreachable', 'no');
    },
    { signal: controller.signal, random: () => 1, limits: { baseMs: 60_000, maxMs: 60_000 } },
  );
  await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
});
