import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseCsv } from './csv.ts';

test.each([
  ['', []],
  [
    'a,b\n1,2\n',
    [
      ['a', 'b'],
      ['1', '2'],
    ],
  ],
  ['\uFEFFa\r\n1\r\n\r\n', [['a'], ['1']]],
  [
    'a,b\n1,',
    [
      ['a', 'b'],
      ['1', ''],
    ],
  ],
  [
    'a,b\n,\n',
    [
      ['a', 'b'],
      ['', ''],
    ],
  ],
  [
    '"a ""b""","c,d"\n"e\nf",g',
    [
      ['a "b"', 'c,d'],
      ['e\nf', 'g'],
    ],
  ],
])('%j', (text, rows) => {
  expect(parseCsv(text, 'a file')).toEqual(rows);
});

test.each(['a\n"open', 'a\n"x"y\n'])('%j is refused', (text) => {
  expect(() => parseCsv(text, 'a file')).toThrow(expect.objectContaining({ code: 'input.malformed' }));
});

test('what is written with quotes is read back', () => {
  // A row of one empty field looks like a blank line, which is no row.
  const row = fc.array(fc.string(), { minLength: 2, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 6 }), (rows) => {
      const text = rows
        .map((cells) => cells.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(','))
        .join('\n');
      expect(parseCsv(text, 'a file')).toEqual(rows);
    }),
  );
});
