import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PhtError } from '../error.ts';
import {
  formatPastHeads,
  PAST_HEAD_BYTES_MAX,
  PAST_HEADS_BYTES_MAX,
  PAST_HEADS_MAX,
  parsePastHeads,
} from './past-heads.ts';

const note = (size: number, filling = ''): Uint8Array =>
  Buffer.from(`origin\n${size}\nroot\n\n— a AAAA${filling}\n— b BBBB\n`);
const texts = (notes: readonly Uint8Array[]): string[] => notes.map((each) => Buffer.from(each).toString());
const refused = (bytes: Uint8Array | string): unknown => {
  try {
    return parsePastHeads(Buffer.from(bytes));
  } catch (thrown) {
    return thrown instanceof PhtError ? thrown.code : thrown;
  }
};

describe('a file of earlier heads', () => {
  it.each([0, 1, 2, 100])('gives back %i notes as they were', (count) => {
    const notes = Array.from({ length: count }, (_, at) => note(at));
    expect(texts(parsePastHeads(formatPastHeads(notes)))).toEqual(texts(notes));
  });

  it('leaves out the oldest of too many, and of too large ones', () => {
    const many = Array.from({ length: PAST_HEADS_MAX + 5 }, (_, at) => note(at));
    expect(texts(parsePastHeads(formatPastHeads(many)))).toEqual(texts(many.slice(5)));
    const large = Array.from({ length: 1000 }, (_, at) => note(at, 'A'.repeat(10_000)));
    const bytes = formatPastHeads(large);
    expect(bytes.length).toBeLessThanOrEqual(PAST_HEADS_BYTES_MAX);
    expect(bytes.length).toBeGreaterThan(PAST_HEADS_BYTES_MAX - 20_000);
    expect(texts(parsePastHeads(bytes)).at(-1)).toEqual(texts(large).at(-1));
  });

  it('reads as many as it may hold, and no more', () => {
    const file = (count: number): string => Array.from({ length: count }, () => 'o\n\n— a A\n').join('\n');
    expect(refused(file(PAST_HEADS_MAX))).toHaveLength(PAST_HEADS_MAX);
    expect(refused(file(PAST_HEADS_MAX + 1))).toBe('ledger.invalid');
  });

  it.each<[string, Uint8Array | string]>([
    ['without a last newline', 'o\n\n— a A'],
    ['with a text and no signatures', 'o\n'],
    ['with one note and half of another', 'o\n\n— a A\n\no\n'],
    ['that ends in empty lines', 'o\n\n— a A\n\n\n'],
    ['that begins with an empty line', '\n\no\n\n— a A\n'],
    ['that is not UTF-8', Buffer.from([0xff, 0x0a])],
    ['with a head that is too large', Buffer.from(`o\n\n— ${'A'.repeat(PAST_HEAD_BYTES_MAX)}\n`)],
    ['that is too large', Buffer.alloc(PAST_HEADS_BYTES_MAX + 1, 0x0a)],
  ])('%s is refused', (_, bytes) => {
    expect(refused(bytes)).toBe('ledger.invalid');
  });

  it('never fails otherwise, and what it reads it writes again', () => {
    const parts = fc.array(fc.constantFrom('o', '\n', '\n\n', '— a A\n', 'x'), { maxLength: 12 });
    const any = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      parts.map((all) => Buffer.from(all.join(''))),
    );
    fc.assert(
      fc.property(any, (bytes) => {
        const read = refused(bytes);
        if (read === 'ledger.invalid') return;
        expect(Buffer.from(formatPastHeads(read as Uint8Array[]))).toEqual(Buffer.from(bytes));
      }),
    );
  });
});
