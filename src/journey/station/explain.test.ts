import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ERROR_CODES, type ErrorCode, PhtError } from '../../model/error.ts';
import { EXPLANATION_LEVELS, refusalOf } from '../../model/refusal.ts';
import { isPassing } from './close.ts';
import { tell } from './explain.ts';

/** What each end of a hop tells its researcher, at each level. */

const ENDS = ERROR_CODES.filter((code) => !isPassing(code));
const SECRETS = ['/srv/research/cgd.csv', 'proxy.hospital.example:3128', '10.0.0.7', 'otto', 'anna'];

/** Codes whose own words are for the researcher; each was read, and none holds a place or another member. */
const OWN_WORDS: ReadonlySet<ErrorCode> = new Set([
  ...(['policy.denied', 'clearance.rejected', 'disclosure.withheld', 'disclosure.held'] as const),
  ...(['quota.exceeded', 'manifest.too-long', 'manifest.expired', 'order.expired', 'order.invalid'] as const),
  ...(['replayed', 'stale.epoch', 'deadline.passed', 'witness.unreachable', 'run.failed'] as const),
  ...(['dataset.changed', 'cancelled', 'image.unsafe'] as const),
]);

const secretive = (code: ErrorCode): PhtError =>
  new PhtError(code, `it failed: ${SECRETS.join(', ')}`, {
    hint: SECRETS.join(' '),
    cause: new Error(SECRETS.join(' ')),
    reasons: SECRETS,
  });

describe.each(ENDS)('%s', (code) => {
  test('has words of use to a researcher, and something to do next', () => {
    const { text, next } = refusalOf(code);
    for (const words of [text, next]) {
      expect(words.length).toBeGreaterThan(15);
      expect(words).not.toMatch(/undefined|\/[a-z]+\/|[0-9]{1,3}(\.[0-9]{1,3}){3}/);
    }
    for (const level of ['full', 'rules'] as const) {
      expect(tell(new PhtError(code, 'what happened there'), level, 'rosa').text.length).toBeGreaterThan(10);
    }
  });

  test('tells nothing of the station where its words were not written for him', () => {
    for (const level of EXPLANATION_LEVELS) {
      if (level === 'full' && OWN_WORDS.has(code)) continue;
      if (level === 'rules' && ['clearance.rejected', 'deadline.passed', 'cancelled'].includes(code))
        continue;
      const { text, reasons } = tell({ ...secretive(code), reasons: ['x: not met: a'] }, level, 'rosa');
      for (const secret of SECRETS) expect(text + reasons.join(' '), level).not.toContain(secret);
    }
  });

  test('tells nothing but itself at the level of codes', () => {
    expect(tell(secretive(code), 'code', 'rosa')).toEqual({ text: '', reasons: [] });
  });
});

describe('a denial of the policy', () => {
  const denied = new PhtError('policy.denied', "this station's policy does not permit the train", {
    reasons: [
      'partners: is for principal in List::"partners", not for Researcher::"rosa"',
      'partners: not met: [Researcher::"otto", Researcher::"rosa"].contains(principal)',
      'partners: not met: context.train.cpuMillis <= 1500 (here context.train.cpuMillis is 2000)',
      'quiet-hours: must not be so: context.train.title like "*test*"',
      'no-exports: trains of this kind are never allowed here',
      'no rule permits Run',
    ],
  });

  test('names the rules, and no clause, value or list, by default', () => {
    expect(tell(denied, 'rules', 'rosa').reasons).toEqual([
      'partners: 3 of its conditions are not met',
      'quiet-hours: 1 of its conditions is not met',
      'no-exports: trains of this kind are never allowed here',
      'no rule permits Run',
    ]);
  });

  test('names each clause in full, and no other member', () => {
    const { reasons } = tell(denied, 'full', 'rosa');
    expect(reasons[2]).toBe(
      'partners: not met: context.train.cpuMillis <= 1500 (here context.train.cpuMillis is 2000)',
    );
    expect(reasons[1]).toBe('partners: not met: [Researcher::"…", Researcher::"rosa"].contains(principal)');
    expect(reasons.join(' ')).not.toContain('otto');
  });

  test('names no other member, wherever and however a rule names one', () => {
    const id = fc.stringMatching(/^[a-z0-9]{4,12}$/).filter((each) => each !== 'rosa');
    fc.assert(
      fc.property(id, fc.string(), fc.string(), fc.boolean(), (other, before, after, cut) => {
        const reason = `rule: not met: ${before.replace(/"/g, '')} Researcher::"${other}${cut ? '…' : '"'} ${after.replaceAll(other, '')}`;
        const said = tell(new PhtError('policy.denied', 'x', { reasons: [reason] }), 'full', 'rosa').reasons;
        expect(said.join('').replace(before, '')).not.toContain(`"${other}`);
      }),
    );
  });
});

test('a person at the station is quoted, below the level of codes', () => {
  const rejected = new PhtError('clearance.rejected', 'an admin of the station rejected the train: no vote');
  expect(tell(rejected, 'rules', 'rosa').text).toContain('no vote');
  expect(tell(rejected, 'full', 'rosa').text).toContain('no vote');
});

test('everything is bounded', () => {
  const long = new PhtError('policy.denied', 'x'.repeat(5000), {
    reasons: Array.from({ length: 200 }, (_, at) => `rule${at}: ${'y'.repeat(2000)}`),
  });
  for (const level of EXPLANATION_LEVELS) {
    const { text, reasons } = tell(long, level, 'rosa');
    expect(text.length).toBeLessThanOrEqual(2000);
    expect(reasons.length).toBeLessThanOrEqual(50);
    for (const reason of reasons) expect(reason.length).toBeLessThanOrEqual(500);
  }
});
