import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { digestOf } from '../../model/id.ts';
import type { PolicyAnswer, PolicyFacts } from '../../ports/policy.ts';
import { checkPolicy, openPolicy } from './cedar.ts';
import { DEFAULT_FACTS } from './given-facts.ts';

function facts(train: Partial<PolicyFacts['train']> = {}, others: Partial<PolicyFacts> = {}): PolicyFacts {
  const researcher = { id: 'dr-lee', organisation: 'Example University', lists: [] };
  const given = { station: 'nih', dispatcher: 'hub', dataset: 'cgd', researcher };
  const about = {
    title: 'Treatment effect',
    purpose: 'Does gamma interferon prevent infections?',
    minCellCount: 10,
    stops: ['nih', 'amsterdam'],
    recipients: ['dr-lee'],
  };
  return { ...DEFAULT_FACTS, ...given, ...others, train: { ...DEFAULT_FACTS.train, ...about, ...train } };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const decide = (policy: string, given: PolicyFacts = facts()): PolicyAnswer =>
  openPolicy(bytes(policy)).decide(given);
const preset = (name: string): Uint8Array =>
  readFileSync(new URL(`../../../stations/policies/${name}.cedar`, import.meta.url));

function refusal(text: string | Uint8Array): string {
  try {
    openPolicy(typeof text === 'string' ? bytes(text) : text);
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'policy.error') return thrown.message;
    throw thrown;
  }
  throw new Error('the policy was accepted');
}

const RUN = '@id("run") @explain("open to all") permit (principal, action == Action::"Run", resource);';
const ASK =
  '@id("ask") @explain("a person decides") permit (principal, action == Action::"RunIfApproved", resource);';
/** Valid, and overflows for every train. */
const ERRS = 'context.train.memoryBytesMax * 9223372036854775807 > 0';

describe('permit, ask or deny', () => {
  const forbid = (scope: string): string =>
    `@id("no") @explain("closed") forbid (principal, ${scope}, resource);`;
  test.each([
    ['no rule at all', '', 'deny', []],
    ['only comments', '// nothing yet\n', 'deny', []],
    ['Run alone', RUN, 'permit', ['run']],
    ['RunIfApproved alone', ASK, 'ask', ['ask']],
    ['both', RUN + ASK, 'permit', ['run']],
    ['any action', '@id("all") permit (principal, action, resource);', 'permit', ['all']],
    ['a forbid beside both', RUN + ASK + forbid('action'), 'deny', ['no']],
    [
      'a forbid of Run does not fall through to asking',
      RUN + ASK + forbid('action == Action::"Run"'),
      'deny',
      ['no'],
    ],
    [
      'a forbid of RunIfApproved stops Run',
      RUN + forbid('action == Action::"RunIfApproved"'),
      'deny',
      ['no'],
    ],
    [
      'a forbid that does not apply',
      `${RUN}@id("no") forbid (principal, action, resource) when { context.station == "x" };`,
      'permit',
      ['run'],
    ],
    ['a forbid alone', '@id("no") forbid (principal, action, resource) when { false };', 'deny', []],
  ])('%s', (_, policy, verdict, rules) => {
    expect(decide(policy)).toMatchObject({ verdict, rules, error: false });
  });

  test('says why in the station’s own words', () => {
    expect(decide(RUN).reasons).toEqual(['run: open to all']);
    expect(decide(RUN + forbid('action')).reasons).toEqual(['no: closed']);
    expect(decide(ASK).reasons).toEqual(['ask: a person decides', 'no rule permits Run']);
    expect(decide('').reasons).toEqual(["the station's policy permits nothing yet"]);
  });

  test('every fact can be spoken about', () => {
    const clauses = [
      'principal == Researcher::"dr-lee"',
      'principal.organisation == "Example University"',
      'resource == Dataset::"cgd"',
      'context.now == datetime("2026-01-02")',
      'context.station == "nih"',
      'context.dispatcher == "hub"',
      `context.train.manifestDigest == "${'a'.repeat(64)}"`,
      `context.train.image == Image::"${'b'.repeat(64)}"`,
      'context.train.imageApprovedHere == false',
      'context.train.title == "Treatment effect"',
      'context.train.purpose like "*gamma interferon*"',
      'context.train.duo == ["DUO:0000042"]',
      'context.train.outputKinds == ["Frequencies"]',
      'context.train.minCellCount == 10',
      'context.train.stops.contains("amsterdam")',
      'context.train.recipients == [principal]',
      'context.train.expires == datetime("2026-02-01")',
      'context.train.lifetime == duration("30d")',
      'context.train.memoryBytesMax == 536870912',
      'context.train.cpuMillis == 1000',
      'context.train.pidsMax == 128',
      'context.train.wallTimeMax == duration("10m")',
      'context.train.outputBytesMax == 1048576',
    ];
    const when = clauses.map((clause) => `when { ${clause} }`).join('\n');
    expect(decide(`@id("all") permit (principal, action, resource)\n${when};`)).toMatchObject({
      verdict: 'permit',
    });
  });
});

describe('what Cedar would let slip', () => {
  test('a forbid that errs is skipped by Cedar, and is a deny here', () => {
    const answer = decide(`${RUN}@id("guard") forbid (principal, action, resource) when { ${ERRS} };`);
    expect(answer).toMatchObject({ verdict: 'deny', rules: ['guard'], error: true });
    expect(answer.reasons).toEqual([
      expect.stringContaining('guard: could not be evaluated: integer overflow'),
    ]);
  });

  test('an error in the action that was not needed denies too', () => {
    const policy = `${RUN}@id("guard") permit (principal, action == Action::"RunIfApproved", resource) when { ${ERRS} };`;
    expect(decide(policy)).toMatchObject({ verdict: 'deny', rules: ['guard'], error: true });
  });

  test('a default deny names each clause that was not met, and no other', () => {
    const policy = `@id("p") permit (principal == Researcher::"dr-ann", action == Action::"Run", resource == Dataset::"lung")
      when { ["DUO:0000042"].containsAll(context.train.duo) } // "unless { }" stands in a comment
      when {
        // at most a day
        context.train.lifetime <= duration("1d")
      }
      when { {a: "} when { false"}.a like "}*" && context.train.pidsMax <= 128 }
      unless { context.station == "nih" };`;
    expect(decide(policy)).toEqual({
      verdict: 'deny',
      rules: [],
      reasons: [
        'p: is for principal == Researcher::"dr-ann", not for Researcher::"dr-lee"',
        'p: is for resource == Dataset::"lung", not for Dataset::"cgd"',
        'p: not met: context.train.lifetime <= duration("1d") (here context.train.lifetime is duration("30d"))',
        'p: must not be so: context.station == "nih" (here context.station is "nih")',
        'no rule permits RunIfApproved',
      ],
      approvals: 0,
      error: false,
    });
  });

  test('a clause that errs only without the clause before it is not blamed', () => {
    const policy = `@id("p") permit (principal, action, resource)
      when { context.train.memoryBytesMax < 2 }
      when { ${ERRS} };`;
    const { reasons, error } = decide(policy);
    expect(error).toBe(false);
    expect(reasons).toEqual([
      expect.stringMatching(/^p: not met: context\.train\.memoryBytesMax < 2 \(here/),
    ]);
  });

  test('two rules of one id', () => {
    const message = refusal(`${RUN}\n@id("run")\nforbid (principal, action, resource);`);
    expect(message).toContain('line 2: rule run: @id "run" is already used in line 1');
  });
});

describe('a policy that is not sound is named at load', () => {
  const rule = (when: string): string =>
    `// é\n@id("p")\npermit (principal, action, resource)\nwhen { ${when} };`;
  test.each([
    [
      'a typo in an attribute',
      rule('context.train.pidMax < 3'),
      /line 4: rule p: attribute `train.pidMax` .*not found.*pidsMax/,
    ],
    [
      'a typo in an action',
      '@id("p") permit (principal, action == Action::"Rn", resource);',
      /line 1: rule p: unrecognized action.*Run/,
    ],
    ['a wrong type', rule('context.train.pidsMax == "3"'), /line 4: rule p: .*types Long and String/],
    ['not Cedar', '@id("p")\npermit (principal action);', /line 2: .*unexpected token `action`/],
    ['an unfinished rule', `${RUN}\npermit (principal`, /line 2: .*does not end/],
    ['an unfinished text', 'permit (principal, action, resource) when { "', /line 1: this is not a word/],
    ['a template', '@id("p") permit (principal == ?principal, action, resource);', /template/],
    ['no @id', 'permit (principal, action, resource);', /line 1: a rule has no @id/],
    ['an empty @id', '@id permit (principal, action, resource);', /no @id/],
    ['an @id with a line break', '@id("a\\nb") permit (principal, action, resource);', /must be 1 to 64/],
    [
      'an @explain with a line break',
      '@id("a") @explain("b\\nc") permit (principal, action, resource);',
      /one line/,
    ],
    ['a byte order mark', `\u{feff}${RUN}`, /./],
    ['no UTF-8', Uint8Array.of(0xff), /not UTF-8/],
    ['too large', `//${' '.repeat(256 * 1024)}`, /262146 bytes; at most 262144/],
    ['a bracket too many', ')', /line 1: `\)` closes nothing/],
  ])('%s', (_, text, message) => {
    expect(refusal(text)).toMatch(message);
  });

  test('checkPolicy lists every problem, warnings apart', () => {
    const warned = checkPolicy(bytes('@id("a") forbid (principal, action == Action::"Run", resource);'));
    expect(warned).toMatchObject({ ok: true, problems: [{ severity: 'warning', line: 1, rule: 'a' }] });
    const wrong = checkPolicy(bytes('permit (principal, action, resource);\npermit (principal, action);'));
    expect(wrong.ok).toBe(false);
    expect(wrong.problems.map(({ line }) => line)).toEqual([1, 2]);
  });

  const nest =
    (open: string, inner: string, close: string) =>
    (n: number): string =>
      `@id("p") permit (principal, action, resource) when { ${open.repeat(n)}${inner}${close.repeat(n)} };`;
  const shapes: Record<string, (n: number) => string> = {
    brackets: nest('(', 'true', ')'),
    sets: nest('[', '', ']'),
    records: nest('{a: ', '1', '}'),
    sums: nest('', 'context.train.pidsMax > 0', ' + 1'),
    ands: nest('', 'true', ' && true'),
    conditionals: nest('if true then ', 'true', ' else true'),
    attributes: nest('', 'context', '.train'),
    negations: nest('!', 'true', ''),
    members: nest('', '[1]', '.contains(1)'),
    paths: nest('a::', 'b::"c" == a::b::"c"', ''),
    clauses: (n) => `@id("p") permit (principal, action, resource) ${'when { true } '.repeat(n)};`,
    annotations: (n) => `${'@id("p") '.repeat(n)} permit (principal, action, resource);`,
    rules: (n) => RUN.repeat(n),
  };
  test.each(Object.keys(shapes))('%s of any depth leave Cedar whole', (shape) => {
    for (const n of [1, 20, 31, 32, 33, 60, 65, 199, 200, 1000, 5000])
      checkPolicy(bytes(shapes[shape]?.(n) ?? ''));
    expect(decide(RUN).verdict).toBe('permit');
  });

  test('what is just within the bounds is decided, not overflown', () => {
    const deep = `${'{a: '.repeat(30)}1${'}'.repeat(30)}${'.a'.repeat(30)} + ${'1 + '.repeat(160)}1 > 0`;
    const policy = `@id("p") permit (principal, action, resource) ${`when { ${deep} } `.repeat(64)};`;
    expect(decide(policy).verdict).toBe('permit');
  });

  test('a long list is no depth', () => {
    const images = Array.from({ length: 2000 }, (_, at) => `Image::"${digestOf(String(at))}"`);
    const policy = `@id("p") permit (principal, action, resource) when { [${images.join()}].contains(context.train.image) };`;
    expect(decide(policy, facts({ imageConfigDigest: digestOf('7') })).verdict).toBe('permit');
    const refused = decide(policy);
    expect(refused.verdict).toBe('deny');
    expect(refused.reasons.every((reason) => reason.length <= 700)).toBe(true);
  });
});

describe('facts come from outside', () => {
  const HOSTILE = [
    '"); permit (principal, action, resource); //',
    '\\',
    '*',
    '\u0000',
    '\r\n',
    '\u{202e}',
    '__proto__',
    '__entity',
    '{"__extn":{"fn":"ip","arg":"::1"}}',
    'x'.repeat(100_000),
  ];

  test.each(HOSTILE)('%j is only itself', (text) => {
    const policy =
      '@id("p") permit (principal == Researcher::"dr-lee", action, resource) when { context.train.title == "ok" };';
    const given = facts(
      {
        title: text,
        purpose: text,
        duo: [text],
        recipients: [text],
        imageConfigDigest: text,
        imageLists: [text],
      },
      { researcher: { id: text, organisation: text, lists: [text] }, dataset: text, station: text },
    );
    const { verdict, error, reasons } = decide(policy, given);
    expect({ verdict, error }).toEqual({ verdict: 'deny', error: false });
    for (const reason of reasons) expect(reason).toMatch(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{1,700}$/u);
    expect(decide(RUN, given).verdict).toBe('permit');
  });

  test.each([
    ['half a character', facts({ title: '\ud800' })],
    ['a fraction', facts({ pidsMax: 1.5 })],
    ['no number', facts({ pidsMax: Number.NaN })],
    ['no date', facts({}, { nowMs: Number.POSITIVE_INFINITY })],
    ['the year 20000', facts({ expiresMs: Date.UTC(20_000, 0) })],
  ])('%s is an error and denies', (_, given) => {
    expect(decide(RUN, given)).toMatchObject({ verdict: 'deny', rules: [], error: true });
  });

  const text = fc.string({ unit: 'binary', maxLength: 40 });
  const texts = fc.array(text, { maxLength: 6 });
  const amount = fc.oneof(fc.maxSafeInteger(), fc.nat(), fc.double(), fc.date().map(Number));
  const anyFacts: fc.Arbitrary<PolicyFacts> = fc.record({
    nowMs: amount,
    station: text,
    researcher: fc.record({ id: text, organisation: text, lists: texts }),
    dispatcher: text,
    dataset: text,
    train: fc.record({
      manifestDigest: text,
      imageConfigDigest: text,
      imageLists: texts,
      imageApprovedHere: fc.boolean(),
      title: text,
      purpose: text,
      duo: texts,
      outputKinds: texts,
      minCellCount: amount,
      stops: texts,
      recipients: texts,
      expiresMs: amount,
      lifetimeMs: amount,
      memoryBytesMax: amount,
      cpuMillis: amount,
      pidsMax: amount,
      wallMsMax: amount,
      outputBytesMax: amount,
    }),
  });

  test('no facts make a policy throw, and an empty one never permits', () => {
    const empty = openPolicy(bytes(''));
    const strict = openPolicy(preset('known-researchers'));
    fc.assert(
      fc.property(anyFacts, (given) => {
        expect(empty.decide(given).verdict).toBe('deny');
        expect(strict.decide(given).verdict).toBe('deny');
      }),
      { numRuns: 200 },
    );
  });

  test('no text makes a check throw anything but policy.error', () => {
    const words = [
      'permit',
      'forbid',
      '(',
      ')',
      '{',
      '}',
      'principal',
      'action',
      'resource',
      ',',
      ';',
      'when',
      'unless',
      '@id("a")',
      '"',
      '//',
      '\n',
      'context.train.duo',
      '&&',
      '!',
      '?principal',
      '==',
      'Action::"Run"',
      'é',
      RUN,
    ];
    const cedarish = fc
      .array(fc.constantFrom(...words), { maxLength: 30 })
      .map((some) => bytes(some.join(' ')));
    fc.assert(
      fc.property(fc.oneof(cedarish, fc.uint8Array({ maxLength: 100 })), (some) => {
        if (checkPolicy(some).ok) openPolicy(some).decide(facts());
        else expect(refusal(some)).not.toBe('');
      }),
      { numRuns: 500 },
    );
    expect(decide(RUN).verdict).toBe('permit');
  });
});

test('the digest is of the exact bytes, and policies do not mix', () => {
  const [one, other] = [openPolicy(bytes(RUN)), openPolicy(bytes(ASK))];
  expect(one.digest).toBe(digestOf(bytes(RUN)));
  expect([one, other, one].map((policy) => policy.decide(facts()).verdict)).toEqual([
    'permit',
    'ask',
    'permit',
  ]);
  expect(openPolicy(bytes(`${RUN}\n`)).digest).not.toBe(one.digest);
});
