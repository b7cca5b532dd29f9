import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../model/id.ts';
import type { ImageDifference } from '../../model/image-difference.ts';
import type { TrainImage } from '../../model/train.ts';
import type { Depot } from '../../ports/depot.ts';
import type { ComparedImages, ImageReview } from '../../ports/image-review.ts';
import { createDepot } from '../depot/files.ts';
import { createImageReviews } from './difference.ts';
import { END, type Entry, layer, raw } from './layer.fixture.ts';
import { LOOK_LIMITS } from './look.ts';

let dir: string;
let depot: Depot;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'review-'));
  depot = createDepot(join(dir, 'depot'));
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()));
  rmSync(dir, { recursive: true, force: true });
});

const NEVER = new AbortController().signal;
const file = (name: string, content: string | Buffer, mode = 0o644): Entry => ({ name, content, mode });

async function store(bytes: Uint8Array): Promise<string> {
  const digest = digestOf(bytes);
  await depot.write(
    digest,
    bytes.byteLength,
    0,
    (async function* () {
      yield bytes;
    })(),
  );
  return digest;
}

async function image(config: object, ...layers: Entry[][]): Promise<TrainImage> {
  const stored: TrainImage['layers'] = [];
  for (const entries of layers) {
    const bytes = await layer(...entries);
    stored.push({ diffId: await store(bytes), bytes: bytes.byteLength });
  }
  const blob = Buffer.from(
    JSON.stringify({
      ...{ architecture: 'amd64', os: 'linux' },
      config: { Entrypoint: ['/run'], ...config },
      rootfs: { type: 'layers', diff_ids: stored.map(({ diffId }) => `sha256:${diffId}`) },
    }),
  );
  return {
    configDigest: await store(blob),
    configBytes: blob.byteLength,
    platform: 'linux/amd64',
    layers: stored,
  };
}

const open: ImageReview[] = [];
function review(limits = LOOK_LIMITS, from = depot): ImageReview {
  const at = createImageReviews(from, join(dir, 'layers'), limits)();
  open.push(at);
  return at;
}

async function look(images: readonly TrainImage[], at: ImageReview = review()): Promise<ImageReview> {
  for (const { diffId } of images.flatMap(({ layers }) => layers)) {
    if (await at.knows(diffId)) continue;
    for await (const bytes of at.learn(diffId, NEVER)) expect(bytes).toBeGreaterThan(0);
  }
  return at;
}

async function compare(
  now: TrainImage,
  base: TrainImage | null,
  seen: string[] = [],
): Promise<ComparedImages> {
  const at = await look(base === null ? [now] : [now, base]);
  const [config, earlier] = [await at.config(now), base === null ? null : await at.config(base)];
  const against = base === null ? null : { image: base, config: earlier };
  return at.compare({ image: now, config }, against, new Set(seen), NEVER);
}

const told = ({ changes }: Pick<ImageDifference, 'changes'>): string[] =>
  changes.map(({ change, path }) => `${change} ${path}`);

describe('the difference of two images', () => {
  it('names what was added, changed and removed, with the text of it', async () => {
    const below = [
      file('app/main.py', 'one\ntwo\n'),
      file('app/gone.py', 'x'),
      file('bin/tool', 'binary\0one'),
      file('bin/mode', 'same'),
      { name: 'link', type: 'symlink', target: 'app' } satisfies Entry,
      { name: 'same', type: 'symlink', target: 'app' } satisfies Entry,
    ];
    const above = [
      file('app/main.py', 'one\nthree\n'),
      file('app/.wh.gone.py', ''),
      file('app/new.py', 'print("new")\n'),
      file('bin/tool', 'binary\0two'),
      file('bin/mode', 'same', 0o4755),
      file('large.txt', 'x'.repeat(65_537)),
      { name: 'link', type: 'symlink', target: 'bin' } satisfies Entry,
      { name: 'empty/', type: 'directory' } satisfies Entry,
    ];
    const compared = await compare(await image({}, below, above), await image({}, below));
    expect(compared.counts).toEqual({ added: 2, changed: 3, removed: 1, mode: 1 });
    expect(told(compared)).toEqual([
      ...['changed app/main.py', 'added app/new.py', 'mode bin/mode', 'changed bin/tool'],
      ...['added large.txt', 'changed link', 'removed app/gone.py'],
    ]);
    const by = new Map(compared.changes.map((change) => [change.path, change]));
    expect(by.get('app/main.py')).toMatchObject({
      source: 'one\nthree\n',
      diff: '@@ -1,2 +1,2 @@\n one\n-two\n+three\n',
      unshown: null,
      before: { type: 'file', size: 8 },
      now: { type: 'file', size: 10 },
    });
    expect(by.get('app/new.py')).toMatchObject({ source: 'print("new")\n', diff: null, before: null });
    expect(by.get('bin/tool')).toMatchObject({ source: null, unshown: 'binary' });
    expect(by.get('large.txt')).toMatchObject({ source: null, unshown: 'large' });
    expect(by.get('bin/mode')).toMatchObject({
      before: { mode: 0o644 },
      now: { mode: 0o4755 },
      source: null,
    });
    expect(by.get('link')).toMatchObject({
      now: { type: 'symlink', target: 'bin' },
      before: { target: 'app' },
    });
    expect(compared.config).toEqual([]);
  });

  it('is told without the blobs of what was looked into before, but not the earlier text', async () => {
    const base = await image({}, [file('a.py', 'one\n')]);
    await look([base]);
    await review().config(base);
    await depot.trim(0, new Set());
    const now = await image({}, [file('a.py', 'two\n'), file('b.py', 'b\n')]);
    const compared = await compare(now, base);
    expect(told(compared)).toEqual(['changed a.py', 'added b.py']);
    expect(compared.changes[0]).toMatchObject({ source: 'two\n', diff: null, unshown: null });
    expect(compared.config).toEqual([]);
  });

  it('says so when a text is not here any more', async () => {
    const base = await image({}, [file('a.py', 'one\n')]);
    const now = await image({}, [file('a.py', 'two\n')]);
    const at = await look([base, now]);
    const config = await at.config(now);
    await depot.trim(0, new Set());
    const compared = await at.compare(
      { image: now, config },
      { image: base, config: null },
      new Set(),
      NEVER,
    );
    expect(compared.changes).toMatchObject([{ path: 'a.py', source: null, diff: null, unshown: 'gone' }]);
    expect(compared.config).toBeNull();
  });

  it('tells how they are started, the environment by lines', async () => {
    const files = [file('a', 'a')];
    const base = await image({ Env: ['A=1', 'B=2'], Cmd: ['x'] }, files);
    const now = await image(
      { Env: ['B=2', 'LD_PRELOAD=/evil.so'], Cmd: ['x', '--all'], User: '0', WorkingDir: '/w' },
      files,
    );
    expect((await compare(now, base)).config).toEqual([
      { what: 'command', before: ['/run', 'x'], now: ['/run', 'x', '--all'], omitted: 0 },
      { what: 'env', before: ['A=1'], now: ['LD_PRELOAD=/evil.so'], omitted: 0 },
      { what: 'workingDir', before: ['/'], now: ['/w'], omitted: 0 },
      { what: 'user', before: [], now: ['0'], omitted: 0 },
    ]);
    const turned = await image({ Env: ['B=2', 'A=1'], Cmd: ['x'] }, files);
    expect((await compare(turned, base)).config).toEqual([
      { what: 'env', before: ['A=1', 'B=2'], now: ['B=2', 'A=1'], omitted: 0 },
    ]);
  });

  it('against nothing shows what is in layers that no cleared image had', async () => {
    const known = [file('base', 'b')];
    const now = await image({}, known, [file('app.py', 'x\n')]);
    const seen = now.layers.slice(0, 1).map(({ diffId }) => diffId);
    expect(told(await compare(now, null, seen))).toEqual(['added app.py']);
    expect(told(await compare(now, null))).toEqual(['added app.py', 'added base']);
    const less = await image({}, known, [file('.wh.base', ''), file('.wh.never', '')]);
    expect(told(await compare(less, null, seen))).toEqual(['removed base', 'removed never']);
    expect((await compare(now, null)).config?.[0]).toMatchObject({
      what: 'command',
      before: [],
      now: ['/run'],
    });
  });

  it('against nothing shows what new layers make of known ones', async () => {
    const known = [
      file('app/main.py', 'main'),
      file('usr/guard.py', 'guard'),
      file('usr/test/evil.py', 'evil'),
      file('lib/checks/a', 'a'),
      file('lib/checks/b', 'b'),
      file('opt/tool/c', 'c'),
    ];
    const against = async (...above: Entry[]): Promise<string[]> => {
      const now = await image({}, known, above);
      return told(await compare(now, null, [now.layers[0]?.diffId ?? '']));
    };
    // What stands in the place of the program lies in a known layer, and yet nobody has seen it there.
    expect(await against({ name: 'app/main.py', type: 'link', target: 'usr/test/evil.py' })).toEqual([
      'added app/main.py',
    ]);
    expect(await against(file('lib/checks/.wh..wh..opq', ''))).toEqual([
      'removed lib/checks/a',
      'removed lib/checks/b',
    ]);
    expect(await against({ name: 'usr/guard.py', type: 'directory' })).toEqual(['added usr/guard.py']);
    expect(await against({ name: 'opt/tool', type: 'symlink', target: '/tmp' })).toEqual([
      'added opt/tool',
      'removed opt/tool/c',
    ]);
    expect(await against({ name: 'usr/', type: 'directory' })).toEqual([]);
  });

  it('is bounded, the shortest texts first, and counts what it leaves out', async () => {
    const texts = Array.from({ length: 2100 }, (_, at) =>
      file(`t/${String(at).padStart(4, '0')}`, 'y'.repeat(at)),
    );
    const compared = await compare(await image({}, [...texts, file('bin', '\0')]), null);
    expect(compared.counts.added).toBe(2101);
    expect(compared.changes).toHaveLength(2000);
    expect(compared.changesOmitted).toBe(101);
    const withSource = compared.changes.filter(({ source }) => source !== null);
    expect(withSource.map(({ path }) => path)).toEqual(texts.slice(0, 400).map(({ name }) => name));
    expect(compared.changes[400]).toMatchObject({ source: null, unshown: 'too-many' });
  });

  it("shows the train's own code before the files of what it was built from, however many they are", async () => {
    const texts = Array.from({ length: 2100 }, (_, at) => file(`etc/${at}`, `${at}`));
    const code = [file('app/lib.py', 'y'.repeat(900)), file('app/data', '\0'), file('app/short.py', 'z')];
    const run = [file('opt/run.py', 'x'.repeat(5000)), file('opt/tool', '\0')];
    const started = { Entrypoint: ['/bin/python3', 'run.py', '/opt/tool'], WorkingDir: '/opt' };
    const compared = await compare(
      await image(started, run, texts, code),
      await image({}, [file('old', 'o')]),
    );
    expect(told(compared).slice(0, 4)).toEqual([
      ...['added opt/run.py', 'added opt/tool', 'added app/lib.py', 'added app/short.py'],
    ]);
    const shown = compared.changes.filter(({ source }) => source !== null).map(({ path }) => path);
    expect(shown).toHaveLength(400);
    expect(shown.slice(0, 3)).toEqual(['opt/run.py', 'app/lib.py', 'app/short.py']);
    expect(compared.changes.find(({ path }) => path === 'opt/tool')?.unshown).toBe('binary');
  });

  it('fits one message, whatever is in the files', async () => {
    const texts = Array.from({ length: 300 }, (_, at) =>
      file(`${'\u0001'.repeat(150)}${at}`, '\u0001'.repeat(60_000 - at)),
    );
    const now = await image(
      { Env: Array.from({ length: 256 }, (_, at) => `A${at}=${'\u0001'.repeat(600)}`) },
      texts,
    );
    const compared = await compare(now, null);
    expect(Buffer.byteLength(JSON.stringify(compared))).toBeLessThan(4 * 1024 * 1024 - 8192);
    expect(compared.changes.filter(({ source }) => source !== null).length).toBeGreaterThan(2);
    expect(compared.config?.find(({ what }) => what === 'env')?.omitted).toBeGreaterThan(0);
  });

  it('does not show bytes that are not those which were looked into', async () => {
    const bytes = await layer(file('a.py', 'good\n'));
    const now = await image({}, [file('a.py', 'good\n')]);
    const at = await look([now]);
    const forged = Buffer.from(bytes.toString('latin1').replace('good', 'evil'), 'latin1');
    const lying: Depot = {
      ...depot,
      read: async function* (_digest, offset) {
        yield forged.subarray(offset);
      },
    };
    const other = review(LOOK_LIMITS, lying);
    expect(await other.knows(now.layers[0]?.diffId ?? '')).toBe(true);
    const config = await at.config(now);
    await expect(other.compare({ image: now, config }, null, new Set(), NEVER)).rejects.toMatchObject({
      code: 'image.mismatch',
    });
  });

  it('stops when nobody waits for it any more', async () => {
    const now = await image({}, [file('a', 'x')]);
    const quit = new AbortController();
    quit.abort(new Error('gone'));
    const reading = review().learn(now.layers[0]?.diffId ?? '', quit.signal);
    await expect(async () => {
      for await (const _bytes of reading);
    }).rejects.toThrow('gone');
  });
});

describe('many files', () => {
  const FILES = 10_000;
  const many = (folder: string): Buffer =>
    Buffer.concat([...Array.from({ length: FILES }, (_, at) => raw({ name: `${folder}/${at}` })), END]);

  async function wide(...tars: Buffer[]): Promise<TrainImage> {
    const layers = tars.map((bytes) => ({ diffId: digestOf(bytes), bytes: bytes.byteLength }));
    for (const bytes of tars) await store(bytes);
    return { ...(await image({}, [file('a', '1')])), layers };
  }

  /** How often the event loop of this thread turned meanwhile: a look in this thread would let it turn hardly ever. */
  async function turnsDuring<T>(work: Promise<T>): Promise<{ turns: number; value: T }> {
    let turns = 0;
    let on = true;
    const loop = (): void => {
      turns += 1;
      if (on) setImmediate(loop);
    };
    loop();
    try {
      return { value: await work, turns };
    } finally {
      on = false;
    }
  }

  it('hold nobody else up while they are looked into and compared, and the first of them are listed', async () => {
    const now = await wide(many('a'), many('b'));
    const learning = await turnsDuring(look([now]));
    expect(learning.turns).toBeGreaterThan(20);
    const at = { image: now, config: null };
    const comparing = await turnsDuring(learning.value.compare(at, null, new Set(), NEVER));
    expect(comparing.turns).toBeGreaterThan(20);
    const { counts, changes, changesOmitted } = comparing.value;
    expect(counts).toEqual({ added: 2 * FILES, changed: 0, removed: 0, mode: 0 });
    expect(changes).toHaveLength(2000);
    expect(changesOmitted).toBe(2 * FILES - 2000);
    expect(new Set(changes.map(({ path }) => path[0]))).toEqual(new Set(['b']));
  });

  it('end with whoever wanted to know', async () => {
    const now = await wide(many('a'));
    const at = await look([now]);
    const quit = new AbortController();
    const late = AbortSignal.abort(new Error('too late'));
    const never = at.compare({ image: now, config: null }, null, new Set(), late);
    await expect(never).rejects.toThrow('too late');
    const comparing = at.compare({ image: now, config: null }, null, new Set(), quit.signal);
    quit.abort(new Error('gone'));
    await expect(comparing).rejects.toThrow('gone');
    await expect(at.knows('a'.repeat(64))).rejects.toMatchObject({ code: 'image.unsafe' });
  });

  it('that take more memory than a look may are refused, and this process goes on', async () => {
    const now = await wide(many('a'));
    const small = review({ ...LOOK_LIMITS, heapMiB: 12 });
    await expect(look([now], small)).rejects.toMatchObject({ code: 'image.unsafe' });
    // Whoever asks a thread that is gone must not wait for ever.
    for (const _ of ['at once', 'later'])
      await expect(small.knows('a'.repeat(64))).rejects.toMatchObject({ code: 'image.unsafe' });
    const named = review({ ...LOOK_LIMITS, bytes: FILES * 320 });
    await expect(look([now], named)).rejects.toMatchObject({ code: 'image.unsafe' });
    await look([now], review({ ...LOOK_LIMITS, bytes: FILES * 340 }));
  });
});

describe('layers that together are without measure', () => {
  const three = (name: string): Entry[] => ['1', '2', '3'].map((at) => file(`${name}${at}`, at));

  it('are refused before all of them are held, also when each is known from before', async () => {
    const wide = await image({}, three('a'), three('b'));
    const few = () => review({ ...LOOK_LIMITS, entries: 5 });
    for (const _ of ['learnt', 'known'])
      await expect(look([wide], few())).rejects.toMatchObject({ code: 'image.unsafe' });
    await look([wide], review({ ...LOOK_LIMITS, entries: 6 }));
  });
});
