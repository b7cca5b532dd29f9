import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NewEntry } from '../../ports/ledger.ts';
import { openStationStore, type StationStore } from './station-store.ts';

/** Salts wait for the entry that needs them: with it they are durable, and without it they are not. */

const SALT = Buffer.alloc(16, 7);
const NOW = Date.UTC(2026, 0, 1);
const ENTRY: NewEntry = {
  type: 'policy.changed',
  ...{ trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null },
  body: {},
};

let dir: string;
let store: StationStore;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'salts-'));
  store = open();
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true });
});

const open = (): StationStore => openStationStore(join(dir, 'state.db'), 'north');

function reopened(): StationStore {
  store.close();
  store = open();
  return store;
}

test('what was kept opens at once, and after a crash only if an entry was written since', () => {
  store.archive.keepSalt('one', SALT, 'rosa', ['rosa']);
  expect(store.archive.opening('one')).toEqual({ salt: SALT, value: 'rosa' });
  expect(reopened().archive.opening('one')).toBeNull();
  store.archive.keepSalt('two', SALT, 'rosa', ['rosa']);
  store.log.append([ENTRY], NOW);
  expect(reopened().archive.opening('two')?.value).toBe('rosa');
});

test('an entry that is refused takes its salt back, and the next one brings it along', () => {
  store.archive.keepSalt('one', SALT, 'rosa', ['rosa']);
  const tooLong: NewEntry = { ...ENTRY, body: { text: 'x'.repeat(5000) } };
  expect(() => store.log.append([tooLong], NOW)).toThrow(/4096/);
  expect(store.archive.opening('one')?.value).toBe('rosa');
  store.log.append([ENTRY], NOW);
  expect(reopened().archive.opening('one')?.value).toBe('rosa');
});

test('an erasure reaches a salt that waits', () => {
  store.archive.keepSalt('one', SALT, 'rosa', ['rosa']);
  store.archive.keepSalt('two', SALT, 'rolf', ['rolf']);
  const { salts } = store.archive.erase('rosa', NOW, () => ENTRY);
  expect(salts).toBe(1);
  expect(store.archive.opening('one')).toBeNull();
  expect(reopened().archive.opening('one')).toBeNull();
  expect(store.archive.opening('two')?.value).toBe('rolf');
});
