import fc from 'fast-check';
import { expect, test } from 'vitest';
import { clean, table, truncate } from './text.ts';

test('nothing that a terminal obeys survives', () => {
  expect(clean('a\x1b[2Jb')).toBe('a\uFFFD[2Jb');
  expect(clean('a\r\nb\tc')).toBe('a b c');
  expect(clean('abc\u202Edcb\u200B')).toBe('abc\uFFFDdcb\uFFFD');
  expect(clean('\u009B31m \ud800')).toBe('\uFFFD31m \uFFFD');
  expect(clean('Universit\u00e4t \u{1f600}')).toBe('Universit\u00e4t \u{1f600}');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(clean(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    }),
  );
});

test('cuts whole characters', () => {
  expect(truncate('abcdef', 6)).toBe('abcdef');
  expect(truncate('abcdef', 5)).toBe('abcd\u2026');
  expect(truncate('\u{1f600}\u{1f600}\u{1f600}', 3)).toBe('\u{1f600}\u2026');
});

test('a table lines up and has no trailing blanks', () => {
  expect(table(['A', 'LONG'], [['one', '1'], ['two']])).toStrictEqual(['A    LONG', 'one  1', 'two']);
});

test('a table fits 80 columns, whatever is in it', () => {
  const cell = fc.string({ maxLength: 200, unit: 'binary' });
  fc.assert(
    fc.property(fc.array(fc.tuple(cell, cell, cell, cell), { maxLength: 8 }), (rows) => {
      const lines = table(['ONE', 'TWO', 'THREE', 'FOUR'], rows);
      expect(lines.length).toBe(rows.length + 1);
      for (const line of lines) expect([...line].length).toBeLessThanOrEqual(80);
    }),
  );
});

test('wide letters and combining marks keep a table within its columns', () => {
  const [, row = ''] = table(['id', 'title', 'more'], [['ams', '心'.repeat(200), 'x']], 40);
  expect(row).toMatch(/^ams\s+心+…\s+x$/u);
  // Each of these letters fills two columns.
  expect([...row].length + [...row].filter((letter) => letter === '心').length).toBeLessThanOrEqual(40);
  expect(truncate('e\u0301e\u0301', 2)).toBe('e\u0301e\u0301');
});
