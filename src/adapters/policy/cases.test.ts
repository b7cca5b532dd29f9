import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { NO_LISTS, type StationLists } from '../../model/lists.ts';
import { canonicalJson } from '../../model/result/canonical.ts';
import { check } from '../../model/schema.ts';
import { parseYaml } from '../home/yaml.ts';
import { type PolicyCase, PolicyCases, tryCase } from './cases.ts';
import { openPolicy } from './cedar.ts';
import { DEFAULT_FACTS, factsWith, parseAnswer, parseFacts, SomeFacts } from './given-facts.ts';

const read = (text: string): PolicyCase[] => parseYaml(PolicyCases, Buffer.from(text), 'cases.yaml');
const ASK = openPolicy(
  Buffer.from(
    '@id("a") permit (principal, action == Action::"RunIfApproved", resource) when { context.train.pidsMax <= 256 };',
  ),
);

describe('cases', () => {
  test('are tried: what was expected, what came and why', () => {
    const [fits, other] = read(`
- { name: fits, expect: { verdict: ask, rules: [a], approvals: 1 } }
- { name: too many, facts: { train: { pidsMax: 300 } }, expect: { verdict: ask, rules: [a, b], approvals: 2 } }`);
    if (fits === undefined || other === undefined) throw new Error('two cases');
    expect(tryCase(fits, ASK, NO_LISTS)).toMatchObject({ ok: true, misfits: [] });
    expect(tryCase(other, ASK, NO_LISTS)).toMatchObject({
      ok: false,
      misfits: [
        'verdict: expected ask, came deny',
        'rules: expected a, b, came none',
        'approvals: expected 2, came 0',
      ],
      answer: { reasons: expect.arrayContaining([expect.stringContaining('context.train.pidsMax is 300')]) },
    });
  });

  test('expect no more than they say, but exactly the rules that they name', () => {
    const [silent, none] = read(`
- { name: silent, expect: { verdict: ask } }
- { name: none, expect: { verdict: ask, rules: [] } }`);
    if (silent === undefined || none === undefined) throw new Error('two cases');
    expect(tryCase(silent, ASK, NO_LISTS).ok).toBe(true);
    expect(tryCase(none, ASK, NO_LISTS).misfits).toEqual(['rules: expected none, came a']);
  });

  test.each([
    ['nothing', ''],
    ['an empty list', '[]'],
    ['no list', 'name: a'],
    ['an unknown member', '- { name: a, expect: { verdict: ask }, skip: true }'],
    ['an unknown fact', '- { name: a, facts: { train: { pids: 1 } }, expect: { verdict: ask } }'],
    ['a typo in a verdict', '- { name: a, expect: { verdict: allow } }'],
    ['no verdict', '- { name: a, expect: { rules: [] } }'],
    ['three persons', '- { name: a, expect: { verdict: ask, approvals: 3 } }'],
    ['a number in words', '- { name: a, facts: { train: { pidsMax: "1" } }, expect: { verdict: ask } }'],
    ['a fraction', '- { name: a, facts: { nowMs: 0.5 }, expect: { verdict: ask } }'],
    ['a key twice', '- { name: a, name: b, expect: { verdict: ask } }'],
    ['a name twice', '- { name: a, expect: { verdict: ask } }\n- { name: a, expect: { verdict: deny } }'],
    ['control characters', '- { name: "a\\u001b[2J", expect: { verdict: ask } }'],
    ['a policy elsewhere', '- { name: a, policy: ../x.cedar, expect: { verdict: ask } }'],
    ['an alias', '- &a { name: a, expect: { verdict: ask } }\n- *a'],
    [
      'too many',
      Array.from({ length: 1001 }, (_, at) => `- { name: c${at}, expect: { verdict: ask } }`).join('\n'),
    ],
  ])('that are not understood are refused: %s', (_, text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'config.invalid' }));
  });

  test('of any shape are refused or tried, never more', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        try {
          for (const each of read(text)) tryCase(each, ASK, NO_LISTS);
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(PhtError);
        }
      }),
    );
  });
});

describe('facts that a person wrote down', () => {
  const LISTS: StationLists = {
    researchers: { known: ['lee'], partners: ['lee', 'eve'] },
    images: { reviewed: ['c'.repeat(64)] },
  };

  test('stand over the defaults, and nothing else changes', () => {
    expect(factsWith({}, NO_LISTS)).toEqual(DEFAULT_FACTS);
    expect(
      factsWith({ nowMs: 5, researcher: { organisation: 'X' }, train: { pidsMax: 9 } }, NO_LISTS),
    ).toEqual({
      ...{ ...DEFAULT_FACTS, nowMs: 5 },
      researcher: { ...DEFAULT_FACTS.researcher, organisation: 'X' },
      train: { ...DEFAULT_FACTS.train, pidsMax: 9 },
    });
  });

  test('find their lists as a station would, unless they name them', () => {
    const given = { researcher: { id: 'lee' }, train: { imageConfigDigest: 'c'.repeat(64) } };
    const facts = factsWith(given, LISTS);
    expect(facts.researcher.lists).toEqual(['known', 'partners']);
    expect(facts.train).toMatchObject({ imageLists: ['reviewed'], recipients: ['lee'] });
    expect(factsWith({ researcher: { id: 'lee', lists: [] } }, LISTS).researcher.lists).toEqual([]);
  });

  test('are whole facts, as an archive holds them', () => {
    const any = fc.record(
      {
        nowMs: fc.nat(),
        station: fc.string(),
        train: fc.record({ pidsMax: fc.nat(), duo: fc.array(fc.string()) }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(any, (given) => {
        const facts = factsWith(check(SomeFacts, given, 'facts'), LISTS);
        expect(parseFacts(canonicalJson(facts))).toEqual(facts);
      }),
    );
  });
});

test('an archived answer is read strictly', () => {
  const answer = ASK.decide(DEFAULT_FACTS);
  const text = canonicalJson(answer);
  expect(parseAnswer(Buffer.from(text))).toEqual(answer);
  for (const wrong of [
    '{}',
    text.replace('"ask"', '"maybe"'),
    text.replace('{', '{"x":1,'),
    text.replace('"approvals":1,', ''),
  ]) {
    expect(() => parseAnswer(Buffer.from(wrong))).toThrow(
      expect.objectContaining({ code: 'input.malformed' }),
    );
  }
});
