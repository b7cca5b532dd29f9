import { expect, test } from 'vitest';
import { ERROR_CODES } from '../model/error.ts';
import { EXIT, exitStatusOf, meaningOf, nextOf } from './exit.ts';

test('every code has a status that scripts may rely on, and none is success', () => {
  for (const code of ERROR_CODES) expect([1, 2, 3, 4, 5]).toContain(exitStatusOf(code));
});

test.each([
  ['usage.invalid', 2],
  ['passphrase.required', 2],
  ['policy.denied', 3],
  ['disclosure.withheld', 3],
  ['signature.invalid', 4],
  ['network.rollback', 4],
  ['ledger.invalid', 4],
  ['unreachable', 5],
  ['timed-out', 5],
  ['internal', 1],
] as const)('%s ends with %i', (code, status) => {
  expect(exitStatusOf(code)).toBe(status);
});

test('an unexpected error claims nothing about the data', () => {
  expect(meaningOf('internal')).toBeNull();
  expect(meaningOf('usage.invalid')).toContain('Nothing was done');
  expect(EXIT.done).toBe(0);
});

test('what a person can cause says what to do next, or its own hint does', () => {
  for (const code of ERROR_CODES) {
    if (/^(?:usage|config|input)\./.test(code)) expect(nextOf(code)).toMatch(/\w+ \w+/);
  }
  expect(nextOf('internal')).toContain('--debug');
});
