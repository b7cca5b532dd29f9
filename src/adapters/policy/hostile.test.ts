import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { canonicalJson } from '../../model/result/canonical.ts';
import { readBounded } from '../home/files.ts';
import { parseYaml, readYaml } from '../home/yaml.ts';
import { PolicyCases } from './cases.ts';
import { diffPolicies } from './diff.ts';
import { DEFAULT_FACTS, parseAnswer, parseFacts } from './given-facts.ts';
import { replayDecision } from './replay.ts';
import { POLICY_BYTES_MAX } from './rules.ts';

/** Policies, cases and archives from strangers: a stable code at once, or an answer; never a crash. */

const RULE = '@id("a") permit (principal, action, resource);';
const HUNDRED_MIB = 100 * 1024 * 1024;
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'hostile-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function codeOf(work: () => unknown): string {
  try {
    work();
    return 'none';
  } catch (thrown) {
    if (thrown instanceof PhtError) return thrown.code;
    throw thrown;
  }
}

describe('a policy', () => {
  const deep = (open: string, close: string, times: number): string =>
    `@id("a") permit (principal, action, resource) when { ${open.repeat(times)}true${close.repeat(times)} };`;
  const HOSTILE: [string, string | Buffer][] = [
    ['of 100 MiB', Buffer.alloc(HUNDRED_MIB, ' ')],
    ['of one comment without end', `//${'x'.repeat(POLICY_BYTES_MAX)}`],
    ['with brackets a thousand deep', deep('(', ')', 1000)],
    ['with brackets fifty thousand deep', deep('(', ')', 50_000)],
    ['with lists ten thousand deep', deep('[', ']', 10_000)],
    ['with ten thousand denials', deep('!', '', 10_000)],
    ['with a condition without end', `${RULE.slice(0, -1)} when { ${'true && '.repeat(20_000)}true };`],
    ['with a string that does not end', '@id("a) permit (principal, action, resource);'],
    ['cut off', RULE.slice(0, 20)],
    ['with control characters', `@id("a\u001b[2J") permit (principal, action, resource);`],
    ['with a NUL', `${RULE}\0`],
    ['that is not UTF-8', Buffer.from([0xff, 0xfe, 0x41])],
    ['with an id twice', RULE + RULE],
    ['with one rule ten thousand times', Array.from({ length: 10_000 }, () => RULE).join('\n')],
    ['of a template', '@id("a") permit (principal == ?principal, action, resource);'],
    ['that is JSON', '{"a":1,"a":2}'],
  ];

  test.each(HOSTILE)('%s is refused, on either side of a diff and in a replay', (_, text) => {
    const [bytes, sound] = [Buffer.from(text), Buffer.from(RULE)];
    expect(codeOf(() => diffPolicies(bytes, sound))).toMatch(/^(?:policy\.error|input\.too-large)$/);
    expect(codeOf(() => diffPolicies(sound, bytes))).toMatch(/^(?:policy\.error|input\.too-large)$/);
    if (bytes.byteLength > POLICY_BYTES_MAX) return;
    const request = canonicalJson(DEFAULT_FACTS);
    expect(codeOf(() => replayDecision(bytes.toString(), request))).toBe('policy.error');
  });

  test('whose rules are named like members of an object is compared like any other', () => {
    const named = (id: string): Buffer => Buffer.from(RULE.replace('"a"', JSON.stringify(id)));
    for (const id of ['constructor', 'toString', 'hasOwnProperty']) {
      expect(diffPolicies(named(id), Buffer.from(RULE))).toEqual({
        added: ['a'],
        removed: [id],
        changed: [],
      });
    }
  });

  test('of any text is compared or refused', () => {
    const near = fc
      .tuple(fc.nat({ max: RULE.length }), fc.string({ unit: 'binary', maxLength: 20 }))
      .map(([at, text]) => RULE.slice(0, at) + text + RULE.slice(at));
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), near), (text) => {
        expect(['none', 'policy.error']).toContain(
          codeOf(() => diffPolicies(Buffer.from(RULE), Buffer.from(text))),
        );
      }),
      { numRuns: 60 },
    );
  });
});

describe('cases', () => {
  const CASE = '{ name: a, expect: { verdict: ask } }';
  const bomb = Array.from(
    { length: 12 },
    (_, at) =>
      `l${at}: &l${at} [${Array(9)
        .fill(at === 0 ? 'x' : `*l${at - 1}`)
        .join(', ')}]`,
  ).join('\n');
  test.each([
    ['a bomb of anchors', bomb],
    ['an anchor that holds itself', '&a [*a]'],
    ['a merged key', `- &a ${CASE}\n- { <<: *a, name: b }`],
    ['a merge without an anchor', '- { <<: { name: a }, expect: { verdict: ask } }'],
    ['a tag', `- !!js/function ${CASE}`],
    ['a tag of a kind', '- { name: !!str a, expect: { verdict: ask } }'],
    ['a binary tag', '- { name: !!binary YQ==, expect: { verdict: ask } }'],
    ['a key twice, deep inside', '- { name: a, expect: { verdict: ask, verdict: permit } }'],
    ['a key twice in other quotes', '- { name: a, expect: { verdict: ask, "verdict": permit } }'],
    ['two documents', `- ${CASE}\n---\n- ${CASE}`],
    ['a merge by the rules of YAML 1.1', '%YAML 1.1\n---\n- { <<: { name: a }, expect: { verdict: ask } }'],
    ['lists ten thousand deep', '['.repeat(10_000)],
    ['maps ten thousand deep', '{a: '.repeat(10_000)],
    ['blocks five thousand deep', `${'- '.repeat(5000)}a`],
    ['__proto__', '- { name: a, __proto__: { x: 1 }, expect: { verdict: ask } }'],
    ['a key that is a list', '- { ? [a] : b }'],
    ['control characters', `- { name: "a\u0007", expect: { verdict: ask } }`],
  ])('with %s are refused', (_, text) => {
    expect(codeOf(() => parseYaml(PolicyCases, Buffer.from(text), 'cases.yaml'))).toBe('config.invalid');
  });

  test('of 100 MiB are not read', () => {
    const path = join(dir, 'large.yaml');
    writeFileSync(path, '- a\n');
    truncateSync(path, HUNDRED_MIB);
    expect(codeOf(() => readYaml(PolicyCases, path, 'the cases'))).toBe('input.too-large');
    expect(codeOf(() => parseYaml(PolicyCases, Buffer.alloc(HUNDRED_MIB), 'x'))).toBe('input.too-large');
  });
});

test('a policy or cases that are no file are refused, and nobody waits for them', () => {
  const at = (name: string): string => join(dir, name);
  execFileSync('mkfifo', [at('pipe')]);
  mkdirSync(at('folder'));
  symlinkSync('/dev/zero', at('zero'));
  symlinkSync(at('pipe'), at('to-pipe'));
  symlinkSync(at('loop'), at('loop'));
  symlinkSync(at('nowhere'), at('dangling'));
  const codes = ['pipe', 'folder', 'zero', 'to-pipe', 'loop', 'dangling'].map((name) => [
    codeOf(() => readBounded(at(name), POLICY_BYTES_MAX, 'the policy')),
    codeOf(() => readYaml(PolicyCases, at(name), 'the cases')),
  ]);
  const [none, kind, missing] = ['input.malformed', 'config.invalid', 'config.missing'];
  expect(codes).toEqual([none, none, none, none, kind, missing].map((code) => [code, code]));
});

describe('an archive', () => {
  const whole = canonicalJson(DEFAULT_FACTS);
  const older = JSON.parse(whole) as { train: Record<string, unknown> };
  delete older.train['imageApprovedHere'];
  test.each<[string, string | Buffer, string]>([
    ['cut off', whole.slice(0, -7), 'input.malformed'],
    [
      'cut off within a character',
      Buffer.from(`${whole.slice(0, 40)}\u20ac`).subarray(0, 42),
      'input.malformed',
    ],
    ['of an older schema', JSON.stringify(older), 'input.malformed'],
    ['with an unknown member', whole.replace('"train":{', '"train":{"x":1,'), 'input.malformed'],
    ['with a member twice', whole.replace('"train":{', '"train":{"pidsMax":1,'), 'input.malformed'],
    ['with a member twice, once escaped', whole.replace('{', '{"\\u0073tation":"x",'), 'input.malformed'],
    ['with __proto__', whole.replace('{', '{"__proto__":{},'), 'input.malformed'],
    ['a hundred thousand deep', '['.repeat(100_000), 'input.malformed'],
    ['with half a character', whole.replace('"station"', '"station\\ud800"'), 'input.malformed'],
    ['with a number without end', whole.replace(':128', `:1${'0'.repeat(400)}`), 'input.malformed'],
    ['with a number that is none', whole.replace(':128', ':NaN'), 'input.malformed'],
    ['of 100 MiB', Buffer.alloc(HUNDRED_MIB, '['), 'input.too-large'],
  ])('%s is refused', (_, bytes, code) => {
    expect(codeOf(() => parseFacts(bytes))).toBe(code);
    expect(codeOf(() => parseAnswer(Buffer.from(bytes)))).toBe(code);
  });
});
