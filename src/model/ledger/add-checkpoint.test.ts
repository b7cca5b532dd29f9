import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ADD_CHECKPOINT_BYTES_MAX,
  formatAddCheckpoint,
  formatCosignatures,
  formatSize,
  parseAddCheckpoint,
  parseCosignatures,
  parseSize,
} from './add-checkpoint.ts';
import { codeOf, golden } from './golden.fixture.ts';
import { leafHash } from './merkle.ts';
import { parseNote } from './note.ts';

/** The example of C2SP tlog-witness. */
const EXAMPLE = `old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
`;

const checkpoint = golden.cosignedCheckpoint;
const hash = leafHash(Buffer.from('a'));
const hashLine = Buffer.from(hash).toString('base64');

describe('a request to a witness', () => {
  test('the example of the specification', () => {
    const request = parseAddCheckpoint(Buffer.from(EXAMPLE));
    expect(request.sizeBefore).toBe(20_852_014);
    expect(request.hashes.map((one) => one.length)).toEqual([32, 32, 32, 32]);
    expect(parseNote(request.checkpoint).signatures).toHaveLength(2);
    expect(Buffer.from(formatAddCheckpoint(request)).toString()).toBe(EXAMPLE);
  });

  test('without hashes and with as many as there may be', () => {
    for (const count of [0, 1, 63]) {
      const request = { sizeBefore: count, hashes: Array<Uint8Array>(count).fill(hash), checkpoint };
      const again = parseAddCheckpoint(formatAddCheckpoint(request));
      expect(again.hashes.map((one) => Buffer.from(one))).toEqual(
        request.hashes.map((one) => Buffer.from(one)),
      );
      expect({ ...again, hashes: [] }).toEqual({ ...request, hashes: [] });
    }
    const tooMany = { sizeBefore: 1, hashes: Array<Uint8Array>(64).fill(hash), checkpoint };
    expect(codeOf(() => formatAddCheckpoint(tooMany))).toBe('ledger.invalid');
  });

  test.each([
    ['nothing', ''],
    ['no empty line', `old 1\n${hashLine}\n`],
    ['no old size', `${hashLine}\n\n${checkpoint}`],
    ['a leading zero', `old 01\n\n${checkpoint}`],
    ['a sign', `old +1\n\n${checkpoint}`],
    ['a size that is no whole number in this language', `old 9007199254740993\n\n${checkpoint}`],
    ['two spaces', `old  1\n\n${checkpoint}`],
    ['a carriage return', `old 1\r\n\n${checkpoint}`],
    ['a short hash', `old 1\nAAAA\n\n${checkpoint}`],
    ['a hash that is not canonical', `old 1\n${hashLine.replace(/=$/, '')}\n\n${checkpoint}`],
    ['64 hashes', `old 1\n${`${hashLine}\n`.repeat(64)}\n${checkpoint}`],
    ['no checkpoint', 'old 1\n\n'],
    ['a checkpoint without signatures', `old 1\n\n${parseNote(checkpoint).text}`],
    ['one byte too many', `old 0\n\n${'x'.repeat(ADD_CHECKPOINT_BYTES_MAX)}`],
  ])('%s is refused', (_, text) => {
    expect(codeOf(() => parseAddCheckpoint(Buffer.from(text)))).toBe('ledger.invalid');
  });

  test('whatever is accepted is written again byte for byte', () => {
    const valid = Buffer.from(EXAMPLE);
    const damaged = fc
      .array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 })
      .map((changes) => {
        const bytes = Buffer.from(valid);
        for (const [at, byte] of changes) bytes[at] = byte;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 300 })), (bytes) => {
        const code = codeOf(() => {
          const again = formatAddCheckpoint(parseAddCheckpoint(bytes));
          expect(Buffer.from(again)).toEqual(Buffer.from(bytes));
        });
        expect(['ledger.invalid', 'nothing thrown']).toContain(code);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the answer of a witness', () => {
  test('the size of status 409', () => {
    expect(Buffer.from(formatSize(0)).toString()).toBe('0\n');
    expect(parseSize(formatSize(Number.MAX_SAFE_INTEGER))).toBe(Number.MAX_SAFE_INTEGER);
    for (const text of ['', '12', '012\n', '-1\n', '1 \n', '1\n\n', `${'1'.repeat(40)}\n`, '1e3\n']) {
      expect(codeOf(() => parseSize(Buffer.from(text)))).toBe('ledger.invalid');
    }
    expect(codeOf(() => formatSize(-1))).toBe('ledger.invalid');
  });

  test('the lines of status 200', () => {
    const { signatures } = parseNote(checkpoint);
    expect(parseCosignatures(formatCosignatures(signatures))).toEqual(signatures);
    for (const text of ['', 'no line\n', `${'x'.repeat(ADD_CHECKPOINT_BYTES_MAX)}\n`]) {
      expect(codeOf(() => parseCosignatures(Buffer.from(text)))).toBe('ledger.invalid');
    }
  });

  test('garbage throws nothing but ledger.invalid', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const read of [parseSize, parseCosignatures]) {
          expect(['ledger.invalid', 'nothing thrown']).toContain(codeOf(() => read(bytes)));
        }
      }),
    );
  });
});
