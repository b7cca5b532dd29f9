import { describe, expect, test } from 'vitest';
import type { PolicyFacts } from '../../ports/policy.ts';
import { accountOf } from './account.ts';
import { diffPolicies } from './diff.ts';
import { DEFAULT_FACTS } from './given-facts.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const FACTS: PolicyFacts = {
  ...DEFAULT_FACTS,
  researcher: { ...DEFAULT_FACTS.researcher, lists: ['known'] },
};

describe('an account of a policy', () => {
  test('says of each part whether it is met, and its value here', () => {
    const policy = `@id("a") @explain("why") @approvals("2")
      permit (principal in List::"known", action == Action::"RunIfApproved", resource == Dataset::"cgd")
      when { context.train.pidsMax <= 100 } // few
      unless { context.train.pidsMax > 100 }
      when { context.train.memoryBytesMax * 9223372036854775807 > 0 };
      @id("b") forbid (principal, action, resource) when { context.station == "station" };`;
    const { rules, answer } = accountOf(bytes(policy), FACTS);
    expect(rules).toEqual([
      {
        ...{ id: 'a', effect: 'permit', line: 1, explain: 'why', approvals: 2, applies: false },
        actions: ['RunIfApproved'],
        parts: [
          {
            ...{ kind: 'principal', text: 'principal in List::"known"', state: 'met' },
            here: ['principal is Researcher::"researcher", on the list "known"'],
          },
          {
            ...{ kind: 'resource', text: 'resource == Dataset::"cgd"', state: 'not-met' },
            here: ['resource is Dataset::"dataset"'],
          },
          {
            ...{ kind: 'when', text: 'context.train.pidsMax <= 100', state: 'not-met' },
            here: ['context.train.pidsMax is 128'],
          },
          {
            ...{ kind: 'unless', text: 'context.train.pidsMax > 100', state: 'not-met' },
            here: ['context.train.pidsMax is 128'],
          },
          {
            ...{
              kind: 'when',
              text: 'context.train.memoryBytesMax * 9223372036854775807 > 0',
              state: 'error',
            },
            here: ['context.train.memoryBytesMax is 536870912'],
            error: expect.stringContaining('integer overflow'),
          },
        ],
      },
      {
        ...{ id: 'b', effect: 'forbid', line: 6, explain: null, approvals: 1, applies: true },
        actions: ['Run', 'RunIfApproved'],
        parts: [
          {
            ...{ kind: 'when', text: 'context.station == "station"', state: 'met' },
            here: ['context.station is "station"'],
          },
        ],
      },
    ]);
    expect(answer).toMatchObject({ verdict: 'deny', rules: ['b'] });
  });

  test('holds a clause about the action against the action of its rule', () => {
    const clause = 'when { action == Action::"RunIfApproved" }';
    const policy = `@id("a") permit (principal, action == Action::"RunIfApproved", resource) ${clause};
      @id("b") permit (principal, action == Action::"Run", resource) ${clause};`;
    const { rules } = accountOf(bytes(policy), FACTS);
    expect(rules.map(({ applies }) => applies)).toEqual([true, false]);
  });

  test.each([
    ['a policy that is none', 'permit', FACTS],
    ['facts that are none', '', { ...FACTS, train: { ...FACTS.train, pidsMax: 1.5 } }],
  ])('%s is told', (_, policy, facts) => {
    expect(() => accountOf(bytes(policy), facts)).toThrow(expect.objectContaining({ code: 'policy.error' }));
  });
});

describe('what changed between two policies', () => {
  const rule = (id: string, scope: string, clauses: string): string =>
    `@id("${id}") permit (${scope}) ${clauses};`;
  const SCOPE = 'principal, action, resource == Dataset::"cgd"';
  const OLD = rule('a', SCOPE, 'when { context.train.pidsMax <= 100 } when { context.station == "x" }');

  test.each<[string, string, object]>([
    ['nothing', OLD, { added: [], removed: [], changed: [] }],
    [
      'comments and layout',
      OLD.replaceAll('when', '// why\n when  '),
      { added: [], removed: [], changed: [] },
    ],
    [
      'the order of clauses',
      rule('a', SCOPE, 'when { context.station == "x" } when { context.train.pidsMax <= 100 }'),
      { added: [], removed: [], changed: [] },
    ],
    ['a rule', OLD + rule('b', SCOPE, ''), { added: ['b'], removed: [], changed: [] }],
    ['its name', OLD.replace('"a"', '"c"'), { added: ['c'], removed: ['a'], changed: [] }],
    [
      'a limit',
      OLD.replace('100', '200'),
      {
        ...{ added: [], removed: [] },
        changed: [
          {
            id: 'a',
            removed: ['when { context.train.pidsMax <= 100 }'],
            added: ['when { context.train.pidsMax <= 200 }'],
          },
        ],
      },
    ],
    [
      'when to unless, twice the same, action, words and persons',
      `@explain("w") @approvals("2") ${rule('a', SCOPE.replace('action', 'action == Action::"RunIfApproved"'), 'unless { context.train.pidsMax <= 100 } when { context.station == "x" } when { context.station == "x" }')}`,
      {
        ...{ added: [], removed: [] },
        changed: [
          {
            id: 'a',
            removed: ['action', 'when { context.train.pidsMax <= 100 }'],
            added: [
              'action == Action::"RunIfApproved"',
              '@explain("w")',
              '@approvals("2")',
              'unless { context.train.pidsMax <= 100 }',
              'when { context.station == "x" }',
            ],
          },
        ],
      },
    ],
  ])('%s', (_, now, expected) => {
    expect(diffPolicies(bytes(OLD), bytes(now))).toEqual(expected);
  });

  test('one that is not sound is told', () => {
    expect(() => diffPolicies(bytes(OLD), bytes('permit'))).toThrow(
      expect.objectContaining({ code: 'policy.error' }),
    );
  });
});
