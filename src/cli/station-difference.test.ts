import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AdminService } from '../gen/pht/v1/admin_pb.ts';
import { PhtError } from '../model/error.ts';
import type { HopId, TrainId } from '../model/id.ts';
import { type ImageChange, ImageDifference } from '../model/image-difference.ts';
import type { Client } from '../ports/wire.ts';
import { createOutput, type Output } from './output.ts';
import { askDifference, differenceLines, showDifference } from './station-difference.ts';
import { visible } from './visible.ts';

const BASE: NonNullable<ImageDifference['base']> = {
  image: 'b'.repeat(64),
  hopId: `hop_${'1'.repeat(24)}` as HopId,
  trainId: `trn_${'2'.repeat(24)}` as TrainId,
  researcher: 'rosa',
  title: 'Survival',
  clearedAtMs: Date.UTC(2026, 4, 3, 10, 30),
  by: 'person',
  layersShared: 3,
};

const NOTHING: ImageDifference = {
  schema: 'pht-image-difference/v1',
  image: 'a'.repeat(64),
  compared: 'with-base',
  base: BASE,
  clearedImages: 4,
  layers: 5,
  counts: { added: 0, changed: 0, removed: 0, mode: 0 },
  config: [],
  changes: [],
  changesOmitted: 0,
};

const added = (
  path: string,
  source: string | null = null,
  unshown: ImageChange['unshown'] = null,
): ImageChange => ({
  path,
  change: 'added',
  before: null,
  now: { type: 'file', mode: 0o644, size: 1234, sha256: 'c'.repeat(64) },
  source,
  diff: null,
  unshown,
});

const ESCAPES = '\u001b[2J\u001b[31m\u009b1m\u202egnp.exe\u2066\u200b\u0007\r\b';

function terminal(colours = false): { output: Output; printed: () => string; said: () => string } {
  const written = { out: '', err: '' };
  const output = createOutput({
    json: false,
    stdout: { write: (text) => (written.out += text), isTTY: colours },
    stderr: { write: (text) => (written.err += text) },
    env: {},
  });
  return { output, printed: () => written.out, said: () => written.err };
}

function printed(
  difference: Partial<ImageDifference>,
  options: { full?: boolean } = {},
  colours = false,
): string {
  const { output, printed: all } = terminal(colours);
  output.result({}, differenceLines(ImageDifference.parse({ ...NOTHING, ...difference }), output, options));
  return all();
}

describe('what differs, for a person', () => {
  test('names the image it was compared with', () => {
    expect(printed({ counts: { added: 1, changed: 2, removed: 3, mode: 4 } })).toBe(
      [
        'What differs from the last approved image',
        '  Compared with bbbbbbbbbbbbbbbb…, cleared on 2026-05-03 10:30 UTC by a person',
        '  for "Survival" of rosa (hop_111111111111111111111111); 3 of 5 layers are the',
        '  same.',
        '  1 files added, 2 changed, 3 removed, 4 with other rights alone',
        '',
      ].join('\n'),
    );
  });

  test('says that nothing does, and since when', () => {
    const text = printed({ compared: 'same-image', base: { ...BASE, by: 'list' } });
    expect(text).toContain(
      "Nothing: this very image was cleared here on 2026-05-03 10:30 UTC as an image\n  on this station's lists",
    );
  });

  test('says that there is nothing to compare with, and why', () => {
    const none = { compared: 'new-layers', base: null } as const;
    expect(printed({ ...none, clearedImages: 0 })).toContain('No image was approved here before');
    expect(printed({ ...none, clearedImages: 2 })).toContain('Of 2 images that were approved here');
    expect(printed({ ...none, clearedImages: 2 })).toContain(
      'Each layer was in an image that was approved here',
    );
    const removed = { ...added('etc/x'), change: 'removed' as const, now: null };
    expect(
      printed({ ...none, counts: { added: 0, changed: 0, removed: 1, mode: 0 }, changes: [removed] }),
    ).toMatch(/alone\n\n {2}- \/etc\/x\n$/);
    expect(printed({ config: null })).toContain('is not known any more');
  });

  test('shows sources, differences and why there is none', () => {
    const changed: ImageChange = {
      ...added('app/main.py', 'one\nthree\n'),
      change: 'changed',
      before: { type: 'file', mode: 0o600, size: 8, sha256: 'd'.repeat(64) },
      diff: '@@ -1,2 +1,2 @@\n one\n-two\n+three\n',
    };
    const text = printed({
      config: [{ what: 'env', before: ['A=1'], now: ['LD_PRELOAD=/x.so'], omitted: 2 }],
      changes: [changed, added('bin/tool', null, 'binary'), added('new.py', 'print()\n\tx\n')],
    });
    expect(text).toContain(
      [
        '  changed: its environment',
        '    - A=1',
        '    + LD_PRELOAD=/x.so',
        '    … and 2 more',
        '',
        '  ~ /app/main.py',
        '      1.2 KiB, 0644; was 8 bytes, 0600',
        '  | @@ -1,2 +1,2 @@',
        '  |  one',
        '  | -two',
        '  | +three',
        '',
        '  + /new.py',
        '      1.2 KiB, 0644',
        '  | print()',
        '  |         x',
        '',
        '  + /bin/tool',
        '      1.2 KiB, 0644; no text',
        '',
      ].join('\n'),
    );
  });

  test('cuts long sources, lines and lists, unless all of it is wanted', () => {
    const source = Array.from({ length: 100 }, (_, at) => `line ${at}`).join('\n');
    const many = Array.from({ length: 150 }, (_, at) => added(`f${at}`, null, 'binary'));
    const changes = [added('a.py', source), added('b.js', 'z'.repeat(1000)), ...many];
    const short = printed({ changes, changesOmitted: 7 });
    expect(short).toContain('line 59\n  … 40 more lines (--full)');
    expect(short).toContain(`${'z'.repeat(400)}… 600 more characters (--full)`);
    expect(short).toContain('… and 57 more, which are not listed');
    const full = printed({ changes, changesOmitted: 7 }, { full: true });
    expect(full).toContain('line 99');
    expect(full).toContain('z'.repeat(1000));
    expect(full).toContain('… and 7 more, which are not listed\n');
  });
});

test('shows as many sources as a person may read, the first ones, and names the rest', () => {
  const source = Array.from({ length: 50 }, (_, at) => `line ${at}`).join('\n');
  const changes = Array.from({ length: 20 }, (_, at) => added(`f${at}.py`, source));
  const short = printed({ changes });
  expect(short.match(/\| line 0$/gm)).toHaveLength(8);
  for (const at of changes.keys()) expect(short).toContain(`+ /f${at}.py`);
  expect(printed({ changes }, { full: true }).match(/\| line 0$/gm)).toHaveLength(20);
});

describe('what a stranger wrote into his image', () => {
  test('shows as escapes, in names, sources, targets and settings, also on a terminal with colours', () => {
    const link: ImageChange = { ...added('l'), now: { type: 'symlink', target: `/${ESCAPES}` } };
    const changes = [added(`bin/${ESCAPES}`, `x = 1 # ${ESCAPES}\n`), link];
    const config = [{ what: 'command' as const, before: [], now: [ESCAPES], omitted: 0 }];
    for (const text of [printed({ changes, config }), printed({ changes, config }, { full: true }, true)]) {
      const plain = text.replaceAll(/\u001b\[(?:0|1|31|32)m/g, '');
      expect(plain).not.toMatch(/[^\P{Cc}\n]|\p{Cf}|\p{Zl}|\p{Zp}/u);
      expect(plain.replaceAll(/\n */g, '')).toContain(
        '/bin/\\u001b[2J\\u001b[31m\\u009b1m\\u202egnp.exe\\u2066\\u200b',
      );
      expect(plain).toContain('x = 1 # \\u001b[2J\\u001b[31m');
      expect(text.match(/\u001b\[31m/g)?.length ?? 0).toBe(0);
    }
  });

  test('cannot look like another letter, a line of ours, or a line feed', () => {
    expect(visible('pаypal \u00a0\u037e\uff21\u{1d400}ı')).toBe(
      'p\\u0430ypal \\u00a0\\u037e\\uff21\\u{1d400}\\u0131',
    );
    expect(visible('Größe – naïve “x” € é')).toBe('Größe – naïve “x” € é');
    expect(visible('a\tb', 'expanded')).toBe('a       b');
    expect(visible('a\tb')).toBe('a\\u0009b');
    const text = printed({
      changes: [added('x\n  Nothing: this very image was cleared', 'y\r\n  Nothing: fake\u2028z')],
    });
    expect(text).not.toMatch(/^ *Nothing/m);
    expect(text).toContain('  | y\\u000d\n  |   Nothing: fake\\u2028z');
  });

  test('never makes a line wider than 80 columns but in sources', () => {
    const odd = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 300 })
      .filter((text) => text.isWellFormed());
    fc.assert(
      fc.property(odd, odd, odd, (path, target, word) => {
        const link: ImageChange = { ...added('l'), now: { type: 'symlink', target } };
        const config = [{ what: 'env' as const, before: [word], now: [], omitted: 0 }];
        const text = printed({ changes: [added(path), link], config });
        for (const line of text.split('\n')) expect([...line].length).toBeLessThanOrEqual(80);
        expect(text).toMatch(/^[\u0020-\u007e\u00a1-\u017f–—‘’“”•…€\n]*$/u);
      }),
    );
  });
});

describe('asking the agent', () => {
  const agentSaying = (...parts: { done?: number; total?: number; difference?: string }[]) =>
    ({
      difference: async function* () {
        for (const { done = 0, total = 0, difference = '' } of parts) {
          yield {
            doneBytes: BigInt(done),
            totalBytes: BigInt(total),
            difference: Buffer.from(difference),
          };
        }
      },
    }) as unknown as Client<typeof AdminService>;

  test('tells how far it is, ten times at most', async () => {
    const { output, said } = terminal();
    const MIB = 1024 * 1024;
    const steps = Array.from({ length: 101 }, (_, at) => ({ done: at * 5 * MIB, total: 500 * MIB }));
    const agent = agentSaying(...steps, { done: 1, total: 1, difference: JSON.stringify(NOTHING) });
    expect(await askDifference(agent, BASE.hopId, output)).toEqual(NOTHING);
    expect(said().split('\n').length).toBeLessThanOrEqual(12);
    expect(said()).toContain('looking into the image: 250 of 500 MiB');
  });

  test('is left out where it is not wanted, and of a hop that has ended', async () => {
    const nothing = { shown: { difference: null, differenceProblem: null }, lines: [] };
    const { output } = terminal();
    const never = {} as Client<typeof AdminService>;
    const hop = { hopId: BASE.hopId, state: 'awaiting-clearance' };
    expect(await showDifference(never, hop, output, { difference: false })).toEqual(nothing);
    expect(await showDifference(never, { ...hop, state: 'sealed' }, output, {})).toEqual(nothing);
    const told = await showDifference(agentSaying({ difference: JSON.stringify(NOTHING) }), hop, output, {});
    expect(told.shown).toEqual({ difference: NOTHING, differenceProblem: null });
    expect(told.lines.slice(0, 2)).toEqual(['', 'What differs from the last approved image']);
  });

  test('that it cannot be told is told, and nothing worse', async () => {
    const failing = {
      difference: async function* () {
        yield* [];
        throw new PhtError('image.unsafe', `it holds ${ESCAPES}`, { hint: 'reject it' });
      },
    } as unknown as Client<typeof AdminService>;
    const hop = { hopId: BASE.hopId, state: 'awaiting-clearance' };
    const { shown, lines } = await showDifference(failing, hop, terminal().output, {});
    expect(shown).toMatchObject({ difference: null, differenceProblem: { code: 'image.unsafe' } });
    expect(lines.join(' ')).toMatch(/It cannot be told: it holds .*\(image\.unsafe\).*reject it/);
    expect(lines.join('')).not.toMatch(/\p{Cc}|\p{Cf}/u);
  });

  test.each<[string, string]>([
    ['nothing', ''],
    ['no JSON', '{'],
    ['an unknown member', JSON.stringify({ ...NOTHING, more: 1 })],
    ['a member that stands twice', JSON.stringify(NOTHING).replace('{', '{"layers":5,')],
    ['another version', JSON.stringify({ ...NOTHING, schema: 'pht-image-difference/v2' })],
    ['too much', ' '.repeat(4 * 1024 * 1024)],
  ])('believes %s not at all', async (_what, difference) => {
    const asking = askDifference(agentSaying({ difference }), BASE.hopId, terminal().output);
    await expect(asking).rejects.toMatchObject({ code: expect.stringMatching(/^input\./) });
  });
});
