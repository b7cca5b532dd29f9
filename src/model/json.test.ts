import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PhtError } from './error.ts';
import { type JsonValue, parseStrictJson } from './json.ts';

const parse = (text: string | Uint8Array, bytesMax = 1 << 20): JsonValue =>
  parseStrictJson(typeof text === 'string' ? Buffer.from(text) : text, { bytesMax, what: 'the input' });

function codeOf(text: string | Uint8Array, bytesMax?: number): string {
  try {
    parse(text, bytesMax);
  } catch (thrown) {
    return thrown instanceof PhtError ? thrown.code : `not ours: ${String(thrown)}`;
  }
  return 'accepted';
}

test.each([
  ['nothing', ''],
  ['white space', ' \n'],
  ['truncated', '{"a":'],
  ['a byte order mark', '\uFEFF{}'],
  ['a trailing comma', '[1,]'],
  ['a comment', '{} // x'],
  ['two documents', '{} {}'],
  ['a number out of range', '{"a":1e999}'],
  ['a negative number out of range, deep', '[[[-1e999]]]'],
  ['NaN', 'NaN'],
  ['the same member twice', '{"a":1,"a":1}'],
  ['the same member twice, escaped', '{"a":1,"\\u0061":2}'],
  ['the same member twice, after a nested object', '{"a":{"b":1},"c":[{}],"a":2}'],
  ['the same member twice in an array', '[{"x":1,"x":2}]'],
  ['__proto__', '{"__proto__":{}}'],
  ['__proto__, escaped', '{"__pr\\u006fto__":1}'],
  ['an open string', '{"a'],
  ['an open string ending in a backslash', '"\\'],
  ['a closing bracket alone', ']'],
  ['crossed brackets', '[{]}'],
])('refuses %s', (_name, text) => {
  expect(codeOf(text)).toBe('input.malformed');
});

test('refuses bytes that are not UTF-8', () => {
  for (const bytes of [
    [0x22, 0xff, 0x22],
    [0x22, 0xed, 0xa0, 0x80, 0x22],
    [0x22, 0xc0, 0xaf, 0x22],
    [0x7b, 0x00, 0x7d, 0x00],
  ]) {
    expect(codeOf(Uint8Array.from(bytes))).toBe('input.malformed');
  }
});

test('refuses lone surrogates written as escapes, in values and in keys', () => {
  expect(codeOf('"\\ud800"')).toBe('input.malformed');
  expect(codeOf('{"a":["x\\udc00y"]}')).toBe('input.malformed');
  expect(codeOf('{"\\ud83d":1}')).toBe('input.malformed');
  expect(parse('"\\ud83d\\ude00"')).toBe('\u{1f600}');
});

test('bounds size and depth before parsing', () => {
  expect(codeOf('[1,2,3]', 6)).toBe('input.too-large');
  expect(codeOf('[1,2,3]', 7)).toBe('accepted');
  expect(codeOf('['.repeat(32) + ']'.repeat(32))).toBe('accepted');
  expect(codeOf('['.repeat(33) + ']'.repeat(33))).toBe('input.malformed');
  expect(codeOf('['.repeat(500_000))).toBe('input.malformed');
  expect(codeOf('{"a":'.repeat(150_000))).toBe('input.malformed');
  expect(codeOf(`"${'['.repeat(1000)}"`)).toBe('accepted');
});

describe('against JSON.parse', () => {
  test('every document without duplicates gives the same value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), fc.constantFrom(0, 1, 4), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        if (text.includes('"__proto__"')) return;
        expect(parse(text)).toStrictEqual(JSON.parse(text));
      }),
    );
  });

  test('what JSON.parse refuses is refused, and what is accepted is the same value', () => {
    const fragment = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b"',
      '"\\u0061"',
      '1',
      'null',
      ' ',
      '"',
      '\\',
    );
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 14 }), (parts) => {
        const text = parts.join('');
        const code = codeOf(text);
        expect(code).toMatch(/^(?:accepted|input\.malformed)$/);
        if (code === 'accepted') expect(parse(text)).toStrictEqual(JSON.parse(text));
      }),
      { numRuns: 3000 },
    );
  });

  test('arbitrary bytes end in a value or in one of our errors', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(codeOf(bytes)).toMatch(/^(?:accepted|input\.malformed)$/);
      }),
    );
  });
});

/** Writes an object with one key twice at the end of a random path. */
test('a duplicate is found at any depth, however its key is spelled', () => {
  const step = fc.constantFrom('array', 'object');
  const key = fc
    .string({ minLength: 1, maxLength: 6, unit: 'grapheme-ascii' })
    .filter((name) => name !== '__proto__');
  const spelled = (name: string): string =>
    `"${[...name].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`;
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 20 }),
      key,
      fc.jsonValue({ maxDepth: 2 }),
      fc.boolean(),
      (path, name, between, escaped) => {
        const inner = JSON.stringify(between).replaceAll('__proto__', 'proto');
        const second = escaped ? spelled(name) : JSON.stringify(name);
        const wrap = (core: string): string =>
          path.reduce((text, kind) => (kind === 'array' ? `[0,${text}]` : `{"k":{},"l":${text}}`), core);
        expect(codeOf(wrap(`{${JSON.stringify(name)}:${inner},${second}:1}`))).toBe('input.malformed');
        expect(codeOf(wrap(`{${JSON.stringify(name)}:${inner}}`))).toBe('accepted');
      },
    ),
  );
});
