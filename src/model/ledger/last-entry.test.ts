import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ENTRY_TYPES, type EntryType, encodeEntry } from './entry.ts';
import { lastEntry } from './last-entry.ts';

const entry = (type: EntryType, number: number): Uint8Array => {
  const nothing = {
    trainId: null,
    hopId: null,
    attempt: null,
    epoch: null,
    manifestDigest: null,
    prev: null,
  };
  // Text that only looks like the mark is inside quotes, and escaped.
  const body = { number, text: '"type":"network.changed"' };
  return encodeEntry({ v: 1, ts: 1, type, ...nothing, actor: 'north', body });
};

test('finds the newest of its type in logs of any length', () => {
  const types = fc.array(fc.constantFrom(...ENTRY_TYPES.slice(0, 25)), { maxLength: 1200 });
  fc.assert(
    fc.property(types, fc.constantFrom(...ENTRY_TYPES), (log, wanted) => {
      const rows = log.map(entry);
      const found = lastEntry({ size: () => rows.length, read: (from, to) => rows.slice(from, to) }, wanted);
      const at = log.lastIndexOf(wanted);
      expect(found?.body['number'] ?? -1).toBe(at);
      if (found !== null) expect(found.type).toBe(wanted);
    }),
    { numRuns: 50 },
  );
});
