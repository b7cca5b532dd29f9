import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { policyOf } from '../../../bench/policy-of.ts';
import type { PolicyAnswer, PolicyFacts } from '../../ports/policy.ts';
import { openPolicy, soundRules } from './cedar.ts';
import { requestOf } from './facts.ts';
import { DEFAULT_FACTS } from './given-facts.ts';
import { evaluate, evaluateTwice, preparePolicy } from './prepared.ts';
import { isFor } from './scope.ts';

/** Lists, approvals, and that the quick way to a decision gives the same as the plain one. */

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function facts(
  given: { lists?: string[]; imageLists?: string[]; train?: Partial<PolicyFacts['train']> } = {},
): PolicyFacts {
  const { lists = [], imageLists = [], train = {} } = given;
  return {
    ...DEFAULT_FACTS,
    researcher: { ...DEFAULT_FACTS.researcher, lists },
    train: { ...DEFAULT_FACTS.train, imageLists, ...train },
  };
}
const decide = (policy: string, given: PolicyFacts = facts()): PolicyAnswer =>
  openPolicy(bytes(policy)).decide(given);

describe('lists', () => {
  const KNOWN = '@id("k") permit (principal in List::"known", action == Action::"Run", resource);';
  const REVIEWED =
    '@id("r") permit (principal, action == Action::"Run", resource) when { context.train.image in List::"reviewed" };';
  const NOT_BARRED = `${REVIEWED}@id("b") forbid (principal in List::"barred", action, resource);`;

  test.each([
    ['a known researcher', KNOWN, facts({ lists: ['known', 'others'] }), 'permit'],
    ['somebody on another list', KNOWN, facts({ lists: ['others'] }), 'deny'],
    ['an image on the list of that name', KNOWN, facts({ imageLists: ['known'] }), 'deny'],
    ['a reviewed image', REVIEWED, facts({ imageLists: ['reviewed'] }), 'permit'],
    ['another image', REVIEWED, facts({ lists: ['reviewed'] }), 'deny'],
    ['somebody barred', NOT_BARRED, facts({ imageLists: ['reviewed'], lists: ['barred'] }), 'deny'],
    ['somebody not barred', NOT_BARRED, facts({ imageLists: ['reviewed'] }), 'permit'],
  ])('%s', (_, policy, given, verdict) => {
    expect(decide(policy, given)).toMatchObject({ verdict, error: false });
  });

  test('a denial names the list, and the lists that there are', () => {
    expect(decide(KNOWN, facts({ lists: ['b', 'a'] })).reasons).toEqual([
      'k: is for principal in List::"known", not for Researcher::"researcher", on the lists "b", "a"',
      'no rule permits RunIfApproved',
    ]);
    expect(decide(REVIEWED).reasons[0]).toBe(
      `r: not met: context.train.image in List::"reviewed" (here context.train.image is Image::"${'b'.repeat(64)}", on no list)`,
    );
    const clause = '@id("k") permit (principal, action, resource) when { principal in List::"known" };';
    expect(decide(clause, facts({ lists: ['others'] })).reasons).toEqual([
      'k: not met: principal in List::"known" (here principal is Researcher::"researcher", on the list "others")',
    ]);
  });

  test('whether a person approved this image here', () => {
    const policy =
      '@id("a") permit (principal, action == Action::"Run", resource) when { context.train.imageApprovedHere };';
    expect(decide(policy, facts({ train: { imageApprovedHere: true } })).verdict).toBe('permit');
    expect(decide(policy).reasons[0]).toContain('context.train.imageApprovedHere is false');
  });
});

describe('how many persons must approve', () => {
  const ask = (id: string, approvals: string, list: string): string =>
    `@id("${id}") ${approvals} permit (principal in List::"${list}", action == Action::"RunIfApproved", resource);`;
  const policy = [
    ask('none', '', 'a'),
    ask('one', '@approvals("1")', 'b'),
    ask('two', '@approvals("2")', 'c'),
  ].join('\n');
  const run = '@id("run") permit (principal in List::"d", action == Action::"Run", resource);';

  test.each([
    [['a'], 'ask', 1],
    [['b'], 'ask', 1],
    [['c'], 'ask', 2],
    [['a', 'c'], 'ask', 2],
    [['c', 'd'], 'permit', 0],
    [[], 'deny', 0],
  ])('on %j: %s by %i', (lists, verdict, approvals) => {
    expect(decide(policy + run, facts({ lists }))).toMatchObject({ verdict, approvals });
  });

  test('none where an error denies', () => {
    const errs =
      '@id("e") permit (principal, action, resource) when { context.train.pidsMax * 9223372036854775807 > 0 };';
    expect(decide(policy + errs, facts({ lists: ['c'] }))).toMatchObject({
      verdict: 'deny',
      approvals: 0,
      error: true,
    });
  });
});

const ACTIONS = [
  'action',
  'action == Action::"Run"',
  'action == Action::"RunIfApproved"',
  'action in Action::"Run"',
  'action in [Action::"RunIfApproved"]',
  'action in [Action::"Run", Action::"RunIfApproved"]',
];
const SCOPES = [
  'principal',
  'principal == Researcher::"researcher"',
  'principal == Researcher::"eve"',
  'principal in List::"known"',
  'principal is Researcher',
  'principal is Researcher in List::"known"',
  'principal in Researcher::"researcher"',
];
const RESOURCES = [
  'resource',
  'resource == Dataset::"dataset"',
  'resource in Dataset::"cgd"',
  'resource is Dataset',
];
const CLAUSES = [
  'when { context.train.pidsMax < 100 }',
  'unless { context.train.pidsMax < 100 }',
  'when { context.train.image in List::"known" } // a comment',
  'when { context.train.pidsMax * 9223372036854775807 > 0 }',
  'when { context.train.pidsMax < 100 } when { context.train.pidsMax * 9223372036854775807 > 0 }',
  '',
];
const rules = (clauses: string[]) =>
  fc.array(
    fc.record({
      effect: fc.constantFrom('permit', 'permit', 'permit', 'forbid'),
      principal: fc.constantFrom(...SCOPES),
      action: fc.constantFrom(...ACTIONS),
      resource: fc.constantFrom(...RESOURCES),
      clause: fc.constantFrom(...clauses),
    }),
    { maxLength: 5 },
  );
const textOf = (
  each: { effect: string; principal: string; action: string; resource: string; clause: string }[],
) =>
  each.map(
    ({ effect, principal, action, resource, clause }, at) =>
      `@id("r${at}") ${effect} (${principal}, ${action}, ${resource})\n${clause}\n;`,
  );
const someFacts = fc.record({
  lists: fc.subarray(['known', 'others']),
  imageLists: fc.subarray(['known']),
  train: fc.record({ pidsMax: fc.constantFrom(50, 150) }),
});

describe('one evaluation for both actions', () => {
  const sorted = (evaluated: ReturnType<typeof evaluate>): unknown => ({
    forbids: [...new Set(evaluated.forbids)].toSorted(),
    run: evaluated.permits.Run.toSorted(),
    approved: evaluated.permits.RunIfApproved.toSorted(),
    errors: [...new Set(evaluated.errors.map(({ rule, message }) => `${rule}: ${message}`))].toSorted(),
  });

  test('says what two say, over any policy', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(rules(CLAUSES), someFacts, (each, given) => {
        const prepared = preparePolicy('one-or-two', soundRules(bytes(textOf(each).join('\n'))));
        expect(prepared.names.merged).not.toBe('');
        const request = requestOf(facts(given));
        const [one, two] = [evaluate(prepared, request), evaluateTwice(prepared.names, request)];
        // Where a forbid applies to one action only, the other's permits are hidden or not: it is a deny either way.
        if (two.forbids.length > 0) expect(one.forbids.length).toBeGreaterThan(0);
        else expect(sorted(one)).toEqual(sorted(two));
        seen.add(
          two.forbids.length > 0
            ? 'forbid'
            : two.permits.Run.length > 0
              ? 'permit'
              : two.errors.length > 0
                ? 'error'
                : 'other',
        );
      }),
      { numRuns: 250, seed: 3 },
    );
    expect([...seen].toSorted()).toEqual(['error', 'forbid', 'other', 'permit']);
  });

  test('never makes a rule for no action one for both: no such rule is loaded', () => {
    expect(() => decide('@id("a") forbid (principal, action in [], resource);')).toThrow(/empty set/);
  });

  test('is not used where a clause asks for the action', () => {
    const policy =
      '@id("a") permit (principal, action, resource) when { action == Action::"RunIfApproved" };';
    expect(preparePolicy('asks', soundRules(bytes(policy))).names.merged).toBe('');
    expect(decide(policy)).toMatchObject({ verdict: 'ask', rules: ['a'] });
    expect(decide(policy).reasons).toContain('a: not met: action == Action::"RunIfApproved"');
  });
});

test('who a rule is for is told as Cedar decides it', () => {
  fc.assert(
    fc.property(rules(['']), someFacts, (each, given) => {
      const request = requestOf(facts(given));
      const permits = each.map((rule) => ({ ...rule, effect: 'permit', action: 'action' }));
      const read = soundRules(bytes(textOf(permits).join('\n')));
      const { permits: met } = evaluateTwice(preparePolicy('scopes', read).names, request);
      for (const rule of read) {
        const told = isFor(rule, 'principal', request) && isFor(rule, 'resource', request);
        expect({ rule: rule.text, told }).toEqual({ rule: rule.text, told: met.Run.includes(rule.id) });
      }
    }),
    { numRuns: 100, seed: 5 },
  );
});

describe('a policy of 200 rules', () => {
  const policy = openPolicy(bytes(policyOf(200)));

  test('names the rules first that lack least', () => {
    const { reasons } = policy.decide(facts({ lists: ['l4', 'l5'], train: { pidsMax: 999 } }));
    expect(reasons).toHaveLength(24);
    expect(reasons.slice(0, 2)).toEqual([
      'r4: not met: context.train.pidsMax <= 256 (here context.train.pidsMax is 999)',
      'r5: not met: context.train.pidsMax <= 256 (here context.train.pidsMax is 999)',
    ]);
    expect(reasons.at(-1)).toBe('and conditions of further rules');
  });

  test('tells each of many rules that nearly applied', () => {
    const lists = Array.from({ length: 40 }, (_, at) => `l${at}`);
    const { verdict, reasons } = policy.decide(facts({ lists, train: { pidsMax: 999 } }));
    expect(verdict).toBe('deny');
    expect(reasons.filter((reason) => reason.includes('pidsMax'))).toHaveLength(23);
  });

  test.each([
    ['permit', ['l0']],
    ['ask', ['l2']],
    ['deny', []],
  ])('%s (what it costs is printed, not judged)', (verdict, lists) => {
    const times = Array.from({ length: 60 }, () => {
      const start = performance.now();
      expect(policy.decide(facts({ lists })).verdict).toBe(verdict);
      return performance.now() - start;
    }).toSorted((a, b) => a - b);
    console.log(`${verdict}: ${times[30]?.toFixed(2)} ms`);
  });
});
