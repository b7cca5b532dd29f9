import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { digestOf } from '../../model/id.ts';
import { indexOf, layer } from './layer.fixture.ts';
import { createLayerStore } from './layer-index-store.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'layers-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const ID = 'a'.repeat(64);
const bytes = await layer(
  { name: 'd/', type: 'directory', mode: 0o750 },
  { name: 'd/file', content: 'text', mode: 0o4755 },
  { name: 'b/late', content: 'x' },
  { name: 'link', type: 'symlink', target: 'd/file' },
  { name: 'hard', type: 'link', target: 'below' },
  { name: 'pipe', type: 'fifo', mode: 0o600 },
  { name: 'e/.wh.x', content: '' },
  { name: 'd/.wh..wh..opq', content: '' },
);

it('gives back what was learnt of a layer, in its order', async () => {
  const index = indexOf(bytes);
  await createLayerStore(dir).keep(ID, index);
  const found = await createLayerStore(dir).find(ID);
  expect([...(found?.entries ?? [])]).toEqual([...index.entries]);
  expect(found?.removed).toEqual(index.removed);
  expect(found?.opaque).toEqual(index.opaque);
  expect(statSync(join(dir, `${ID}.layer`)).mode & 0o777).toBe(0o600);
  expect(await createLayerStore(dir).find('b'.repeat(64))).toBeNull();
});

it('throws away what is damaged at any place, cut off, or of another layer', async () => {
  const store = createLayerStore(dir);
  const path = join(dir, `${ID}.layer`);
  await store.keep(ID, indexOf(bytes));
  const whole = readFileSync(path);
  const damaged = [0, 70, 200, whole.length - 2, whole.length - 1].map((at) => {
    const copy = Buffer.from(whole);
    copy[at] = (copy[at] ?? 0) ^ 1;
    return copy;
  });
  const lines = whole.subarray(0, -65).toString();
  const foreign = lines.replace(ID, 'b'.repeat(64));
  const future = lines.replace('pht-layer/v2', 'pht-layer/v3');
  const other = lines.replace('{"removed"', '{"opaque":[],"removed"');
  const resealed = [foreign, future, other, '{}\n', 'no json\n', ''].map((text) =>
    Buffer.from(`${text}${digestOf(text)}\n`),
  );
  const cut = [0, 64, 100, whole.length - 66, whole.length - 65].map((at) => whole.subarray(0, at));
  const long = Buffer.alloc(3 * 1024 * 1024, ' ');
  const twice = Buffer.concat([whole, whole]);
  for (const content of [
    ...damaged,
    ...cut,
    ...resealed.filter((each) => !each.equals(whole)),
    long,
    twice,
  ]) {
    writeFileSync(path, content);
    expect(await store.find(ID)).toBeNull();
    expect(readdirSync(dir)).toEqual([]);
  }
});

it('keeps configs under their digest, and none that has another', async () => {
  const store = createLayerStore(dir);
  const config = Buffer.from('{"a":1}');
  const digest = digestOf(config);
  await store.keepConfig(digest, config);
  expect(await store.findConfig(digest)).toEqual(config);
  writeFileSync(join(dir, `${digest}.config`), '{"a":2}');
  expect(await store.findConfig(digest)).toBeNull();
  expect(readdirSync(dir)).toEqual([]);
});

it('lets the longest unused go when there are too many, and what a crash left', async () => {
  const store = createLayerStore(dir, { files: 2, bytes: 1e9, fileBytes: 1e9 });
  const index = indexOf(bytes);
  const ids = ['1', '2', '3'].map((letter) => letter.repeat(64));
  writeFileSync(join(dir, `${ID}.layer.0011.new`), 'half');
  writeFileSync(join(dir, 'notes.txt'), 'not ours');
  for (const [at, id] of ids.slice(0, 2).entries()) {
    await store.keep(id, index);
    utimesSync(join(dir, `${id}.layer`), at + 1, at + 1);
  }
  expect(await store.find(ids[0] ?? '')).not.toBeNull();
  await store.keep(ids[2] ?? '', index);
  expect(readdirSync(dir).toSorted()).toEqual([`${ids[0]}.layer`, `${ids[2]}.layer`, 'notes.txt']);
});

it('lets the longest unused go when there is too much', async () => {
  const index = indexOf(bytes);
  await createLayerStore(dir).keep('1'.repeat(64), index);
  const { size } = statSync(join(dir, `${'1'.repeat(64)}.layer`));
  utimesSync(join(dir, `${'1'.repeat(64)}.layer`), 1, 1);
  const store = createLayerStore(dir, { files: 9, bytes: 2 * size, fileBytes: 1e9 });
  await store.keep('2'.repeat(64), index);
  expect(readdirSync(dir)).toHaveLength(2);
  await store.keep('3'.repeat(64), index);
  expect(readdirSync(dir).toSorted()).toEqual([`${'2'.repeat(64)}.layer`, `${'3'.repeat(64)}.layer`]);
});

it('does not keep a layer that takes more than a file may', async () => {
  const index = indexOf(bytes);
  await createLayerStore(dir).keep(ID, index);
  const { size } = statSync(join(dir, `${ID}.layer`));
  const few = createLayerStore(dir, { files: 9, bytes: 1e9, fileBytes: size - 1 });
  expect(await few.find(ID)).toBeNull();
  await few.keep(ID, index);
  expect(readdirSync(dir)).toEqual([]);
  const enough = createLayerStore(dir, { files: 9, bytes: 1e9, fileBytes: size });
  await enough.keep(ID, index);
  expect(await enough.find(ID)).not.toBeNull();
});

it('throws away what is no file, and does not wait for it', async () => {
  mkdirSync(join(dir, `${ID}.layer`));
  expect(await createLayerStore(dir).find(ID)).toBeNull();
  symlinkSync('/dev/zero', join(dir, `${ID}.config`));
  expect(await createLayerStore(dir).findConfig(ID)).toBeNull();
  expect(readdirSync(dir)).toEqual([]);
});

it('keeps any layer as it was', async () => {
  const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 });
  const entry = fc.oneof(
    fc.record({
      type: fc.constant('file' as const),
      mode: fc.integer({ min: 0, max: 0o7777 }),
      size: fc.nat(),
      sha256: fc.constant('c'.repeat(64)),
      text: fc.boolean(),
      at: fc.nat(),
    }),
    fc.record({ type: fc.constantFrom('symlink' as const, 'link' as const), target: name }),
    fc.record({
      type: fc.constantFrom('directory' as const, 'fifo' as const),
      mode: fc.integer({ min: 0, max: 0o7777 }),
    }),
  );
  const store = createLayerStore(dir);
  const layers = fc.tuple(fc.array(fc.tuple(name, entry), { maxLength: 30 }), fc.uniqueArray(name));
  await fc.assert(
    fc.asyncProperty(layers, async ([entries, removed]) => {
      // More than one line holds.
      const many = entries.flatMap(([path, each]) =>
        Array.from({ length: 20 }, (_, at) => [`${path}${at}`, each] as const),
      );
      const index = { entries: new Map(many), removed: new Set(removed), opaque: new Set(['', ...removed]) };
      await store.keep(ID, index);
      expect(await store.find(ID)).toEqual(index);
    }),
    { numRuns: 8 },
  );
});

it('never makes a path of what is no digest', async () => {
  await expect(createLayerStore(dir).find('../../etc/passwd')).rejects.toMatchObject({
    code: 'input.malformed',
  });
});

it('reads no more entries than a layer may have, and none through a link', async () => {
  const lines = (count: number): string => {
    const each = Array.from({ length: count }, (_, at) => at.toString(36));
    const head = `${JSON.stringify({ schema: 'pht-layer/v2', diffId: ID })}\n`;
    const batches = Array.from({ length: Math.ceil(count / 256) }, (_, at) =>
      each.slice(at * 256, (at + 1) * 256),
    );
    const text = head + batches.map((removed) => `${JSON.stringify({ removed })}\n`).join('');
    return `${text}${digestOf(Buffer.from(text))}\n`;
  };
  const path = join(dir, `${ID}.layer`);
  writeFileSync(path, lines(200_001));
  expect(await createLayerStore(dir).find(ID)).toBeNull();
  writeFileSync(path, lines(200_000));
  expect((await createLayerStore(dir).find(ID))?.removed.size).toBe(200_000);
  renameSync(path, join(dir, 'elsewhere'));
  symlinkSync(join(dir, 'elsewhere'), path);
  expect(await createLayerStore(dir).find(ID)).toBeNull();
  expect(readdirSync(dir)).toEqual(['elsewhere']);
});
