import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PhtError } from '../error.ts';
import { parseResult } from './parse.ts';

const BYTES_MAX = 4096;
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const TOTAL = { id: 'n', kind: 'Frequencies', dims: [], cells: [{ k: [], n: 128 }] };
const document = (output: unknown): Uint8Array =>
  bytesOf(JSON.stringify({ schema: 'pht-result/v1', outputs: [output] }));

function refusal(raw: Uint8Array): PhtError {
  try {
    parseResult(raw, BYTES_MAX);
  } catch (thrown) {
    if (thrown instanceof PhtError) return thrown;
    throw thrown;
  }
  throw new Error('was accepted');
}

describe('parseResult', () => {
  it('reads a result', () => {
    expect(parseResult(document(TOTAL), BYTES_MAX).outputs).toEqual([TOTAL]);
  });

  it.each([
    ['nothing', '', 'is not strict JSON in UTF-8'],
    ['truncated', '{"schema":"pht-result/v1","outputs":[', 'is not strict JSON in UTF-8'],
    [
      'a key twice',
      '{"schema":"pht-result/v1","schema":"pht-result/v1","outputs":[]}',
      'is not strict JSON in UTF-8',
    ],
    ['too large', ' '.repeat(BYTES_MAX + 1), 'is larger than the limits allow'],
    ['another schema', '{"schema":"pht-result/v2","outputs":[]}', 'at schema ('],
    ['no outputs', '{"schema":"pht-result/v1","outputs":[]}', 'at outputs ('],
    ['an array', '[]', 'at its top level ('],
  ])('refuses %s', (_name, text, where) => {
    const error = refusal(bytesOf(text));
    expect(error.code).toBe('disclosure.withheld');
    expect(error.message).toContain(where);
  });

  it.each([
    ['a count that is a text', { ...TOTAL, cells: [{ k: [], n: '3' }] }],
    ['a negative count', { ...TOTAL, cells: [{ k: [], n: -3 }] }],
    ['a fraction', { ...TOTAL, cells: [{ k: [], n: 4.711 }] }],
  ])('names the place of %s and nothing that the train wrote', (_name, output) => {
    const error = refusal(document(output));
    expect(error.message).toContain('outputs[].cells[].n');
    expect(error.message).not.toMatch(/\d{2}|4\./);
  });

  it('keeps what the train wrote out of the message', () => {
    const smuggled = 'patient_4711_has_it';
    for (const raw of [
      document({ ...TOTAL, [smuggled]: 1 }),
      document({ ...TOTAL, id: smuggled.toUpperCase() }),
      document({ ...TOTAL, kind: smuggled }),
      bytesOf(`{"${smuggled}":1,"${smuggled}":2}`),
    ]) {
      expect(refusal(raw).message.toLowerCase()).not.toContain('4711');
    }
  });

  it('leaves a kind without rules to a person', () => {
    expect(refusal(document({ id: 'w', kind: 'Endpoints', max: 91 })).code).toBe('disclosure.held');
  });

  it('answers anything with a result or a stable code', () => {
    const mutated = fc.tuple(fc.nat(), fc.string({ maxLength: 6 })).map(([at, text]) => {
      const whole = new TextDecoder().decode(document(TOTAL));
      const cut = at % whole.length;
      return bytesOf(whole.slice(0, cut) + text + whole.slice(cut + text.length));
    });
    const anything = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.json().map(bytesOf), mutated);
    fc.assert(
      fc.property(anything, (raw) => {
        try {
          expect(parseResult(raw, BYTES_MAX).schema).toBe('pht-result/v1');
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(PhtError);
          expect((thrown as PhtError).code).toMatch(/^disclosure\.(withheld|held)$/);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
