import { describe, expect, test } from 'vitest';
import type { StationLists } from '../../model/lists.ts';
import { checkPolicy, openPolicy } from './cedar.ts';

/** What `check` says about policies that are not sound, or that are and should not be. */

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const EVERY = /IT PERMITS EVERY TRAIN/;

function messages(text: string, lists: StationLists | null = null): string[] {
  return checkPolicy(bytes(text), lists).problems.map(({ severity, message }) => `${severity}: ${message}`);
}

describe('annotations', () => {
  const permit = (annotations: string, action = 'action == Action::"RunIfApproved"'): string =>
    `@id("a") ${annotations} permit (principal, ${action}, resource);`;

  test.each(['@approvals("1")', '@approvals("2")', '@explain("why")', ''])('%s is fine', (annotations) => {
    expect(messages(permit(annotations))).toEqual([]);
  });

  test.each([
    ['three persons', permit('@approvals("3")'), /must be "1" or "2"/],
    ['a word', permit('@approvals("two")'), /must be "1" or "2"/],
    ['a blank', permit('@approvals(" 2")'), /must be "1" or "2"/],
    ['nothing', permit('@approvals("")'), /must be "1" or "2"/],
    ['no value', permit('@approvals'), /must be "1" or "2"/],
    ['twice', permit('@approvals("1") @approvals("2")'), /duplicate annotation/],
    ['a typo', permit('@aprovals("2")'), /@aprovals of a is not known/],
    ['another case', permit('@Approvals("2")'), /@Approvals of a is not known/],
    ['a name of JavaScript', permit('@__proto__("2")'), /@__proto__ of a is not known/],
    ['on Run', permit('@approvals("2")', 'action == Action::"Run"'), /has no meaning/],
    [
      'on a forbid',
      '@id("a") @approvals("2") forbid (principal, action, resource) when { false };',
      /has no meaning/,
    ],
  ])('@approvals with %s is an error at load', (_, policy, message) => {
    const [problem] = checkPolicy(bytes(policy)).problems;
    expect(problem).toMatchObject({ severity: 'error', line: 1 });
    expect(problem?.message).toMatch(message);
    expect(() => openPolicy(bytes(policy))).toThrow(expect.objectContaining({ code: 'policy.error' }));
  });

  test('on a permit of both actions it is told that nobody is asked', () => {
    const policy = permit('@approvals("2")', 'action').replace(';', ' when { context.station == "x" };');
    expect(messages(policy)).toEqual([expect.stringMatching(/^warning: it permits Run too.*no effect/)]);
    const in_ = permit('@approvals("2")', 'action in [Action::"RunIfApproved"]');
    expect(messages(in_)).toEqual([]);
  });
});

describe('a permit for everything is told loudly', () => {
  const rule = (scope: string, conditions = ''): string => `@id("a") permit (${scope}) ${conditions};`;
  test.each([
    rule('principal, action, resource'),
    rule('principal, action == Action::"Run", resource'),
    rule('principal, action in [Action::"RunIfApproved", Action::"Run"], resource'),
    rule('principal is Researcher, action, resource is Dataset'),
    rule('principal, action, resource', 'when { true }'),
    rule('principal, action, resource', 'unless { 1 > 2 } when { "context" == "context" }'),
    rule('principal, action, resource', 'when { action == Action::"Run" }'),
  ])('%s', (policy) => {
    expect(messages(policy).filter((message) => EVERY.test(message))).toHaveLength(1);
    expect(checkPolicy(bytes(policy)).ok).toBe(true);
  });

  test.each([
    rule('principal, action == Action::"RunIfApproved", resource'),
    rule('principal in List::"known", action, resource'),
    rule('principal is Researcher in List::"known", action, resource'),
    rule('principal, action, resource == Dataset::"cgd"'),
    rule('principal, action, resource', 'when { context.train.pidsMax <= 128 }'),
    rule('principal, action, resource', 'when { principal.organisation == "X" }'),
    '@id("a") forbid (principal, action, resource);',
  ])('but not %s', (policy) => {
    expect(messages(policy).filter((message) => EVERY.test(message))).toEqual([]);
  });
});

describe('a list that the station does not have', () => {
  const LISTS: StationLists = { researchers: { known: ['lee'] }, images: { reviewed: [] } };
  const rule = (scope: string, condition: string): string =>
    `@id("a")\npermit (${scope}, action, resource)\nwhen { ${condition} };`;

  test.each([
    ['principal in List::"known"', 'context.train.image in List::"reviewed"'],
    ['principal is Researcher in List::"known"', 'context.train.image in [List::"reviewed"]'],
    ['principal', 'principal in [List::"known", List::"known"]'],
    ['principal is Researcher', 'principal in [List::"known"] || context.train.image in List::"reviewed"'],
  ])('%s, %s is there', (scope, condition) => {
    expect(messages(rule(scope, condition), LISTS)).toEqual([]);
  });

  test.each([
    ['principal in List::"knwon"', 'principal.organisation == "X"', 2, /List::"knwon".*`researchers`.*known/],
    ['principal', 'context.train.image in List::"known"', 3, /List::"known".*`images`.*reviewed/],
    ['principal', 'principal in List::"reviewed"', 3, /`researchers`/],
    ['principal is Researcher in List::"Known"', 'principal.organisation == "X"', 2, /List::"Known"/],
    ['principal', 'principal in [List::"known", List::"partners"]', 3, /List::"partners".*`researchers`/],
    [
      'principal',
      '{list: List::"x"}.list in List::"known" || context.station == "x"',
      3,
      /List::"x" is not in lists.yaml.*known, reviewed/,
    ],
    ['principal in List::"constructor"', 'principal.organisation == "X"', 2, /List::"constructor"/],
  ])('%s, %s is a warning', (scope, condition, line, message) => {
    const { ok, problems } = checkPolicy(bytes(rule(scope, condition)), LISTS);
    expect(ok).toBe(true);
    expect(problems).toEqual([
      { severity: 'warning', rule: 'a', line, message: expect.stringMatching(message) },
    ]);
  });

  test('is not looked for where no lists are known', () => {
    expect(messages(rule('principal in List::"knwon"', 'principal.organisation == "X"'))).toEqual([]);
  });
});

test('however many warnings there are, no error is pushed out of the list', () => {
  const warned = Array.from(
    { length: 60 },
    (_, at) =>
      `@id("w${at}") forbid (principal, action == Action::"Run", resource) when { context.station == "x" };`,
  );
  const policy = bytes(
    [...warned, '@id("e") permit (principal, action, resource) when { context.nwo };'].join('\n'),
  );
  const { ok, problems } = checkPolicy(policy);
  expect(ok).toBe(false);
  expect(problems).toHaveLength(50);
  expect(problems[0]).toMatchObject({ severity: 'error', line: 61 });
  expect(() => openPolicy(policy)).toThrow(/line 61/);
});
