import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { readAnswer } from './hand-out.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

describe('reading what the holder hands out', () => {
  it('takes exactly the bytes that it announced, however they are cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 40 }), (content, step) => {
        const answer = Buffer.concat([bytes(`file ${content.byteLength}\n`), content, bytes('more')]);
        const read = readAnswer(300);
        for (let at = 0; at < answer.byteLength; at += step) {
          const found = read(answer.subarray(at, at + step));
          if (found === undefined) continue;
          expect(found).toEqual({ kind: 'output', bytes: Buffer.from(content) });
          return;
        }
        throw new Error('no answer');
      }),
    );
  });

  it('says that there is nothing, or why it is not taken', () => {
    expect(readAnswer(100)(bytes('none\n'))).toEqual({ kind: 'none' });
    expect(readAnswer(100)(bytes('refused -40\n'))).toMatchObject({ kind: 'refused' });
    expect(readAnswer(100)(bytes('file 101\n'))).toMatchObject({
      kind: 'refused',
      why: expect.stringContaining('101 bytes'),
    });
    expect(readAnswer(100)(bytes('file 100\n'))).toBeUndefined();
  });

  it('never takes bytes from noise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 65, maxLength: 2048 }), (noise) => {
        try {
          expect(readAnswer(100)(noise)?.kind).not.toBe('output');
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(PhtError);
        }
      }),
    );
    expect(() => readAnswer(100)(bytes('file -1\n'))).toThrow(PhtError);
    expect(() => readAnswer(100)(bytes(`${' '.repeat(65)}`))).toThrow(PhtError);
  });
});
