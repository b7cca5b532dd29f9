import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  const damaged = [0, 70, whole.length - 1].map((at) => {
    const copy = Buffer.from(whole);
    copy[at] = (copy[at] ?? 0) ^ 1;
    return copy;
  });
  const foreign = whole.subarray(64).toString().replace(ID, 'b'.repeat(64));
  const future = whole.subarray(64).toString().replace('pht-layer/v1', 'pht-layer/v2');
  const resealed = [foreign, future, '{}', 'no json'].map((text) => Buffer.from(digestOf(text) + text));
  for (const content of [...damaged, whole.subarray(0, 100), Buffer.alloc(0), ...resealed]) {
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
  const store = createLayerStore(dir, 2);
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

it('never makes a path of what is no digest', async () => {
  await expect(createLayerStore(dir).find('../../etc/passwd')).rejects.toMatchObject({
    code: 'input.malformed',
  });
});
