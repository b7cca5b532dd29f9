import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { listsTemplate, PRESETS, type Preset, presetText } from '../../cli/station-policy-presets.ts';
import { StationLists } from '../../model/lists.ts';
import { RESULT_KINDS } from '../../model/train.ts';
import type { PolicyFacts } from '../../ports/policy.ts';
import { parseYaml } from '../home/yaml.ts';
import { PolicyCases, tryCase } from './cases.ts';
import { checkPolicy, openPolicy } from './cedar.ts';
import { factsWith, type SomeFacts } from './given-facts.ts';

/** The policies that come with the project. */

const DAY_MS = 86_400_000;
const MIB = 1024 * 1024;
const FOLDER = new URL('../../../stations/policies/', import.meta.url);
const LISTS = parseYaml(StationLists, Buffer.from(listsTemplate()), 'lists.yaml');
const bytes = (name: Preset): Uint8Array => Buffer.from(presetText(name));

test('each file in the folder is one of them', () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.cedar'));
  expect(files.toSorted()).toEqual(PRESETS.map((name) => `${name}.cedar`).toSorted());
});

test.each(PRESETS)('%s is sound, without a warning, with the lists that come with it', (name) => {
  expect(checkPolicy(bytes(name), LISTS)).toEqual({
    ok: true,
    rules: name === 'closed' ? 0 : 1,
    problems: [],
  });
});

test.each(PRESETS)('%s can be read aloud: every condition has its comment, and lines fit a page', (name) => {
  const lines = presetText(name).split('\n');
  expect(lines[0]).toMatch(/^\/\/ [A-Z ]+\. /);
  lines.forEach((line, at) => {
    if (line.startsWith('when ')) expect(lines[at - 1]).toMatch(/^\/\/ .*\.$/);
    if (line.startsWith('//')) expect(line.length).toBeLessThanOrEqual(120);
  });
});

test('closed refuses what every other one would let run', () => {
  const facts = factsWith({ researcher: { lists: ['known'] }, train: { imageLists: ['reviewed'] } }, LISTS);
  const verdicts = PRESETS.map((name) => [name, openPolicy(bytes(name)).decide(facts).verdict]);
  expect(Object.fromEntries(verdicts)).toEqual({
    closed: 'deny',
    'reviewed-images': 'permit',
    'known-researchers': 'permit',
    'ask-always': 'ask',
  });
});

test.each([
  ['reviewed-images', { train: { imageLists: [] } }, 'in List::"reviewed"'],
  ['known-researchers', { researcher: { lists: ['others'] } }, 'for principal in List::"known"'],
] as [Preset, SomeFacts, string][])('%s refuses what or who is on no list', (name, stranger, why) => {
  const answer = openPolicy(bytes(name)).decide(factsWith(stranger, LISTS));
  expect(answer.verdict).toBe('deny');
  expect(answer.reasons[0]).toContain(why);
});

describe.each([
  ['reviewed-images', 'permit'],
  ['known-researchers', 'permit'],
  ['ask-always', 'ask'],
] as [Preset, string][])('%s', (name, verdict) => {
  const policy = openPolicy(bytes(name));
  const fits = (train: Partial<PolicyFacts['train']> = {}): PolicyFacts =>
    factsWith({ researcher: { lists: ['known'] }, train: { imageLists: ['reviewed'], ...train } }, LISTS);

  test(`answers ${verdict} to a train that fits, of any kind of result`, () => {
    const facts = fits({ outputKinds: [...RESULT_KINDS] });
    expect(policy.decide(facts)).toMatchObject({ verdict, rules: [name], error: false });
  });

  test.each([
    ['purpose', { duo: [] }, 'containsAny(context.train.duo) (here context.train.duo is [])'],
    ['further terms', { duo: ['DUO:0000042', 'DUO:0000011'] }, 'is ["DUO:0000042", "DUO:0000011"]'],
    ['outputs', { outputKinds: ['Images'] }, 'context.train.outputKinds is ["Images"]'],
    ['recipients', { recipients: ['researcher', 'eve'] }, 'Researcher::"eve"'],
    ['no recipients', { recipients: [] }, 'context.train.recipients is []'],
    ['lifetime', { lifetimeMs: 91 * DAY_MS }, 'context.train.lifetime is duration("91d")'],
    ['memory', { memoryBytesMax: 2048 * MIB + 1 }, 'context.train.memoryBytesMax is 2147483649'],
    ['cpu', { cpuMillis: 2001 }, 'context.train.cpuMillis is 2001'],
    ['processes', { pidsMax: 257 }, 'context.train.pidsMax is 257'],
    ['time', { wallMsMax: 3_600_001 }, 'context.train.wallTimeMax is duration("3600001ms")'],
    ['result', { outputBytesMax: MIB + 1 }, 'context.train.outputBytesMax is 1048577'],
  ])('refuses and names: %s', (_, train, named) => {
    const answer = policy.decide(fits(train));
    expect(answer).toMatchObject({ verdict: 'deny', rules: [], error: false });
    expect(answer.reasons.filter((reason) => reason.startsWith(`${name}: `))).toEqual([
      expect.stringContaining(named),
    ]);
  });
});

test('four eyes are two slashes away', () => {
  const policy = presetText('ask-always').replace('// @approvals', '@approvals');
  expect(checkPolicy(Buffer.from(policy), LISTS).problems).toEqual([]);
  expect(openPolicy(Buffer.from(policy)).decide(factsWith({}, LISTS))).toMatchObject({
    verdict: 'ask',
    approvals: 2,
  });
});

test('the cases that come with them hold, and speak of each', () => {
  const cases = parseYaml(PolicyCases, readFileSync(new URL('cases.yaml', FOLDER)), 'cases.yaml');
  expect([...new Set(cases.map(({ policy }) => policy))].toSorted()).toEqual(
    PRESETS.map((name) => `${name}.cedar`).toSorted(),
  );
  for (const each of cases) {
    const policy = openPolicy(readFileSync(new URL(each.policy ?? '', FOLDER)));
    expect(tryCase(each, policy, LISTS)).toMatchObject({ name: each.name, misfits: [] });
  }
});
