import { X509Certificate } from 'node:crypto';
import { chmodSync, copyFileSync, cpSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorCode, openDesk } from '../../test/spawn-pht.ts';

const { dir, pht, init, write, read, clear } = openDesk();
afterAll(clear);

beforeAll(() => {
  expect(pht(['--home', 'net', 'network', 'init', '--title', 'Heart', '--no-passphrase']).status).toBe(0);
  copyFileSync(join(dir, 'net/network.json'), join(dir, 'v1.json'));
  expect(init('ana', 'researcher', 'ana').status).toBe(0);
  expect(init('disp', 'dispatcher', 'disp').status).toBe(0);
  expect(init('ams', 'station', 'ams').status).toBe(0);
  expect(init('jan', 'admin', 'jan', '--station', 'ams').status).toBe(0);
});

test('a network is founded, its members are admitted, and everybody imports the same file', () => {
  const enrolments = ['jan', 'ana', 'disp', 'ams'].map((name) => `${name}/enrolment.json`);
  const admitted = pht(['--home', 'net', 'network', 'admit', ...enrolments]);
  expect(admitted).toMatchObject({ status: 0, stderr: '' });
  for (const name of ['researcher ana', 'admin jan of ams', 'station ams', 'dispatcher disp']) {
    expect(admitted.stdout).toContain(`admitted ${name}`);
  }
  const again = pht(['--home', 'net', 'network', 'admit', ...enrolments, '--json']);
  expect(JSON.parse(again.stdout)).toMatchObject({ version: 2, admitted: [] });
  for (const home of ['ana', 'disp', 'ams', 'jan']) {
    const run = pht(['--home', home, 'network', 'import', 'net/network.json', '--json']);
    expect(JSON.parse(run.stdout)).toMatchObject({ version: 2, changed: true, listed: true });
  }
  const shown = pht(['network', 'show', '--json'], { PHT_HOME: join(dir, 'ana') });
  const view = JSON.parse(shown.stdout) as { networkId: string; members: { id: string; keyIds: object }[] };
  expect(view.members.map(({ id }) => id)).toStrictEqual(['authority', 'jan', 'ana', 'disp', 'ams']);
  expect(Object.keys(view.members[4]?.keyIds ?? {})).toStrictEqual([
    'statement',
    'tls',
    'log',
    'witness',
    'encryption',
  ]);
  expect(pht(['network', 'verify', 'net/network.json', '--id', view.networkId]).status).toBe(0);
  const other = pht(['network', 'verify', 'net/network.json', '--id', 'a'.repeat(64), '--json']);
  expect([other.status, errorCode(other)]).toStrictEqual([4, 'network.mismatch']);
  const older = pht(['--home', 'ana', 'network', 'import', 'v1.json', '--json']);
  expect([older.status, errorCode(older)]).toStrictEqual([4, 'network.rollback']);
});

test('shows the root, the age of freshness and who was revoked; and two files that tell two pasts', () => {
  expect(pht(['--home', 'fork', 'network', 'init', '--title', 'Fork', '--no-passphrase']).status).toBe(0);
  for (const id of ['one', 'two']) {
    const args = ['--id', id, '--title', `Title ${id}`, '--organisation', 'O', '--no-passphrase'];
    const made = [
      '--home',
      `f-${id}`,
      'init',
      '--role',
      'auditor',
      ...args,
      '--network',
      'fork/network.json',
    ];
    expect(pht(made).status).toBe(0);
  }
  cpSync(join(dir, 'fork'), join(dir, 'twin'), { recursive: true });
  for (const folder of ['twin', 'twin/keys']) chmodSync(join(dir, folder), 0o700);
  copyFileSync(join(dir, 'fork/network.json'), join(dir, 'first.json'));
  expect(pht(['--home', 'fork', 'network', 'admit', 'f-one/enrolment.json']).status).toBe(0);
  expect(pht(['--home', 'twin', 'network', 'admit', 'f-two/enrolment.json']).status).toBe(0);
  const against = (one: string, two: string): string => {
    const run = pht(['network', 'verify', one, '--against', two, '--json']);
    return run.status === 0 ? 'same' : errorCode(run);
  };
  expect(against('fork/network.json', 'first.json')).toBe('same');
  expect(against('first.json', 'twin/network.json')).toBe('same');
  expect(against('fork/network.json', 'twin/network.json')).toBe('network.forked');
  expect(against('fork/network.json', 'v1.json')).toBe('network.mismatch');
  const gone = ['--home', 'fork', 'network', 'revoke', 'one', '--reason', 'a \u200bslip', '--json'];
  expect(errorCode(pht(gone))).toBe('usage.invalid');
  expect(pht(['--home', 'fork', 'network', 'revoke', 'one', '--reason', 'moved away']).status).toBe(0);
  const shown = pht(['--home', 'fork', 'network', 'show']).stdout;
  expect(shown).toMatch(/revoked: auditor one in version 3, \d{4}-\d\d-\d\d: moved away/);
  expect(shown).toMatch(/root 1, good until \d{4}-\d\d-\d\d, signed by 1 of its 1 keys:\n {2}[0-9a-f]{64}\n/);
  expect(shown).toContain("the authority's word is 0 h old, good until");
  expect(shown).toMatch(
    /members: the list is good until \d{4}-\d\d-\d\d, signed by 1 of its 1 keys:\n {2}[0-9a-f]{64}\n/,
  );
  const view = JSON.parse(pht(['--home', 'fork', 'network', 'show', '--json']).stdout) as object;
  const dated = { expiresMs: expect.any(Number) as number };
  expect(view).toMatchObject({ root: dated, list: dated, freshness: dated });
  expect(view).toMatchObject({ rootVersion: 1, revoked: [{ id: 'one', ended: { why: 'revoked' } }] });
});

test('certificates name the member, and come only where there is a TLS key', () => {
  const { certificates } = JSON.parse(read('net/network.json')) as { certificates: Record<string, string> };
  expect(Object.keys(certificates)).toStrictEqual(['ams', 'ana', 'authority', 'disp']);
  for (const [id, text] of Object.entries(certificates)) {
    const certificate = new X509Certificate(Buffer.from(text, 'base64'));
    expect(certificate.subjectAltName).toMatch(new RegExp(`^URI:pht://[0-9a-f]{64}/${id}$`));
    const days = (certificate.validToDate.getTime() - Date.now()) / 86_400_000;
    expect(Math.round(days)).toBe(90);
  }
});

test('homes are closed, and a station starts with a policy that permits nothing', () => {
  for (const home of ['net', 'ana', 'ams']) {
    expect(statSync(join(dir, home)).mode & 0o777).toBe(0o700);
    expect(statSync(join(dir, home, 'keys')).mode & 0o777).toBe(0o700);
    for (const key of readdirSync(join(dir, home, 'keys'))) {
      expect(statSync(join(dir, home, 'keys', key)).mode & 0o777).toBe(0o600);
    }
  }
  expect(
    read('ams/policy.cedar')
      .replace(/^\/\/.*$/gm, '')
      .trim(),
  ).toBe('');
  expect(read('ams/config.yaml')).toContain('dispatcher:');
});

test('a home is never overwritten', () => {
  const before = read('ana/member.json');
  const run = init('ana', 'researcher', 'eve', '--json');
  expect([run.status, errorCode(run)]).toStrictEqual([2, 'home.exists']);
  expect(pht(['--home', 'net', 'network', 'init', '--title', 'X', '--no-passphrase']).status).toBe(2);
  expect(read('ana/member.json')).toBe(before);
});

describe('passphrases', () => {
  test('without a terminal and a file: exit 2 at once, and nothing half-written', () => {
    const args = ['--id', 'bob', '--title', 'Bob', '--organisation', 'Org', '--network', 'net/network.json'];
    const run = pht(['--home', 'bob', 'init', '--role', 'researcher', ...args, '--json']);
    expect([run.status, errorCode(run)]).toStrictEqual([2, 'passphrase.required']);
    expect(readdirSync(dir).filter((name) => name.includes('bob'))).toStrictEqual([]);
  });

  test('an authority under a passphrase admits with it and not without it', () => {
    write('pass', 'correct horse battery\n', 0o600);
    const env = { PHT_PASSPHRASE_FILE: join(dir, 'pass') };
    expect(pht(['--home', 'net2', 'network', 'init', '--title', 'Two'], env)).toMatchObject({
      status: 0,
      stderr: '',
    });
    // What a timer needs is in clear, and makes no member.
    expect(readdirSync(join(dir, 'net2/keys')).sort()).toStrictEqual([
      ...['freshness.jwk', 'members.jwe', 'root.jwe', 'statement.jwe', 'tls-authority.jwk', 'tls.jwk'],
    ]);
    expect(pht(['--home', 'net2', 'network', 'freshen']).status).toBe(0);
    const rotate = ['--home', 'net2', 'network', 'rotate', 'members'];
    expect(errorCode(pht([...rotate, '--json']))).toBe('passphrase.required');
    const before = read('net2/keys/members.jwe');
    expect(pht(rotate, env).status).toBe(0);
    expect(read('net2/keys/members.jwe')).not.toBe(before);
    expect(read('net2/keys/former/2/members.jwe')).toBe(before);
    expect(readdirSync(join(dir, 'net2/keys'))).not.toContain('members.jwk');
    const args = ['--id', 'd2', '--title', 'D', '--organisation', 'O', '--network', 'net2/network.json'];
    expect(pht(['--home', 'd2', 'init', '--role', 'dispatcher', ...args]).status).toBe(0);
    const without = pht(['--home', 'net2', 'network', 'admit', 'd2/enrolment.json', '--json']);
    expect([without.status, errorCode(without)]).toStrictEqual([2, 'passphrase.required']);
    write('wrong', 'incorrect horse\n', 0o600);
    const wrong = pht(['--home', 'net2', 'network', 'admit', 'd2/enrolment.json', '--json'], {
      PHT_PASSPHRASE_FILE: join(dir, 'wrong'),
    });
    expect([wrong.status, errorCode(wrong)]).toStrictEqual([2, 'passphrase.wrong']);
    expect(pht(['--home', 'net2', 'network', 'admit', 'd2/enrolment.json'], env).status).toBe(0);
    const foreign = pht(['--home', 'net', 'network', 'admit', 'd2/enrolment.json', '--json']);
    expect([foreign.status, errorCode(foreign)]).toStrictEqual([4, 'network.mismatch']);
  });

  test('--no-passphrase says what it means, also beside JSON', () => {
    const run = init('carl', 'auditor', 'carl', '--json');
    expect(run.stderr).toBe('');
    const admin = init('dora', 'admin', 'dora', '--station', 'ams', '--json');
    expect(admin.stderr).toContain('stored in clear');
    expect(JSON.parse(admin.stdout)).toMatchObject({ role: 'admin', id: 'dora' });
  });
});

describe('an enrolment is refused', () => {
  const admit = (name: string): [number | null, string] => {
    const before = read('net/network.json');
    const run = pht(['--home', 'net', 'network', 'admit', name, '--json']);
    expect(read('net/network.json')).toBe(before);
    return [run.status, errorCode(run)];
  };
  const envelope = (): { payload: string; signatures: { sig: string }[] } =>
    JSON.parse(read('ana/enrolment.json')) as { payload: string; signatures: { sig: string }[] };

  test('when the same id comes with other keys', () => {
    const args = [
      '--id',
      'ana',
      '--title',
      'Ana',
      '--organisation',
      'Evil',
      '--network',
      'v1.json',
      '--no-passphrase',
    ];
    expect(pht(['--home', 'ana2', 'init', '--role', 'researcher', ...args]).status).toBe(0);
    expect(admit('ana2/enrolment.json')).toStrictEqual([1, 'conflict']);
  });

  test('when its content was changed after signing', () => {
    const { payload, ...rest } = envelope();
    const text = Buffer.from(payload, 'base64').toString().replace('"Org"', '"Foe"');
    write('forged.json', JSON.stringify({ ...rest, payload: Buffer.from(text).toString('base64') }));
    expect(admit('forged.json')).toStrictEqual([4, 'signature.invalid']);
  });

  test('when its admin governs a station that is not there', () => {
    expect(init('eva', 'admin', 'eva', '--station', 'nowhere').status).toBe(0);
    expect(admit('eva/enrolment.json')).toStrictEqual([4, 'network.invalid']);
  });

  test.each<[string, () => string, number, string]>([
    ['absent', () => 'no.json', 2, 'config.missing'],
    ['a folder', () => 'ana', 2, 'input.malformed'],
    ['empty', () => write('bad', ''), 2, 'input.malformed'],
    ['truncated', () => write('bad', read('ana/enrolment.json').slice(0, 300)), 2, 'input.malformed'],
    ['too large', () => write('bad', ' '.repeat(65_537)), 2, 'input.too-large'],
    ['not UTF-8', () => write('bad', Uint8Array.of(0xff, 0xfe)), 2, 'input.malformed'],
    [
      'with a duplicate key',
      () => write('bad', `{"payload":"",${read('ana/enrolment.json').slice(1)}`),
      2,
      'input.malformed',
    ],
    [
      'of another type',
      () => write('bad', JSON.stringify((JSON.parse(read('v1.json')) as { roots: object[] }).roots[0])),
      4,
      'statement.type',
    ],
    ['a network file', () => 'v1.json', 4, 'statement.malformed'],
  ])('when it is %s', (_name, make, status, code) => {
    expect(admit(make())).toStrictEqual([status, code]);
  });
});

describe('a network file is refused', () => {
  test.each<[string, () => string, number, string]>([
    ['absent', () => 'no.json', 2, 'config.missing'],
    ['empty', () => write('bad', ''), 2, 'input.malformed'],
    ['truncated', () => write('bad', read('v1.json').slice(0, 900)), 2, 'input.malformed'],
    ['too large', () => write('bad', ' '.repeat(16 * 1024 * 1024 + 1)), 2, 'input.too-large'],
    [
      'with an unknown member',
      () => write('bad', `{"x":1,${read('v1.json').slice(1)}`),
      2,
      'input.malformed',
    ],
    [
      'with a duplicate member',
      () => write('bad', `{"roots":[],${read('v1.json').slice(1)}`),
      2,
      'input.malformed',
    ],
    ['of another network', () => 'net2/network.json', 4, 'network.mismatch'],
    ['an enrolment', () => 'ana/enrolment.json', 2, 'input.malformed'],
  ])('when it is %s', (_name, make, status, code) => {
    const before = read('ana/network.json');
    const run = pht(['--home', 'ana', 'network', 'import', make(), '--json']);
    expect([run.status, errorCode(run)]).toStrictEqual([status, code]);
    expect(read('ana/network.json')).toBe(before);
  });
});

test('admitting members again renews the list once it is in the second half of its life', () => {
  const home = ['--home', 'short', 'network'];
  expect(pht([...home, 'init', '--title', 'Short', '--no-passphrase']).status).toBe(0);
  const made = [
    '--role',
    'auditor',
    '--id',
    'eve',
    '--title',
    'Eve',
    '--organisation',
    'X',
    '--no-passphrase',
  ];
  expect(pht(['--home', 'eve', 'init', ...made, '--network', 'short/network.json']).status).toBe(0);
  const admit = (days: string): unknown =>
    JSON.parse(pht([...home, 'admit', 'eve/enrolment.json', '--expires-days', days, '--json']).stdout);
  const list = (): unknown => JSON.parse(read('short/network.json')).members.payload;
  expect(admit('100')).toMatchObject({ version: 2, admitted: [{ id: 'eve' }] });
  const before = list();
  expect(admit('150')).toMatchObject({ version: 2, admitted: [] });
  expect(list()).toBe(before);
  expect(admit('250')).toMatchObject({ version: 3, admitted: [] });
  const told = pht(['--home', 'eve', 'network', 'import', 'short/network.json', '--json']);
  expect(JSON.parse(told.stdout)).toMatchObject({ version: 3, changed: true });
  expect(admit('250')).toMatchObject({ version: 3, admitted: [] });
});

test('the authority says who has to cosign the ledgers, and admitting keeps what it said', () => {
  const home = ['--home', 'seen'];
  expect(pht([...home, 'network', 'init', '--title', 'Seen', '--no-passphrase']).status).toBe(0);
  copyFileSync(join(dir, 'seen/network.json'), join(dir, 'seen-v1.json'));
  const enrol = (id: string, role: string) =>
    pht([
      ...['--home', `s-${id}`, 'init', '--role', role, '--id', id, '--title', id, '--organisation', id],
      ...['--network', 'seen-v1.json', '--no-passphrase'],
    ]).status;
  for (const [id, role] of [
    ['hub', 'dispatcher'],
    ['one', 'station'],
    ['two', 'station'],
    ['aud', 'auditor'],
  ] as const)
    expect(enrol(id, role)).toBe(0);
  const admit = (...ids: string[]) =>
    pht([...home, 'network', 'admit', ...ids.map((id) => `s-${id}/enrolment.json`)]).status;
  const witnessing = () =>
    (JSON.parse(pht([...home, 'network', 'show', '--json']).stdout) as { witnessing: object }).witnessing;
  expect(admit('hub', 'one')).toBe(0);
  expect(witnessing()).toEqual({ quorum: 'none' });
  expect(admit('two')).toBe(0);
  expect(witnessing()).toEqual({ quorum: 2, faulty: 1, witnesses: ['hub', 'one', 'two'] });

  const set = (...options: string[]) => pht([...home, 'network', 'witnesses', ...options, '--json']);
  expect(set('--none').status).toBe(0);
  expect(admit('aud')).toBe(0);
  expect(witnessing()).toEqual({ quorum: 'none' });
  const four = ['hub', 'one', 'two', 'aud'].flatMap((id) => ['--witness', id]);
  expect(errorCode(set('--quorum', '2', ...four))).toBe('usage.invalid');
  expect(errorCode(set('--quorum', '99', ...four))).toBe('usage.invalid');
  expect(errorCode(set('--quorum', '3'))).toBe('usage.invalid');
  expect(errorCode(set('--quorum', 'most', ...four))).toBe('usage.invalid');
  expect(set('--quorum', '3', ...four).status).toBe(0);
  expect(witnessing()).toEqual({ quorum: 3, faulty: 1, witnesses: ['hub', 'one', 'two', 'aud'] });
  const policy = pht([...home, 'network', 'witnesses', '--policy']);
  expect(policy.stdout).toMatch(/^log signalbox\.example\/.+\nquorum quorum-of-witnesses\n$/s);
  expect(errorCode(pht(['--home', 's-one', 'network', 'witnesses', '--none', '--json']))).toBe(
    'usage.invalid',
  );
});
