import { expect, test } from 'vitest';
import { guessDescription } from './guess-dataset.ts';

const rows = [
  ['age', 'weight', 'arm', 'status', 'seen', 'note', 'empty'],
  ['30', '70.5', 'A', '0', '2020-01-31', 'x'.repeat(90), ''],
  ['41', 'NA', 'B', '1', '2021-02-28', 'y', ''],
  ['52', '1e2', 'A', '1', '', 'z', ''],
];

test('types, levels and missing codes are guessed', () => {
  const { id, files, columns } = guessDescription('cgd', 'mine', [{ name: 'a.csv', rows }]);
  expect([id, files]).toEqual(['cgd', ['a.csv']]);
  expect(columns).toEqual([
    { name: 'age', type: 'integer' },
    { name: 'weight', type: 'number', missing: ['NA'] },
    { name: 'arm', type: 'category', levels: ['A', 'B'] },
    { name: 'status', type: 'category', levels: ['0', '1'] },
    { name: 'seen', type: 'date' },
    { name: 'note', type: 'text' },
    { name: 'empty', type: 'text' },
  ]);
});

test('levels of several files are put together; many are text', () => {
  const of = (name: string, values: string[]) => ({ name, rows: [['v'], ...values.map((value) => [value])] });
  const two = guessDescription('d', 'mine', [of('a.csv', ['x']), of('b.csv', ['y'])]);
  expect(two.columns).toEqual([{ name: 'v', type: 'category', levels: ['x', 'y'] }]);
  const many = guessDescription('d', 'mine', [
    of(
      'a.csv',
      Array.from({ length: 51 }, (_, at) => `v${at}`),
    ),
  ]);
  expect(many.columns).toEqual([{ name: 'v', type: 'text' }]);
});

test.each([
  ['no rows', [['a']]],
  ['nothing', []],
  ['a ragged row', [['a', 'b'], ['1']]],
  [
    'one column twice',
    [
      ['a', 'a'],
      ['1', '2'],
    ],
  ],
])('%s', (_, table) => {
  const guess = () => guessDescription('d', 'mine', [{ name: 'a.csv', rows: table }]);
  expect(guess).toThrow(expect.objectContaining({ code: 'dataset.unreadable' }));
});

test('a header that is no name, or differs between files', () => {
  const bad = () => guessDescription('d', 'mine', [{ name: 'a.csv', rows: [['größe'], ['1']] }]);
  expect(bad).toThrow(expect.objectContaining({ code: 'input.malformed' }));
  const two = [
    { name: 'a.csv', rows: [['a'], ['1']] },
    { name: 'b.csv', rows: [['b'], ['1']] },
  ];
  expect(() => guessDescription('d', 'mine', two)).toThrow(/b\.csv has another header than a\.csv/);
});
