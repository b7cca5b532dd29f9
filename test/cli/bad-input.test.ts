import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ERROR_CODES } from '../../src/model/error.ts';
import { ALL, DAMAGES, type Damage, replaceByJunk } from './damage.ts';
import { filesOf, inCopy, makeHomes, type Ran, run } from './rig.ts';

/** Whatever a person's files and places look like: one clear line, a stable code, the right status, nothing half-written. */

let homes: string;
beforeAll(async () => {
  homes = await makeHomes();
});
afterAll(() => rmSync(homes, { recursive: true, force: true }));

type Told = { code: string; message: string; hint: string };

/** The one JSON document of a refusal, whose every part is there. */
function told({ status, stdout, stderr }: Ran): Told & { status: number | null } {
  expect(stderr).not.toMatch(/\n\s+at /);
  const { error } = JSON.parse(stdout) as { error: Told };
  expect(ERROR_CODES).toContain(error.code);
  expect(error.code).not.toBe('internal');
  expect(error.message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  expect(error.message).not.toBe('');
  expect(error.hint).toMatch(/\w+ \w+/);
  return { ...error, status };
}

const TRAIN = 'trn_0123456789abcdef01234567';
const HOP = 'hop_0123456789abcdef01234567';
const BAD_FILE = ['config.invalid', 'input.malformed'];

const FILES: { file: string; args: string[]; spares?: Damage[]; absent?: string }[] = [
  { file: 'lee/member.json', args: ['--home', 'lee', 'network', 'show'], absent: 'home.missing' },
  { file: 'lee/network.json', args: ['--home', 'lee', 'network', 'show'] },
  // Gone, the pinned file itself is the newest that was seen.
  { file: 'lee/network-seen.json', args: ['--home', 'lee', 'network', 'show'], spares: ['absent'] },
  { file: 'lee/config.yaml', args: ['--home', 'lee', 'train', 'list'] },
  { file: 'lee/keys/tls.jwk', args: ['--home', 'lee', 'train', 'watch', TRAIN] },
  { file: 'lee/keys/statement.jwk', args: ['--home', 'lee', 'train', 'cancel', TRAIN] },
  { file: 'adm/config.yaml', args: ['--home', 'adm', 'station', 'inbox'] },
  // Half of it says all that must be said; the rest is comments.
  { file: 'ams/config.yaml', args: ['--home', 'ams', 'station', 'serve'], spares: ['cut in half'] },
  { file: 'ams/keys/log.jwk', args: ['--home', 'ams', 'station', 'serve'] },
  { file: 'disp/config.yaml', args: ['--home', 'disp', 'dispatcher', 'serve'], spares: ['cut in half'] },
  { file: 'tr/train.yaml', args: ['train', 'check', 'tr'] },
  // Gone, the station has no lists.
  { file: 'ams/lists.yaml', args: ['--home', 'ams', 'station', 'policy', 'check'], spares: ['absent'] },
  { file: 'cases.yaml', args: ['--home', 'ams', 'station', 'policy', 'test', 'cases.yaml'] },
  { file: 'cases.yaml', args: ['--home', 'ams', 'station', 'policy', 'explain', '--facts', 'cases.yaml'] },
  { file: 'net/network.json', args: ['network', 'verify', 'net/network.json'] },
  { file: 'net/network.json', args: ['--home', 'net', 'network', 'freshen'] },
  { file: 'net/keys/freshness.jwk', args: ['--home', 'net', 'network', 'freshen'] },
  { file: 'net/keys/members.jwk', args: ['--home', 'net', 'network', 'revoke', 'lee', '--reason', 'left'] },
  // It is offline most of the time, and a hint of its own says so.
  {
    file: 'net/keys/root.jwk',
    args: ['--home', 'net', 'network', 'rotate', 'freshness'],
    spares: ['absent'],
  },
];

const CASES = FILES.flatMap(({ file, args, spares = [], absent = 'config.missing' }) =>
  ALL.filter((damage) => !spares.includes(damage)).map((damage) => ({ file, damage, args, absent })),
);

describe('a damaged file', () => {
  test.concurrent.each(CASES)('$file $damage: $args', async ({ file, damage, args, absent }) => {
    await inCopy(homes, async (copy) => {
      DAMAGES[damage](join(copy, file));
      const { code, message, status } = told(await run(copy, [...args, '--json']));
      const expected = { absent: [absent], 'too large': ['input.too-large'] } as Record<string, string[]>;
      expect(expected[damage] ?? BAD_FILE).toContain(code);
      expect(status).toBe(2);
      expect(message).toContain(absent === 'home.missing' && damage === 'absent' ? 'lee' : file);
    });
  });
});

describe('a file that an auditor is given', () => {
  const NETWORK_ID = 'a'.repeat(64);
  const TAKING: [string, string[]][] = [
    ['a proof of misconduct', ['audit', 'misconduct', 'given']],
    ['a ledger proof', ['audit', 'proof', '--check', 'given']],
    ['a bundle', ['audit', 'verify', '--network-id', NETWORK_ID, '--bundle', 'given']],
    // Looked at before anything is asked of a dispatcher, whom nobody reaches here.
    ['a disclosure', ['audit', 'verify', '--disclosure', 'given']],
    ['evidence', ['audit', 'verify', '--evidence', 'given']],
    ['a draft', ['--home', 'net', 'network', 'sign', 'given', '--yes']],
    ['a draft that was signed', ['--home', 'net', 'network', 'import', 'given']],
    ["a holder's members key", ['--home', 'n2', 'network', 'init', '--title', 'T', '--members-key', 'given']],
    ["a holder's root key", ['--home', 'n2', 'network', 'init', '--title', 'T', '--root-key', 'given']],
  ];
  const SHAPES: [Damage, string[], number][] = [
    ['absent', ['config.missing'], 2],
    ['empty', ['input.malformed', 'ledger.invalid', 'proof.invalid'], 0],
    ['of another type', ['input.malformed', 'ledger.invalid', 'proof.invalid', 'envelope.invalid'], 0],
    ['too large', ['input.too-large'], 2],
    ['with NUL bytes', ['input.malformed', 'ledger.invalid', 'proof.invalid'], 0],
    ['a folder', ['input.malformed'], 2],
    ['a link to itself', ['config.invalid', 'input.malformed'], 2],
    ['a pipe', ['input.malformed'], 2],
  ];
  const cases = TAKING.flatMap(([what, args]) => SHAPES.map((shape) => [what, args, ...shape] as const));
  test.concurrent.each(cases)('%s: %j, %s', async (_what, args, damage, codes, status) => {
    await inCopy(homes, async (copy) => {
      writeFileSync(join(copy, 'given'), '{"of": "nothing"}\n');
      DAMAGES[damage](join(copy, 'given'));
      const ran = told(await run(copy, ['--home', 'dpo', ...args, '--json']));
      expect(codes).toContain(ran.code);
      // What no bytes can be read of is wrong use; what says nothing that verifies is not verified.
      expect(status === 0 ? [2, 4] : [status]).toContain(ran.status);
    });
  });
});

describe('a folder of logs', () => {
  const asked = (copy: string, dir: string): Promise<Ran> =>
    run(copy, ['--home', 'dpo', 'audit', 'verify', '--logs', dir, '--json']);

  test('with more names than any network has members is not read in part', async () => {
    await inCopy(homes, async (copy) => {
      mkdirSync(join(copy, 'logs'));
      for (let at = 0; at < 2001; at++) writeFileSync(join(copy, `logs/${at}`), '');
      expect(told(await asked(copy, 'logs'))).toMatchObject({ code: 'input.too-large', status: 2 });
    });
  });

  test.concurrent.each(['pipe', 'link', 'file'])('that is a %s', async (what) => {
    await inCopy(homes, async (copy) => {
      writeFileSync(join(copy, 'logs'), '');
      if (what === 'pipe') DAMAGES['a pipe'](join(copy, 'logs'));
      if (what === 'link') DAMAGES['a link to itself'](join(copy, 'logs'));
      expect(told(await asked(copy, 'logs'))).toMatchObject({ code: 'usage.invalid', status: 2 });
    });
  });
});

describe('a command in the home of somebody else, or of nobody', () => {
  const TRAINS = [TRAIN, '--out', 'x'];
  test.concurrent.each([
    ['ams', ['audit', 'verify'], 'usage.invalid'],
    ['adm', ['audit', 'show', TRAIN], 'usage.invalid'],
    ['disp', ['audit', 'bundle', ...TRAINS], 'usage.invalid'],
    ['lee', ['audit', 'witness'], 'usage.invalid'],
    ['dpo', ['station', 'disclose', TRAIN, '--to', 'dpo'], 'usage.invalid'],
    ['dpo', ['station', 'forget', 'lee', '--reason', 'r'], 'usage.invalid'],
    ['adm', ['station', 'policy', 'explain', ''], 'usage.invalid'],
    ['adm', ['station', 'policy', 'replay'], 'usage.invalid'],
    ['ams', ['station', 'approve', HOP, '--reason', 'r'], 'usage.invalid'],
    ['lee', ['station', 'approve', HOP, '--reason', 'r'], 'usage.invalid'],
    ['ams', ['station', 'withdraw', HOP, '--reason', 'r'], 'usage.invalid'],
    ['dpo', ['station', 'withdraw', 'f'.repeat(64), '--reason', 'r'], 'usage.invalid'],
    ['lee', ['station', 'standing'], 'usage.invalid'],
    ['dpo', ['station', 'restore', '--yes'], 'usage.invalid'],
    ['lee', ['network', 'witnesses', '--none'], 'usage.invalid'],
    ['adm', ['station', 'policy', 'check'], 'usage.invalid'],
    ['lee', ['station', 'policy', 'replay', '--policy', 'ams/policy.cedar'], 'usage.invalid'],
    ['ams', ['dispatcher', 'forget', 'lee'], 'usage.invalid'],
    ['nobody', ['audit', 'verify'], 'home.missing'],
    ['nobody', ['audit', 'misconduct', 'net/network.json'], 'home.missing'],
  ] as [string, string[], string][])('%s: %j', async (home, args, code) => {
    expect(told(await run(homes, ['--home', home, ...args, '--json']))).toMatchObject({ code, status: 2 });
  });

  test.concurrent.each([
    [['audit', 'verify']],
    [['audit', 'verify', '--new']],
    [['audit', 'show', TRAIN]],
    [['audit', 'proof', TRAIN]],
    [['audit', 'bundle', ...TRAINS]],
  ])('without a network: %j', async (args) => {
    await inCopy(homes, async (copy) => {
      const ran = told(await run(copy, ['--home', 'dpo', ...args, '--json']));
      expect(ran).toMatchObject({ code: 'unreachable', status: 5 });
    });
  });
});

describe('an enrolment', () => {
  const refusals = new Map<Damage, string[]>([
    ['of another type', ['statement.malformed']],
    ['with an unknown member', []],
  ]);
  test.concurrent.each(ALL.filter((damage) => refusals.get(damage)?.length !== 0))('%s', async (damage) => {
    await inCopy(homes, async (copy) => {
      DAMAGES[damage](join(copy, 'lee/enrolment.json'));
      const before = filesOf(join(copy, 'net'));
      const { status } = told(
        await run(copy, ['--home', 'net', 'network', 'admit', 'lee/enrolment.json', '--json']),
      );
      expect(status).toBe(refusals.has(damage) ? 4 : 2);
      expect(filesOf(join(copy, 'net'))).toStrictEqual(before);
    });
  });
});

describe('a place that holds something else', () => {
  const serve = ['--home', 'ams', 'station', 'serve'];
  const dispatch = ['--home', 'disp', 'dispatcher', 'serve'];
  test.concurrent.each([
    ['ams/state.db', serve, 2],
    ['ams/lock.db', serve, 2],
    ['ams/ledger', serve, 2],
    ['ams/depot', serve, 2],
    ['ams/logs', serve, 2],
    ['ams/admin.sock', serve, 1],
    ['disp/state.db', dispatch, 2],
    ['disp/lock.db', dispatch, 2],
    ['disp/ledger', dispatch, 2],
    ['disp/depot', dispatch, 2],
    ['lee/trains', ['--home', 'lee', 'train', 'result', TRAIN], 2],
    ['lee/depot', ['--home', 'lee', 'train', 'pack', 'tr', '--stop', 'ams'], 2],
    ['lee/sandbox', ['--home', 'lee', 'train', 'pack', 'tr', '--stop', 'ams'], 2],
    ['adm/admin.sock', ['--home', 'adm', 'station', 'inbox', '--socket', 'adm/admin.sock'], 5],
    [
      'adm/admin.sock',
      ['--home', 'adm', 'station', 'approve', 'hop_x', '--reason', 'r', '--socket', 'adm/admin.sock'],
      5,
    ],
  ] as [string, string[], number][])('%s: %j ends with %i', async (place, args, expected) => {
    await inCopy(homes, async (copy) => {
      replaceByJunk(join(copy, place));
      expect(told(await run(copy, [...args, '--json'])).status).toBe(expected);
    });
  });

  test.concurrent('a store that is older than what the ledger shows signs nothing', async () => {
    await inCopy(homes, async (copy) => {
      const first = await run(copy, [...dispatch, '--json'], { shell: '"$@" & sleep 2; kill $!; wait $!' });
      expect(first.stdout).toContain('"ready":true');
      for (const name of ['state.db', 'state.db-wal', 'state.db-shm'])
        rmSync(join(copy, 'disp', name), { force: true });
      const before = filesOf(join(copy, 'disp/ledger'));
      expect(told(await run(copy, [...dispatch, '--json']))).toMatchObject({
        status: 4,
        code: 'ledger.inconsistent',
      });
      expect(filesOf(join(copy, 'disp/ledger'))).toStrictEqual(before);
    });
  });
});

describe('a disk that takes nothing more', () => {
  // A file of any length is too long, as it is on a full disk.
  const full = { shell: 'ulimit -f 0; exec "$@"' };
  test.concurrent.each([
    ['a new home', ['--home', 'new', 'network', 'init', '--title', 'T', '--no-passphrase']],
    ['a new train', ['train', 'init', 'new']],
    ['a server', ['--home', 'ams', 'station', 'serve']],
    ['an audit', ['--home', 'dpo', 'audit', 'verify', '--logs', 'nothing']],
  ])('%s', async (_name, args) => {
    await inCopy(homes, async (copy) => {
      const before = Object.keys(filesOf(copy)).filter((path) => !path.endsWith('lock.db'));
      expect(told(await run(copy, [...args, '--json'], full)).status).toBe(2);
      const after = Object.keys(filesOf(copy)).filter((path) => !path.endsWith('lock.db'));
      expect(after).toStrictEqual(before);
    });
  });

  test.each([
    [['--version']],
    [['--help']],
    [['--home', 'lee', 'network', 'show']],
    [['--home', 'lee', 'network', 'show', '--json']],
  ])('of the output of %j', async (args) => {
    const { status, stderr } = await run(homes, args, { shell: 'exec "$@" > /dev/full' });
    expect(status).toBe(1);
    expect(stderr).not.toContain(' at ');
  });
});

describe('a passphrase file', () => {
  const CONTENTS: [string, Uint8Array | string, number, string][] = [
    ['in UTF-16', Buffer.from('\ufeffcorrect horse\n', 'utf16le'), 0o600, 'config.invalid'],
    ['in Latin-1', Buffer.from('korrekt h\u00e4st', 'latin1'), 0o600, 'config.invalid'],
    ['with NUL bytes', 'correct\0horse', 0o600, 'config.invalid'],
    ['of two lines', 'correct horse\nbattery staple\n', 0o600, 'config.invalid'],
    ['too long', 'x'.repeat(2000), 0o600, 'input.too-large'],
    ['empty', '', 0o600, 'input.malformed'],
    ['too short', 'abc\n', 0o600, 'usage.invalid'],
    ['open to others', 'correct horse battery\n', 0o644, 'config.invalid'],
  ];
  test.concurrent.each(CONTENTS)('%s', async (_name, content, mode, code) => {
    await inCopy(homes, async (copy) => {
      writeFileSync(join(copy, 'pass'), content, { mode });
      const env = { PHT_PASSPHRASE_FILE: join(copy, 'pass') };
      const ran = await run(copy, ['--home', 'new', 'network', 'init', '--title', 'T', '--json'], { env });
      expect(told(ran)).toMatchObject({ code, status: 2 });
    });
  });

  test('none, and no terminal: at once, whatever standard input is', async () => {
    for (const shell of ['exec "$@"', 'exec "$@" <&-', 'exec "$@" < /dev/zero']) {
      const args = ['--home', 'new', 'network', 'init', '--title', 'T', '--json'];
      const ran = await run(homes, args, { shell });
      expect(told(ran)).toMatchObject({ code: 'passphrase.required', status: 2 });
    }
  });
});

test('a folder where a dataset should be is named by the doctor, who still looks at the rest', async () => {
  await inCopy(homes, async (copy) => {
    rmSync(join(copy, 'ams/cgd.csv'));
    mkdirSync(join(copy, 'ams/cgd.csv'));
    const { stdout } = await run(copy, ['--home', 'ams', 'station', 'doctor', '--no-engine', '--json']);
    const { findings } = JSON.parse(stdout) as { findings: { check: string; code?: string }[] };
    const codes = findings.map(({ code }) => code);
    expect(codes).toContain('dataset.unreadable');
    expect(codes).toContain('unreachable');
    expect(codes).not.toContain('internal');
  });
});
