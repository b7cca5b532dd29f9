import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestOf, hopIdOf, trainIdOf } from '../id.ts';
import { decodeEntry, ENTRY_TYPES, encodeEntry, type LedgerEntry } from './entry.ts';
import { codeOf } from './golden.fixture.ts';

const digest = digestOf('manifest');
const entry: LedgerEntry = {
  v: 1,
  ts: 1_795_225_997_000,
  type: 'policy.decided',
  trainId: trainIdOf(digest),
  hopId: hopIdOf(digest),
  attempt: 1,
  epoch: 2,
  manifestDigest: digest,
  actor: 'station-a',
  prev: { origin: 'dispatcher.example/ledger', index: 7, leafHash: digestOf('leaf') },
  body: { verdict: 'permit', reasons: ['a', 'b'], asked: false, rules: -3 },
};
const written = Buffer.from(encodeEntry(entry)).toString();

const arbitraryEntry: fc.Arbitrary<LedgerEntry> = fc.record({
  v: fc.constant<1>(1),
  ts: fc.integer({ min: 0, max: 8_640_000_000_000_000 }),
  type: fc.constantFrom(...ENTRY_TYPES),
  trainId: fc.constantFrom(null, trainIdOf(digest)),
  hopId: fc.constantFrom(null, hopIdOf(digest)),
  attempt: fc.option(fc.nat()),
  epoch: fc.option(fc.nat()),
  manifestDigest: fc.constantFrom(null, digest),
  actor: fc.stringMatching(/^[a-z0-9-]{1,40}$/),
  prev: fc.option(
    fc.record({
      origin: fc.stringMatching(/^[a-z./]{1,40}$/),
      index: fc.nat(),
      leafHash: fc.constant(digest),
    }),
  ),
  body: fc.dictionary(
    fc.stringMatching(/^[a-z][A-Za-z0-9]{0,10}$/),
    fc.oneof(
      fc.stringMatching(/^[ -~é€😀]{0,20}$/u),
      fc.integer(),
      fc.boolean(),
      fc.array(fc.stringMatching(/^[ -~]{0,9}$/)),
    ),
    { maxKeys: 8 },
  ),
});

describe('ledger entry', () => {
  test('has one spelling: members in fixed order, body sorted', () => {
    expect(written).toBe(
      `{"v":1,"ts":1795225997000,"type":"policy.decided","trainId":"trn_${digest.slice(0, 24)}",` +
        `"hopId":"hop_${digest.slice(0, 24)}","attempt":1,"epoch":2,"manifestDigest":"${digest}","actor":"station-a",` +
        `"prev":{"origin":"dispatcher.example/ledger","index":7,"leafHash":"${digestOf('leaf')}"},` +
        '"body":{"asked":false,"reasons":["a","b"],"rules":-3,"verdict":"permit"}}',
    );
  });

  test('comes back as it went in, whatever order its members had', () => {
    fc.assert(
      fc.property(arbitraryEntry, (value) => {
        const bytes = encodeEntry(value);
        expect(decodeEntry(bytes)).toEqual(value);
        const reversed = Object.fromEntries(Object.entries(value.body).reverse());
        expect(encodeEntry({ ...value, body: reversed })).toEqual(bytes);
      }),
    );
  });

  test('4096 bytes are written, one more is not', () => {
    const room = 4096 - encodeEntry({ ...entry, body: { fill: '' } }).length;
    expect(encodeEntry({ ...entry, body: { fill: 'x'.repeat(room) } })).toHaveLength(4096);
    expect(codeOf(() => encodeEntry({ ...entry, body: { fill: 'x'.repeat(room + 1) } }))).toBe(
      'ledger.invalid',
    );
  });

  test.each([
    ['nothing', ''],
    ['not JSON', '{'],
    ['not an object', '[]'],
    ['space', written.replace('{"v"', '{ "v"')],
    ['newline behind', `${written}\n`],
    ['byte order mark', `\ufeff${written}`],
    ['another version', written.replace('"v":1', '"v":2')],
    ['duplicate member', written.replace('"v":1', '"v":1,"v":1')],
    ['duplicate in body', written.replace('"asked":false', '"asked":true,"asked":false')],
    ['unknown member', written.replace('"v":1', '"v":1,"w":1')],
    ['missing member', written.replace('"attempt":1,', '')],
    ['another order', written.replace('"attempt":1,"epoch":2', '"epoch":2,"attempt":1')],
    [
      'unsorted body',
      written.replace('"asked":false,"reasons":["a","b"]', '"reasons":["a","b"],"asked":false'),
    ],
    ['unknown type', written.replace('policy.decided', 'policy.guessed')],
    ['bad train id', written.replace('trn_', 'trx_')],
    ['escaped letter', written.replace('permit', '\\u0070ermit')],
    ['fraction', written.replace('"rules":-3', '"rules":-3.5')],
    ['other spelling of a number', written.replace('"rules":-3', '"rules":-3.0')],
    ['minus zero', written.replace('"rules":-3', '"rules":-0')],
    ['number beyond 2^53', written.replace('"rules":-3', '"rules":9007199254740993')],
    ['null in body', written.replace('"rules":-3', '"rules":null')],
    ['nested body', written.replace('"rules":-3', '"rules":{"a":1}')],
    ['numbers in a list', written.replace('["a","b"]', '[1]')],
    ['key of digits', written.replace('"rules"', '"1"')],
    ['__proto__', written.replace('"asked":false', '"__proto__":false')],
    ['terminal escape', written.replace('permit', '\\u001b[2J')],
    ['right-to-left override', written.replace('permit', '\u202epermit')],
    ['lone surrogate', written.replace('permit', '\\ud800')],
    ['no actor', written.replace('station-a', '')],
    ['negative time', written.replace('"ts":', '"ts":-')],
  ])('refuses: %s', (_, text) => {
    expect(text).not.toBe(written);
    expect(codeOf(() => decodeEntry(Buffer.from(text)))).toBe('ledger.invalid');
  });

  test('refuses to write what it would refuse to read', () => {
    expect(codeOf(() => encodeEntry({ ...entry, body: { rate: 0.5 } }))).toBe('ledger.invalid');
    expect(codeOf(() => encodeEntry({ ...entry, body: { text: 'two\nlines' } }))).toBe('ledger.invalid');
    expect(codeOf(() => encodeEntry({ ...entry, attempt: -1 }))).toBe('ledger.invalid');
  });
});
