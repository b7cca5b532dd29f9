import { expect, test } from 'vitest';
import type { NewEntry } from '../../ports/ledger.ts';
import type { StationLog } from '../../ports/station-store.ts';
import { createRejects } from './rejects.ts';
import type { Station } from './stages.ts';

test('a flood of rejects is counted whole and written in few entries', () => {
  let nowMs = 1_000_000;
  const written: NewEntry[] = [];
  const log = { append: (entries: NewEntry[]) => written.push(...entries) } as never as StationLog;
  const rejects = createRejects({ clock: { nowMs: () => nowMs } } as never as Station, log);
  for (let at = 0; at < 10_000; at++) rejects.count(at % 2 === 0 ? 'signature.invalid' : 'order.audience');
  expect(written.length).toBe(60);
  nowMs += 60_000;
  rejects.count('signature.invalid');
  expect(written.length).toBe(63);
  const total = written.reduce((sum, { body }) => sum + Number(body['count']), 0);
  expect(total).toBe(10_001);
});
