import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPolicy } from '../../src/adapters/policy/cedar.ts';
import { factsWith, type SomeFacts } from '../../src/adapters/policy/given-facts.ts';
import { digestOf } from '../../src/model/id.ts';
import { NO_LISTS } from '../../src/model/lists.ts';
import type { Network } from '../../src/model/network.ts';
import { canonicalJson } from '../../src/model/result/canonical.ts';
import { makeNetwork } from '../fakes/network.ts';
import { type Agent, withFakeAgent } from './fake-agent.ts';
import { inCopy, makeHomes, type Ran, run } from './rig.ts';

/** `pht station policy …`: what an admin is told about policies, and with which exit status. */

const POLICY = `// limits
@id("few") @explain("few processes")
permit (principal in List::"known", action == Action::"Run", resource)
when { context.train.pidsMax <= 128 };
@id("asked") @approvals("2")
permit (principal, action == Action::"RunIfApproved", resource)
when { context.train.pidsMax <= 256 };
`;
const STRICTER = POLICY.replace('<= 128', '<= 64').replace('@approvals("2")\n', '');
const HOP = 'hop_0123456789abcdef01234567';

let homes: string;
let network: Network;
beforeAll(async () => {
  homes = await makeHomes();
  // A local service asks nobody who he is.
  network = (await makeNetwork({ nowMs: Date.now() })).network;
});
afterAll(() => rmSync(homes, { recursive: true, force: true }));

const json = ({ stdout }: Ran): Record<string, unknown> => JSON.parse(stdout) as Record<string, unknown>;

async function inPlace(
  files: Record<string, string>,
  work: (pht: (...args: string[]) => Promise<Ran>, dir: string) => Promise<void>,
): Promise<void> {
  await inCopy(homes, async (copy) => {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(copy, name), text);
    await work((...args) => run(copy, [...args]), copy);
  });
}

describe('check', () => {
  test('without a file reads policy and lists of the home', async () => {
    const lists = 'researchers:\n  knwon: [lee]\n';
    await inPlace({ 'ams/policy.cedar': POLICY, 'ams/lists.yaml': lists }, async (pht) => {
      const ran = await pht('--home', 'ams', 'station', 'policy', 'check');
      expect(ran).toMatchObject({ status: 0, stderr: '' });
      expect(ran.stdout).toContain('warning: line 3: rule few: List::"known" is not among the `researchers`');
      expect(ran.stdout).toContain('ams/policy.cedar is valid (2 rules).');
    });
  });

  test('warns loudly of a permit for everything, and names mistakes with their line', async () => {
    const files = {
      'open.cedar': '@id("all") permit (principal, action, resource);',
      'wrong.cedar': `${POLICY}@id("few") forbid (principal, action, resource) when { context.train.pidMax > 1 };`,
      'lists.yaml': 'researchers: { known: [] }',
    };
    await inPlace(files, async (pht) => {
      const open = await pht('station', 'policy', 'check', 'open.cedar', '--json');
      expect(open.status).toBe(0);
      expect(json(open)).toMatchObject({
        ok: true,
        rules: 1,
        problems: [{ severity: 'warning', rule: 'all' }],
      });
      expect(open.stdout).toContain('IT PERMITS EVERY TRAIN');
      const wrong = await pht('station', 'policy', 'check', 'wrong.cedar');
      expect(wrong.status).toBe(2);
      expect(wrong.stdout).toContain('error: line 8: rule few: @id "few" is already used in line 2');
      const fine = await pht('station', 'policy', 'check', '--home', 'nowhere', 'open.cedar');
      expect(fine.status).toBe(2);
    });
  });
});

describe('test', () => {
  const CASES = `
- { name: "known runs", facts: { researcher: { id: lee } }, expect: { verdict: permit, rules: [few] } }
- { name: "strangers need two", expect: { verdict: ask, approvals: 2 } }
`;
  const LISTS = 'researchers: { known: [lee] }';

  test('passes on what is expected, with the policy and lists of the home or of files', async () => {
    const files = {
      'ams/policy.cedar': POLICY,
      'ams/lists.yaml': LISTS,
      'cases.yaml': CASES,
      'p.cedar': POLICY,
      'l.yaml': LISTS,
    };
    await inPlace(files, async (pht) => {
      const home = await pht('--home', 'ams', 'station', 'policy', 'test', 'cases.yaml');
      expect(home).toMatchObject({ status: 0, stderr: '' });
      expect(home.stdout).toContain('2 cases, all as expected');
      const given = ['--policy', 'p.cedar', '--lists', 'l.yaml', '--json'];
      expect(json(await pht('station', 'policy', 'test', 'cases.yaml', ...given))).toMatchObject({
        ...{ ok: true, failed: 0 },
        cases: [{ name: 'known runs', ok: true }, { answer: { verdict: 'ask', approvals: 2 } }],
      });
    });
  });

  test('fails with what was expected, what came and why', async () => {
    await inPlace({ 'cases.yaml': CASES, 'p.cedar': STRICTER, 'l.yaml': LISTS }, async (pht) => {
      const given = ['station', 'policy', 'test', 'cases.yaml', '--policy', 'p.cedar', '--lists', 'l.yaml'];
      const { status, stdout } = await pht(...given);
      expect(status).toBe(4);
      expect(stdout).toContain('policy.test-failed: 2 of 2 cases not as expected');
      expect(stdout).toContain('verdict: expected permit, came ask');
      expect(stdout).toContain('approvals: expected 2, came 1');
      expect(stdout.replace(/\s+/g, ' ')).toContain('since few: not met: context.train.pidsMax <= 64 (here');
      for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
      const told = await pht(...given, '--json');
      expect(told.status).toBe(4);
      expect(json(told)).toMatchObject({ ok: false, code: 'policy.test-failed', failed: 2 });
    });
  });

  test('the cases of the project hold from the command line', async () => {
    const file = join(import.meta.dirname, '../../stations/policies/cases.yaml');
    expect((await run(homes, ['station', 'policy', 'test', file])).status).toBe(0);
  });
});

test('a preset can be read, and a station can start with it', async () => {
  await inPlace({}, async (pht, dir) => {
    expect((await pht('station', 'policy', 'preset')).stdout).toMatch(/closed +nothing runs/);
    const printed = await pht('station', 'policy', 'preset', 'known-researchers');
    const unknown = await pht('station', 'policy', 'preset', 'ask-first', '--json');
    expect([unknown.status, (json(unknown)['error'] as { code: string }).code]).toEqual([2, 'usage.invalid']);
    const member = [
      '--title',
      'X',
      '--organisation',
      'X',
      '--network',
      'net/network.json',
      '--no-passphrase',
    ];
    const init = (id: string, ...more: string[]): Promise<Ran> =>
      pht('--home', id, 'station', 'init', '--id', id, ...member, ...more);
    expect((await init('west')).status).toBe(0);
    expect((await init('east', '--policy', 'known-researchers')).status).toBe(0);
    expect(readFileSync(join(dir, 'west/policy.cedar'), 'utf8')).not.toMatch(/^(?!\/\/)./m);
    expect(readFileSync(join(dir, 'east/policy.cedar'), 'utf8').trim()).toBe(printed.stdout.trim());
    for (const home of ['east', 'west']) {
      const checked = await pht('--home', home, 'station', 'policy', 'check', '--json');
      expect(json(checked)).toMatchObject({ ok: true, problems: [] });
    }
  });
});

/** A past decision as an agent sends it. */
function decision(at: number, given: SomeFacts, policy = POLICY) {
  const facts = factsWith({ ...given, nowMs: 1_767_312_000_000 + at * 60_000 }, NO_LISTS);
  const answer = openPolicy(Buffer.from(policy)).decide(facts);
  return {
    hopId: `hop_${String(at).padStart(24, '0')}`,
    trainId: `trn_${String(at).padStart(24, '0')}`,
    decidedAtMs: BigInt(facts.nowMs),
    request: Buffer.from(canonicalJson(facts)),
    answer: Buffer.from(canonicalJson(answer)),
    policyDigest: digestOf(policy),
    policy,
  };
}

const EVIL = 'Hello \u001b[2J\u202e world';
const PAST = [
  decision(3, { researcher: { lists: ['known'] }, train: { title: EVIL, pidsMax: 100 } }),
  decision(2, { train: { pidsMax: 200 } }),
  { ...decision(1, {}), request: new Uint8Array(), answer: new Uint8Array() },
  decision(0, { train: { pidsMax: 999 } }),
];

type Asked = { hopId: string; decisionsMax: number };

function withPast(
  past: readonly object[],
  work: (pht: (...args: string[]) => Promise<Ran>, asked: Asked[], copy: string) => Promise<void>,
): Promise<void> {
  const asked: Asked[] = [];
  const decisions: Agent['decisions'] = async function* ({ hopId, decisionsMax }) {
    asked.push({ hopId, decisionsMax });
    for (const each of past.slice(0, decisionsMax)) yield each;
  };
  return withFakeAgent({ homes, network }, { decisions }, async (copy, pht) => {
    writeFileSync(join(copy, 'old.cedar'), POLICY);
    writeFileSync(join(copy, 'new.cedar'), STRICTER);
    await work((...args) => pht('policy', ...args), asked, copy);
  });
}

describe('replay', () => {
  test('shows which past trains another policy would decide otherwise, and how', async () => {
    await withPast(PAST, async (pht, asked) => {
      const { status, stdout, stderr } = await pht('replay', '--policy', 'new.cedar');
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(asked).toEqual([{ hopId: '', decisionsMax: 1000 }]);
      expect(stdout).not.toMatch(/[\u001b\u202e]/);
      for (const line of stdout.split('\n')) expect([...line].length).toBeLessThanOrEqual(80);
      const words = stdout.replace(/\s+/g, ' ');
      expect(words).toContain('2 of 4 past decisions would be another.');
      expect(words).toContain('1 could not be made again: what it was made from was erased.');
      expect(words).toContain('few: not met: context.train.pidsMax <= 64');
      const told = json(await pht('replay', '--policy', 'new.cedar', '--newest', '3', '--json'));
      expect(told).toMatchObject({
        ...{ policyDigest: digestOf(STRICTER), decisions: 3, erased: 1 },
        changed: [
          { hopId: PAST[0]?.hopId, was: { verdict: 'permit' }, now: { verdict: 'ask', approvals: 1 } },
          { hopId: PAST[1]?.hopId, was: { verdict: 'ask', approvals: 2 }, now: { approvals: 1 } },
        ],
      });
    });
  });

  test('nothing changes by the policy that decided; --fail-on-change tells programs', async () => {
    await withPast(PAST, async (pht) => {
      const same = await pht('replay', '--policy', 'old.cedar', '--fail-on-change');
      expect(same.status).toBe(0);
      expect(same.stdout).toContain('0 of 4 past decisions');
      expect((await pht('replay', '--policy', 'new.cedar', '--fail-on-change')).status).toBe(4);
    });
  });

  const broken = decision(5, {});
  const older = JSON.parse(broken.request.toString()) as { researcher: { lists?: string[] } };
  delete older.researcher.lists;
  test.each([
    ['a fact too few', { ...broken, request: Buffer.from(canonicalJson(older)) }],
    [
      'a fact twice',
      { ...broken, request: Buffer.from(broken.request.toString().replace('{', '{"station":"x",')) },
    ],
    ['no JSON', { ...broken, request: Buffer.from('{') }],
    ['an answer of another form', { ...broken, answer: Buffer.from('{"verdict":"permit"}') }],
  ])('facts of older decisions are read strictly: %s', async (_, past) => {
    await withPast([past], async (pht) => {
      const ran = await pht('replay', '--policy', 'new.cedar', '--json');
      expect([ran.status, json(ran)['error']]).toMatchObject([2, { code: 'input.malformed' }]);
      expect(ran.stdout).toContain(broken.hopId);
    });
  });

  test.each(['0', '10001', '-1', 'all', '1e3'])('--newest %s is wrong use', async (newest) => {
    await withPast(PAST, async (pht) => {
      const ran = await pht('replay', '--policy', 'new.cedar', '--newest', newest, '--json');
      expect([ran.status, json(ran)['error']]).toMatchObject([2, { code: 'usage.invalid' }]);
    });
  });
});

describe('explain', () => {
  test('of a hop: each clause by the policy that decided', async () => {
    await withPast([decision(3, { train: { title: EVIL, pidsMax: 200 } })], async (pht, asked) => {
      const { status, stdout } = await pht('explain', HOP);
      expect(status).toBe(0);
      expect(asked).toEqual([{ hopId: HOP, decisionsMax: 1 }]);
      expect(stdout).toContain('verdict  ask, by two persons');
      expect(stdout).toContain('few, line 2: permit Run; does not apply');
      expect(stdout).toContain(
        '  NOT MET  principal in List::"known"\n    here principal is Researcher::"researcher", on no list\n',
      );
      expect(stdout).toContain(
        '  met      context.train.pidsMax <= 256\n    here context.train.pidsMax is 200\n',
      );
      for (const line of stdout.split('\n')) expect([...line].length).toBeLessThanOrEqual(80);
      const other = json(await pht('explain', HOP, '--policy', 'new.cedar', '--json'));
      expect(other).toMatchObject({
        ...{ hopId: HOP, policyDigest: digestOf(STRICTER), answer: { verdict: 'ask', approvals: 1 } },
        rules: [
          { id: 'few', applies: false },
          { id: 'asked', applies: true },
        ],
      });
      expect(JSON.stringify(other)).toContain('\\u001b');
    });
  });

  test('of facts from a file', async () => {
    const files = {
      'p.cedar': POLICY,
      'facts.yaml': 'researcher: { lists: [known] }',
      'facts.json': '{"train":{"pidsMax":999}}',
    };
    await inPlace(files, async (pht) => {
      const explain = (facts: string): Promise<Ran> =>
        pht('station', 'policy', 'explain', '--facts', facts, '--policy', 'p.cedar', '--json');
      expect(json(await explain('facts.yaml'))).toMatchObject({
        answer: { verdict: 'permit', rules: ['few'] },
      });
      expect(json(await explain('facts.json'))).toMatchObject({ answer: { verdict: 'deny' } });
    });
  });

  test('of what was erased, or never came, says so', async () => {
    await withPast([PAST[2] ?? {}], async (pht) => {
      const ran = await pht('explain', HOP, '--json');
      expect(json(ran)['error']).toMatchObject({
        code: 'not-found',
        message: expect.stringContaining('erased'),
      });
    });
    await withPast([], async (pht) => {
      const ran = await pht('explain', HOP, '--json');
      expect(json(ran)['error']).toMatchObject({ code: 'not-found' });
      expect(json(await pht('explain', '--json'))['error']).toMatchObject({ code: 'usage.invalid' });
    });
  });
});

describe('diff', () => {
  test('tells what changed, and which past trains the two decide differently', async () => {
    await withPast(PAST, async (pht) => {
      const { status, stdout } = await pht('diff', 'old.cedar', 'new.cedar');
      expect(status).toBe(0);
      expect(stdout).toContain(
        '    - when { context.train.pidsMax <= 128 }\n    + when { context.train.pidsMax <= 64 }',
      );
      expect(stdout).toContain('    - @approvals("2")');
      expect(stdout).toContain('2 of 4 past decisions');
      const told = json(await pht('diff', 'old.cedar', 'new.cedar', '--json'));
      expect(told).toMatchObject({
        ...{ added: [], removed: [], why: null },
        changed: [{ id: 'few' }, { id: 'asked' }],
        trains: { decisions: 4, erased: 1, changed: [{}, {}] },
      });
    });
  });

  test('says where only texts were compared', async () => {
    await inPlace({ 'a.cedar': POLICY, 'b.cedar': '// nothing\n' }, async (pht, dir) => {
      mkdirSync(join(dir, 'empty'));
      const without = await pht('station', 'policy', 'diff', 'a.cedar', 'b.cedar');
      expect(without).toMatchObject({ status: 0, stderr: '' });
      expect(without.stdout).toContain('- rule few\n- rule asked');
      expect(without.stdout).toContain('Only the texts were compared');
      const silent = ['--home', 'adm', 'station', 'policy', 'diff', 'a.cedar', 'b.cedar'];
      const ran = await pht(...silent, '--socket', join(dir, 'nobody.sock'), '--json');
      expect(ran.status).toBe(0);
      expect(json(ran)).toMatchObject({ trains: null, why: expect.stringContaining('does not answer') });
      const broken = await pht(
        '--home',
        'empty',
        'station',
        'policy',
        'diff',
        'a.cedar',
        'b.cedar',
        '--json',
      );
      expect(json(broken)['error']).toMatchObject({ code: 'home.missing' });
    });
  });
});
