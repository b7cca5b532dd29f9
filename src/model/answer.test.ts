import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseAnswer } from './answer.ts';
import { PhtError } from './error.ts';

const ANSWER = {
  schema: 'pht-answer/v1',
  title: 'Effect',
  sections: [{ heading: 'By station', lines: ['one'], table: { columns: ['a', 'b'], rows: [['x', null]] } }],
  values: { p: 0.0004, note: 'suppressed', q: null },
};
const bytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

test('an answer is read as it was written', () => {
  expect(parseAnswer(bytes(ANSWER), 4096)).toEqual(ANSWER);
});

test.each([
  ['nothing', ''],
  ['half of it', JSON.stringify(ANSWER).slice(0, 60)],
  ['a member twice', '{"schema":"pht-answer/v1","schema":"pht-answer/v1"}'],
  ['another encoding', Buffer.from([0xff, 0xfe])],
  ['another schema', bytes({ ...ANSWER, schema: 'pht-result/v1' })],
  ['an unknown member', bytes({ ...ANSWER, html: '<b>' })],
  ['no section', bytes({ ...ANSWER, sections: [] })],
  ['control characters', bytes({ ...ANSWER, title: '\u001b[2J' })],
  ['text that runs backwards', bytes({ ...ANSWER, title: 'a\u202eb' })],
  [
    'a ragged table',
    bytes({ ...ANSWER, sections: [{ heading: 'h', table: { columns: ['a'], rows: [['x', 'y']] } }] }),
  ],
  [
    'too many rows',
    bytes({
      ...ANSWER,
      sections: [{ heading: 'h', table: { columns: ['a'], rows: Array(501).fill(['x']) } }],
    }),
  ],
  ['more than the limit', bytes({ ...ANSWER, title: 'x'.repeat(5000) })],
])('%s is refused with one line', (_, content) => {
  const parse = () => parseAnswer(Buffer.from(content), 4096);
  expect(parse).toThrow(expect.objectContaining({ code: 'run.failed' }));
  expect(parse).toThrow(/^[^\n]{10,400}$/);
});

test('whatever a combine step writes, nothing but a PhtError is thrown', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.json().map((text) => Buffer.from(text)),
      ),
      (content) => {
        try {
          parseAnswer(content, 4096);
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(PhtError);
        }
      },
    ),
  );
});
