import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { blob, blobOrNull, integer, openDatabase, text, textOrNull } from './database.ts';
import { highestSeenMs } from './station-clock.ts';

const FIRST = 'CREATE TABLE a (x INTEGER PRIMARY KEY) STRICT';
const SECOND = 'CREATE TABLE b (y INTEGER PRIMARY KEY) STRICT; INSERT INTO b (y) VALUES (7)';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'database-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const path = (): string => join(dir, 'state.db');

test('commits are synced: WAL with synchronous=FULL', () => {
  const database = openDatabase(path(), [FIRST]);
  expect(database.get('PRAGMA journal_mode')).toMatchObject({ journal_mode: 'wal' });
  expect(database.get('PRAGMA synchronous')).toMatchObject({ synchronous: 2 });
  database.close();
});

test('a database is brought up to date, each script once', () => {
  const old = openDatabase(path(), [FIRST]);
  old.run('INSERT INTO a (x) VALUES (1)');
  old.close();
  for (let open = 0; open < 2; open++) {
    const next = openDatabase(path(), [FIRST, SECOND]);
    expect(next.all('SELECT x FROM a').map((row) => ({ ...row }))).toEqual([{ x: 1 }]);
    expect(next.all('SELECT y FROM b').map((row) => ({ ...row }))).toEqual([{ y: 7 }]);
    next.close();
  }
});

test('a script that fails changes nothing', () => {
  openDatabase(path(), [FIRST]).close();
  expect(() =>
    openDatabase(path(), [FIRST, 'CREATE TABLE b (y INTEGER) STRICT; INSERT INTO nowhere VALUES (1)']),
  ).toThrow();
  const database = openDatabase(path(), [FIRST, SECOND]);
  expect(database.get('SELECT y FROM b')).toMatchObject({ y: 7 });
  database.close();
});

test('a newer database is refused and left alone', () => {
  openDatabase(path(), [FIRST, SECOND]).close();
  expect(() => openDatabase(path(), [FIRST])).toThrowError(expect.objectContaining({ code: 'conflict' }));
  const database = openDatabase(path(), [FIRST, SECOND]);
  expect(database.get('PRAGMA user_version')).toMatchObject({ user_version: 2 });
  database.close();
});

test('a throw rolls back all of a transaction, nested ones with it', () => {
  const database = openDatabase(path(), [FIRST]);
  const insert = (x: number) => database.run('INSERT INTO a (x) VALUES (?)', x);
  expect(() =>
    database.transaction(() => {
      insert(1);
      database.transaction(() => insert(2));
      throw new Error('no');
    }),
  ).toThrow('no');
  expect(database.all('SELECT x FROM a')).toEqual([]);
  expect(database.transaction(() => insert(3))).toBe(1);
  expect(database.all('SELECT x FROM a')).toHaveLength(1);
  database.close();
});

test('a column of another type than the code believes is an error, never a wrong value', () => {
  const row = { t: 'x', n: 1, b: new Uint8Array([1]), none: null };
  expect([text(row, 't'), integer(row, 'n'), blob(row, 'b')]).toEqual(['x', 1, new Uint8Array([1])]);
  expect([textOrNull(row, 'none'), blobOrNull(row, 'none'), textOrNull(row, 'absent')]).toEqual([
    null,
    null,
    null,
  ]);
  const internal = expect.objectContaining({ code: 'internal' });
  for (const read of [
    () => text(row, 'n'),
    () => integer(row, 't'),
    () => blob(row, 't'),
    () => text(row, 'none'),
  ]) {
    expect(read).toThrowError(internal);
  }
});

test('the highest time seen is read beside an open database, and nothing is made where there is none', () => {
  expect(highestSeenMs(path())).toBeNull();
  const clock =
    'CREATE TABLE clock (one INTEGER PRIMARY KEY, highest INTEGER NOT NULL) STRICT; INSERT INTO clock VALUES (1, 0)';
  const database = openDatabase(path(), [clock]);
  expect(highestSeenMs(path())).toBeNull();
  database.run('UPDATE clock SET highest = 1780000000000');
  expect(highestSeenMs(path())).toBe(1_780_000_000_000);
  database.run('DROP TABLE clock');
  expect(() => highestSeenMs(path())).toThrowError(expect.objectContaining({ code: 'conflict' }));
  database.close();
});

test('a full disk is told as such, and the transaction is undone', () => {
  const database = openDatabase(path(), ['CREATE TABLE c (z BLOB) STRICT']);
  database.get('PRAGMA max_page_count = 4');
  const fill = (): number => database.run('INSERT INTO c (z) VALUES (zeroblob(100000))');
  expect(() => database.transaction(fill)).toThrow(expect.objectContaining({ errcode: 13 }));
  expect(database.transaction(() => database.run('INSERT INTO c (z) VALUES (zeroblob(1))'))).toBe(1);
  expect(database.all('SELECT z FROM c').length).toBe(1);
  database.close();
});

test('a file that is no database is named, with what to do', () => {
  writeFileSync(path(), 'x'.repeat(4096));
  expect(() => openDatabase(path(), [FIRST])).toThrow(
    expect.objectContaining({ code: 'config.invalid', message: expect.stringContaining(path()) }),
  );
});
