import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDatabase } from './database.ts';
import { createNotices, NOTICE_TABLES, NOTICES_BY_VERDICT } from './station-notices.ts';

const HOPS =
  'CREATE TABLE hops (hop_id TEXT PRIMARY KEY, manifest_digest TEXT, state TEXT, changed_at INTEGER) STRICT';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'notices-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('what was told before notices were kept by verdict is not told again, and the rest is told', () => {
  const path = join(dir, 'state.db');
  const before = openDatabase(path, [HOPS, NOTICE_TABLES]);
  for (const [hop, told] of [
    ['hop_old', 5],
    ['hop_new', null],
  ] as const) {
    before.run(`INSERT INTO hops VALUES (?, ?, 'awaiting-clearance', 1)`, hop, 'a'.repeat(64));
    before.run(`INSERT INTO notices VALUES (?, 'ask', 1, 3, ?)`, hop, told);
  }
  before.close();
  const after = openDatabase(path, [HOPS, NOTICE_TABLES, NOTICES_BY_VERDICT]);
  const notices = createNotices(after);
  const waiting = notices.waiting(['ask'], 4, 9);
  expect(waiting.map(({ hopId, verdict }) => [hopId, verdict])).toEqual([['hop_new', 'ask']]);
  notices.told(waiting, 7);
  expect(notices.waiting(['ask'], 4, 9)).toEqual([]);
  expect(notices.waiting(['ask'], 6, 9)).toMatchObject([{ hopId: 'hop_old' }]);
  after.close();
});
