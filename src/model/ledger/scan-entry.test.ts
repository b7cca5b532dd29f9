import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestOf, hopIdOf, trainIdOf } from '../id.ts';
import { decodeEntry, ENTRY_TYPES, type EntryType, encodeEntry, type LedgerEntry } from './entry.ts';
import { codeOf } from './golden.fixture.ts';
import { type ScannedEntry, scanEntry } from './scan-entry.ts';

const TYPES: ReadonlyMap<string, EntryType> = new Map(ENTRY_TYPES.map((type) => [type, type]));
const scan = (bytes: Uint8Array): ScannedEntry<EntryType> | null => scanEntry(bytes, TYPES);

/** The strict way, in other words: read as JSON, checked by the schema, and the same bytes when written again. */
function strictly(bytes: Uint8Array): LedgerEntry | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    const value = JSON.parse(text) as LedgerEntry;
    return Buffer.compare(encodeEntry(value), bytes) === 0 ? value : null;
  } catch {
    return null;
  }
}

const digests = fc.constantFrom(...['a', 'b', 'c'].map(digestOf));
const plain = (max: number): fc.Arbitrary<string> =>
  fc.stringMatching(new RegExp(`^[ !#-\\[\\]-~]{0,${max}}$`));
const odd = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.constantFrom('"', '\\', '\u007f', '\u00a0', '/', '\u2028', 'é', '😀', '\\u0041', '{"a":1}', '"],"b":["'),
);
const count = fc.oneof(
  fc.nat(),
  fc.maxSafeNat(),
  fc.constantFrom(0, 999_999_999_999_999, 1_000_000_000_000_000),
);
const safe = (value: string): string => value.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '?');

/** @param line of the texts in it */
const entries = (line: fc.Arbitrary<string>): fc.Arbitrary<LedgerEntry> => {
  const name = line.map((value) => safe(value).slice(0, 90) || '-');
  const value = line.map(safe);
  return fc.record({
    v: fc.constant<1>(1),
    ts: fc.oneof(fc.nat(), fc.constantFrom(1_795_225_997_000, 8_640_000_000_000_000)),
    type: fc.constantFrom(...ENTRY_TYPES),
    trainId: fc.option(digests.map(trainIdOf)),
    hopId: fc.option(digests.map(hopIdOf)),
    attempt: fc.option(count),
    epoch: fc.option(count),
    manifestDigest: fc.option(digests),
    actor: name,
    prev: fc.option(fc.record({ origin: name, index: count, leafHash: digests })),
    body: fc.dictionary(
      fc.oneof(
        fc.stringMatching(/^[a-z][A-Za-z0-9]{0,63}$/),
        fc.constantFrom('constructor', 'toString', 'a', 'b'),
      ),
      fc.oneof(value, fc.maxSafeInteger(), fc.integer(), fc.boolean(), fc.array(value, { maxLength: 4 })),
      { maxKeys: 6 },
    ),
  });
};

const SHORT = 30;
const anyEntry = fc.oneof(entries(plain(SHORT)), entries(fc.oneof(plain(SHORT), odd)));

/** Pieces that could be taken for what they are not. */
const pieces = fc.oneof(
  fc.uint8Array({ maxLength: 4 }),
  fc
    .constantFrom(
      '"',
      '\\',
      ',',
      '{',
      '}',
      '[]',
      '[',
      ']',
      ':',
      '-',
      '0',
      '00',
      '1e3',
      '.5',
      'null',
      'true',
      ' ',
      '\n',
    )
    .map((text) => Buffer.from(text)),
  fc
    .constantFrom('\u00e9', '\\u0061', ',"a":1', '"b":"x",', '"__proto__":1,', '\ufeff')
    .map((text) => Buffer.from(text)),
);
const damaged = fc
  .tuple(anyEntry, fc.nat(), fc.integer({ min: 0, max: 3 }), pieces)
  .map(([entry, place, drop, put]) => {
    const bytes = encodeEntry(entry);
    const at = place % (bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + drop)]);
  });

/** What is scanned is what the strict way reads, in the same order; and `decodeEntry` reads what the strict way reads. */
function agree(bytes: Uint8Array): void {
  const strict = strictly(bytes);
  const scanned = scan(bytes);
  if (scanned !== null) {
    // A member may be called constructor, which the matchers stumble over.
    expect(isDeepStrictEqual(scanned, strict)).toBe(true);
    expect(Buffer.from(JSON.stringify(scanned))).toEqual(Buffer.from(bytes));
  }
  if (strict === null) expect(codeOf(() => decodeEntry(bytes))).toBe('ledger.invalid');
  else expect(decodeEntry(bytes)).toEqual(strict);
}

describe('the quick way to read an entry', () => {
  test('reads every entry of plain text, however it is composed', () => {
    fc.assert(
      fc.property(entries(plain(SHORT)), (entry) => {
        const numbers = [
          entry.ts,
          entry.attempt,
          entry.epoch,
          entry.prev?.index,
          ...Object.values(entry.body),
        ];
        fc.pre(numbers.every((value) => typeof value !== 'number' || Math.abs(value) < 1e15));
        const bytes = encodeEntry(entry);
        expect(scan(bytes)).not.toBeNull();
        agree(bytes);
      }),
      { numRuns: 500 },
    );
  });

  test('agrees with the strict way on any entry', () => {
    fc.assert(
      fc.property(anyEntry, (entry) => agree(encodeEntry(entry))),
      { numRuns: 1000 },
    );
  });

  test('agrees with the strict way on any damage', () => {
    fc.assert(fc.property(damaged, agree), { numRuns: 5000 });
  });

  test('agrees with the strict way on each byte changed, dropped or doubled', () => {
    const digest = digestOf('x');
    const ids = { trainId: trainIdOf(digest), hopId: hopIdOf(digest), manifestDigest: digest };
    const prev = { origin: 'd', index: 10, leafHash: digest };
    const body = { a: true, b: [], c: ['x', 'y'], d: -7, e: 'text of some length', f: 0 };
    const bytes = encodeEntry({
      v: 1,
      ts: 12,
      type: 'run.ended',
      ...ids,
      attempt: 0,
      epoch: null,
      actor: 'n',
      prev,
      body,
    });
    expect(scan(bytes)).not.toBeNull();
    for (let at = 0; at < bytes.length; at++) {
      const [before, behind] = [bytes.subarray(0, at), bytes.subarray(at + 1)];
      agree(Buffer.concat([before, behind]));
      agree(Buffer.concat([before, bytes.subarray(at, at + 1), bytes.subarray(at)]));
      for (const bit of [0x01, 0x02, 0x10, 0x20, 0x80]) {
        agree(Buffer.concat([before, Buffer.of((bytes[at] ?? 0) ^ bit), behind]));
      }
    }
  });

  const numbered = (ts: string, attempt: string, index: string, value: string): Buffer =>
    Buffer.from(
      `{"v":1,"ts":${ts},"type":"log.started","trainId":null,"hopId":null,"attempt":${attempt},"epoch":null,` +
        `"manifestDigest":null,"actor":"n","prev":{"origin":"o","index":${index},"leafHash":"${digestOf('x')}"},` +
        `"body":{"a":${value},"b":[]}}`,
    );
  const NUMBERS = ['0', '-0', '7', '-7', '07', '+7', '7.0', '7e1', '0x7', '', '-', ' 7', 'null', '"7"'];
  const LIMITS = [999_999_999_999_999, 1_000_000_000_000_000, 8_640_000_000_000_000, 8_640_000_000_000_001];
  const BEYOND = ['9007199254740991', '9007199254740992', '9007199254740993', '99999999999999999', '1e400'];

  test.each([...NUMBERS, ...LIMITS.map(String), ...BEYOND])(
    'agrees with the strict way on the number %s',
    (number) => {
      agree(numbered(number, '1', '1', '1'));
      agree(numbered('1', number, '1', '1'));
      agree(numbered('1', '1', number, '1'));
      agree(numbered('1', '1', '1', number));
      agree(numbered('1', '1', '1', `-${number}`));
    },
  );

  test('agrees with the strict way on each byte put anywhere', () => {
    const bytes = numbered('1', '2', '3', '"x"');
    const puts = [
      '"',
      '\\',
      ',',
      ':',
      '-',
      '0',
      '1',
      ' ',
      'a',
      '{',
      '}',
      '[',
      ']',
      '\u0000',
      '\u007f',
      '\u00e9',
    ];
    for (let at = 0; at <= bytes.length; at++) {
      for (const put of puts)
        agree(Buffer.concat([bytes.subarray(0, at), Buffer.from(put), bytes.subarray(at)]));
    }
  });

  test.each([
    ['an actor of', '"actor":"', 200],
    ['an origin of', '"origin":"', 200],
    ['a key of', '"body":{"', 64],
  ])('agrees with the strict way on %s the greatest length and one more', (_, before, max) => {
    const text = numbered('1', '1', '1', '1').toString();
    const at = text.indexOf(before) + before.length;
    for (const more of [max - 1, max])
      agree(Buffer.from(text.slice(0, at) + 'a'.repeat(more) + text.slice(at)));
  });

  test('what was read before changes nothing', () => {
    const inputs = fc.array(fc.oneof(anyEntry.map(encodeEntry), damaged), { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(inputs, fc.array(fc.nat(5), { maxLength: 12 }), (all, order) => {
        const alone = all.map(strictly);
        for (const at of order) {
          const bytes = all[at % all.length] ?? Buffer.alloc(0);
          const scanned = scan(bytes);
          if (scanned !== null) expect(isDeepStrictEqual(scanned, alone[at % all.length])).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('takes bytes of any kind, also out of the middle of others', () => {
    const entry = { v: 1, ts: 1, type: 'log.started', trainId: null, hopId: null } as const;
    const rest = {
      attempt: null,
      epoch: null,
      manifestDigest: null,
      actor: 'n',
      prev: null,
      body: { a: 'b' },
    };
    const bytes = encodeEntry({ ...entry, ...rest });
    const around = new Uint8Array(bytes.length + 20).fill(0x41);
    around.set(bytes, 7);
    expect(scan(around.subarray(7, 7 + bytes.length))).toStrictEqual({ ...entry, ...rest });
  });

  test('an entry of the greatest size made to be looked at for long takes no time', () => {
    const head =
      '{"v":1,"ts":1,"type":"log.started","trainId":null,"hopId":null,"attempt":null,"epoch":null,';
    const list = `"manifestDigest":null,"actor":"n","prev":null,"body":{"a":[${'"",'.repeat(1200)}`;
    // Backtracking over each would outlast the test.
    for (let at = 0; at < 500; at++) expect(scan(Buffer.from(head + list))).toBeNull();
  });
});
