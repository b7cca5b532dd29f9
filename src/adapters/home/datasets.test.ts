import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { listDatasets, readableBy, readDataset } from './datasets.ts';
import { createSnapshot } from './snapshot.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pht-datasets-'));
  mkdirSync(join(dir, 'datasets'));
  writeFileSync(join(dir, 'cgd.csv'), 'id,age\n1,30\n');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const COLUMNS = 'columns:\n  - { name: age, type: integer, unit: years, missing: ["-9"] }\n';
const describe = (id: string, text: string): void => writeFileSync(join(dir, 'datasets', `${id}.yaml`), text);

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    return thrown instanceof PhtError ? thrown.code : `not ours: ${String(thrown)}`;
  }
  return 'accepted';
}

test('a file beside the description, by relative or absolute path, or through a link', () => {
  symlinkSync(join(dir, 'cgd.csv'), join(dir, 'link.csv'));
  for (const [file, name] of [
    ['../cgd.csv', 'cgd.csv'],
    [join(dir, 'cgd.csv'), 'cgd.csv'],
    ['../link.csv', 'link.csv'],
  ] as const) {
    describe('cgd', `title: CGD trial\nfile: ${file}\nformat: csv\n${COLUMNS}`);
    expect(readDataset(dir, 'cgd')).toStrictEqual({
      description: {
        id: 'cgd',
        title: 'CGD trial',
        files: [name],
        format: 'csv',
        columns: [{ name: 'age', type: 'integer', unit: 'years', missing: ['-9'] }],
      },
      files: [{ name, path: join(dir, 'cgd.csv') }],
    });
  }
});

test('a folder offers its .csv files in order, and nothing else', () => {
  mkdirSync(join(dir, 'many'));
  for (const name of ['b.csv', 'a.csv', 'notes.txt']) writeFileSync(join(dir, 'many', name), 'x\n1\n');
  describe('many', `title: Many\nfolder: ../many\nformat: csv\n${COLUMNS}`);
  expect(readDataset(dir, 'many').description.files).toStrictEqual(['a.csv', 'b.csv']);
  mkdirSync(join(dir, 'many', 'c.csv'));
  expect(codeOf(() => readDataset(dir, 'many'))).toBe('dataset.unreadable');
});

test('lists ids and ignores what is no description', () => {
  describe('b', '');
  describe('a', '');
  describe('Not_An_Id', '');
  writeFileSync(join(dir, 'datasets', 'readme.md'), '');
  expect(listDatasets(dir)).toStrictEqual(['a', 'b']);
  expect(listDatasets(join(dir, 'absent'))).toStrictEqual([]);
});

test.each([
  ['no such id', 'other', '', 'dataset.unknown'],
  ['an id that is a path', '../config', '', 'dataset.unknown'],
  ['a file that is not there', 'x', `title: X\nfile: no.csv\nformat: csv\n${COLUMNS}`, 'dataset.unreadable'],
  ['a device', 'x', `title: X\nfile: /dev/null\nformat: csv\n${COLUMNS}`, 'dataset.unreadable'],
  ['a folder that is not there', 'x', `title: X\nfolder: no\nformat: csv\n${COLUMNS}`, 'dataset.unreadable'],
  ['a folder without files', 'x', `title: X\nfolder: .\nformat: csv\n${COLUMNS}`, 'dataset.unreadable'],
  ['both file and folder', 'x', `title: X\nfile: a\nfolder: b\nformat: csv\n${COLUMNS}`, 'config.invalid'],
  ['neither', 'x', `title: X\nformat: csv\n${COLUMNS}`, 'config.invalid'],
  ['another format', 'x', `title: X\nfile: ../cgd.csv\nformat: parquet\n${COLUMNS}`, 'config.invalid'],
  ['no columns', 'x', 'title: X\nfile: ../cgd.csv\nformat: csv\ncolumns: []\n', 'config.invalid'],
  [
    'a column twice',
    'x',
    `title: X\nfile: ../cgd.csv\nformat: csv\n${COLUMNS}  - { name: age, type: text }\n`,
    'config.invalid',
  ],
  [
    'a level twice',
    'x',
    'title: X\nfile: ../cgd.csv\nformat: csv\ncolumns: [{ name: a, type: category, levels: [x, x] }]\n',
    'config.invalid',
  ],
  [
    'an unknown member',
    'x',
    `title: X\nfile: ../cgd.csv\nformat: csv\nowner: me\n${COLUMNS}`,
    'config.invalid',
  ],
])('refuses %s', (_name, id, text, code) => {
  if (text !== '') describe(id, text);
  expect(codeOf(() => readDataset(dir, id))).toBe(code);
});

test('the snapshot is of names, sizes and contents, in any order of files', async () => {
  const snapshot = createSnapshot();
  const [a, b] = ['a.csv', 'b.csv'].map((name) => ({ name, path: join(dir, name) })) as [
    { name: string; path: string },
    { name: string; path: string },
  ];
  writeFileSync(a.path, '1');
  writeFileSync(b.path, '2');
  const before = await snapshot([a, b]);
  expect(before).toMatch(/^[0-9a-f]{64}$/);
  expect(await snapshot([b, a])).toBe(before);
  expect(await createSnapshot()([a, b])).toBe(before);
  expect(await snapshot([a])).not.toBe(before);
  expect(await snapshot([a, { ...b, name: 'c.csv' }])).not.toBe(before);
  writeFileSync(b.path, '3');
  expect(await snapshot([a, b])).not.toBe(before);
  writeFileSync(b.path, '2');
  expect(await snapshot([a, b])).toBe(before);
});

test('a change that hides behind old times is seen', async () => {
  const snapshot = createSnapshot();
  const file = { name: 'a.csv', path: join(dir, 'a.csv') };
  writeFileSync(file.path, '1');
  utimesSync(file.path, 1_000_000, 1_000_000);
  const before = await snapshot([file]);
  writeFileSync(file.path, '2');
  utimesSync(file.path, 1_000_000, 1_000_000);
  expect(await snapshot([file])).not.toBe(before);
});

test('what cannot be read says so', async () => {
  const snapshot = createSnapshot();
  await expect(snapshot([{ name: 'no', path: join(dir, 'no') }])).rejects.toMatchObject({
    code: 'dataset.unreadable',
  });
  await expect(snapshot([{ name: 'd', path: dir }])).rejects.toMatchObject({ code: 'dataset.unreadable' });
});

test('who may read a file, by the first class that matches', () => {
  const path = join(dir, 'cgd.csv');
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  const stranger = 65534;
  chmodSync(path, 0o600);
  expect(readableBy(path, stranger, stranger)).toStrictEqual({
    ok: false,
    failing: { path, mode: '0600', need: 'r' },
  });
  expect(readableBy(path, uid, stranger)).toStrictEqual({ ok: true });
  chmodSync(path, 0o640);
  expect(readableBy(path, stranger, gid)).toStrictEqual({ ok: true });
  expect(readableBy(path, stranger, stranger).ok).toBe(false);
  chmodSync(path, 0o604);
  expect(readableBy(path, stranger, gid).ok).toBe(false);
  expect(readableBy(path, stranger, stranger)).toStrictEqual({ ok: true });
  chmodSync(dir, 0o704);
  expect(readableBy(dir, stranger, stranger)).toMatchObject({ ok: false, failing: { need: 'rx' } });
  expect(codeOf(() => readableBy(join(dir, 'no'), 1, 1))).toBe('dataset.unreadable');
});
