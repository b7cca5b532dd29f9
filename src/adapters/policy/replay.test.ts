import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { canonicalJson } from '../../model/result/canonical.ts';
import type { PolicyFacts } from '../../ports/policy.ts';
import { openPolicy } from './cedar.ts';
import { DEFAULT_FACTS } from './given-facts.ts';
import { replayDecision } from './replay.ts';

const FACTS: PolicyFacts = {
  ...DEFAULT_FACTS,
  researcher: { id: 'dr-lee', organisation: 'Example University', lists: ['known'] },
  dataset: 'cgd',
  train: { ...DEFAULT_FACTS.train, title: 'Treatment effect', recipients: ['dr-lee'] },
};
const CLAUSES = [
  'context.train.pidsMax < 100',
  'context.train.duo.contains("DUO:0000042")',
  'context.now < datetime("2026-01-03")',
  'principal.organisation == "Example University"',
  'context.train.recipients == [principal]',
  'principal in List::"known"',
  'action == Action::"Run"',
  'context.train.pidsMax * 9223372036854775807 > 0',
];

function rule(id: string, effect: string, action: string, clause: string): string {
  const named = effect === 'forbid' ? 'action' : `action == Action::"${action}"`;
  return `@id("${id}") ${effect} (principal, ${named}, resource) when { ${clause} };`;
}

test('any policy answers a replayed request as it answered the first time, byte for byte', () => {
  const rules = fc.array(
    fc.record({
      effect: fc.constantFrom('permit', 'permit', 'forbid'),
      action: fc.constantFrom('Run', 'RunIfApproved'),
      clause: fc.constantFrom(...CLAUSES),
    }),
    { maxLength: 4 },
  );
  const facts = fc.record({
    nowMs: fc.integer({ min: 0, max: 4e12 }),
    pidsMax: fc.integer({ min: 1, max: 300 }),
  });
  const verdicts = new Set<string>();
  fc.assert(
    fc.property(rules, facts, (each, { nowMs, pidsMax }) => {
      const text = each
        .map(({ effect, action, clause }, at) => rule(`r${at}`, effect, action, clause))
        .join('\n');
      const given = { ...FACTS, nowMs, train: { ...FACTS.train, pidsMax } };
      const answer = openPolicy(Buffer.from(text)).decide(given);
      verdicts.add(answer.verdict);
      expect(canonicalJson(replayDecision(text, canonicalJson(given)))).toBe(canonicalJson(answer));
    }),
    { numRuns: 60, seed: 7 },
  );
  expect([...verdicts].sort()).toEqual(['ask', 'deny', 'permit']);
});

test('errors of several rules come in one order, always', () => {
  const overflows = 'context.train.pidsMax * 9223372036854775807 > 0';
  const text = ['b', 'd', 'a', 'c'].map((id) => rule(id, 'permit', 'Run', overflows)).join('\n');
  for (let time = 0; time < 20; time += 1) {
    const { reasons } = replayDecision(text, canonicalJson(FACTS));
    expect(reasons.map((reason) => reason[0])).toEqual(['a', 'b', 'c', 'd']);
  }
});

test('a policy keeps the text that its digest is of', () => {
  const text = `// für ein Päckchen\n${rule('a', 'permit', 'Run', 'true')}\r\n`;
  expect(openPolicy(Buffer.from(text)).text).toBe(text);
});

describe('what cannot be replayed is told, never answered', () => {
  const request = canonicalJson(FACTS);
  const policy = rule('a', 'permit', 'Run', 'true');
  test.each<[string, string, string, string]>([
    ['a policy that is none', 'permit all', request, 'policy.error'],
    ['a request that is no JSON', policy, 'now', 'input.malformed'],
    ['a request with a fact twice', policy, request.replace('{', '{"station":"x",'), 'input.malformed'],
    ['a fact too many', policy, request.replace('{', '{"admin":true,'), 'input.malformed'],
    ['a fact too few', policy, request.replace('"dataset":"cgd",', ''), 'input.malformed'],
    ['a number in words', policy, request.replace(':128', ':"128"'), 'input.malformed'],
    ['far too much', policy, request.replace('Treatment', 'T'.repeat(300_000)), 'input.too-large'],
  ])('%s', (_name, text, given, code) => {
    expect(() => replayDecision(text, given)).toThrow(expect.objectContaining({ code }));
  });

  test('whatever the request is', () => {
    fc.assert(
      fc.property(fc.json(), (given) => {
        expect(() => replayDecision(policy, given)).toThrow(PhtError);
      }),
    );
  });
});
