import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDatabase } from './database.ts';
import { createInquiries, eraseInquiries, INQUIRY_TABLES } from './station-inquiries.ts';

const NOW = Date.UTC(2026, 5, 1);
const HOUR_MS = 3_600_000;
const RATES = { windowMs: HOUR_MS, perResearcherMax: 2, overallMax: 3 };

let dir: string;
let database: ReturnType<typeof openDatabase>;
const open = () => {
  database = openDatabase(join(dir, 'state.db'), [INQUIRY_TABLES]);
};
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'inquiries-'));
  open();
});
afterEach(() => {
  database.close();
  rmSync(dir, { recursive: true, force: true });
});

function take(digest: string, researcher: string, nowMs: number, expiresMs = nowMs + 60_000) {
  return createInquiries(database).take({ digest, researcher, expiresMs }, RATES, nowMs);
}
const rows = () => database.all('SELECT researcher FROM inquiries').map((row) => row['researcher']);

test('each researcher has his own room, all have one together, and both outlive the process', () => {
  expect(take('a', 'rosa', NOW)).toBe('taken');
  expect(take('b', 'rosa', NOW)).toBe('taken');
  database.close();
  open();
  expect(take('c', 'rosa', NOW + HOUR_MS - 1)).toBe('too-many');
  expect(take('d', 'rita', NOW)).toBe('taken');
  expect(take('e', 'zoe', NOW)).toBe('too-many');
  expect(take('f', 'rosa', NOW + HOUR_MS)).toBe('taken');
});

test('what was asked before is told as long as it is valid, and what was not taken is not remembered', () => {
  expect(take('a', 'rosa', NOW, NOW + 2 * HOUR_MS)).toBe('taken');
  expect(take('a', 'rosa', NOW + HOUR_MS)).toBe('replayed');
  expect(take('a', 'rosa', NOW + 2 * HOUR_MS)).toBe('taken');
  expect(take('b', 'rosa', NOW + 2 * HOUR_MS)).toBe('taken');
  expect(take('c', 'rosa', NOW + 2 * HOUR_MS)).toBe('too-many');
  expect(take('c', 'rosa', NOW + 3 * HOUR_MS)).toBe('taken');
});

test('a clock that was set back opens no new window', () => {
  take('a', 'rosa', NOW);
  take('b', 'rosa', NOW);
  expect(take('c', 'rosa', NOW - HOUR_MS + 1)).toBe('too-many');
});

test('an erasure takes the name, and lets nobody ask anew', () => {
  take('a', 'rosa', NOW);
  take('b', 'rita', NOW);
  eraseInquiries(database, 'rosa');
  expect(rows()).toEqual(['', 'rita']);
  expect(take('a', 'rosa', NOW)).toBe('replayed');
});

test('never more within an hour than the rates allow, and never more rows', () => {
  const step = fc.record({
    researcher: fc.constantFrom('rosa', 'rita', 'zoe'),
    laterMs: fc.integer({ min: 0, max: HOUR_MS / 2 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      database.run('DELETE FROM inquiries');
      const taken: { researcher: string; atMs: number }[] = [];
      let nowMs = NOW;
      for (const [at, { researcher, laterMs }] of steps.entries()) {
        nowMs += laterMs;
        const within = taken.filter(({ atMs }) => nowMs - atMs < HOUR_MS);
        const own = within.filter((each) => each.researcher === researcher);
        const room = within.length < RATES.overallMax && own.length < RATES.perResearcherMax;
        expect(take(String(at), researcher, nowMs)).toBe(room ? 'taken' : 'too-many');
        if (room) taken.push({ researcher, atMs: nowMs });
        expect(rows().length).toBeLessThanOrEqual(RATES.overallMax);
      }
    }),
    { numRuns: 30 },
  );
});
