import { expect, test } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { decodeEntry, encodeEntry } from '../../model/ledger/entry.ts';
import type { NewEntry } from '../../ports/ledger.ts';
import type { Policy } from '../../ports/policy.ts';
import { createPolicyFollower } from './follow-policy.ts';
import type { Station } from './stages.ts';

function rig() {
  const rows: Uint8Array[] = [];
  const notes: string[] = [];
  const state: { digest: string | null } = { digest: 'a'.repeat(64) };
  const append = (entries: NewEntry[]): number => {
    for (const entry of entries) rows.push(encodeEntry({ v: 1, ts: 1, actor: 'north', ...entry }));
    return rows.length;
  };
  const station = {
    clock: { nowMs: () => 1 },
    note: (text: string) => void notes.push(text),
  } as never as Station;
  const ports = {
    policy: () => {
      if (state.digest === null) throw new PhtError('policy.missing', 'there is none');
      return { digest: state.digest } as Policy;
    },
    log: { append },
    ledgerRows: { size: () => rows.length, read: (first: number, end: number) => rows.slice(first, end) },
  };
  const digests = () => rows.map((row) => decodeEntry(row).body['digest']);
  return { start: () => createPolicyFollower(station, ports), state, notes, digests };
}

test('a policy is on record once, also after a restart, and each change of it', () => {
  const { start, state, digests } = rig();
  const look = start();
  look();
  look();
  start()();
  expect(digests()).toEqual(['a'.repeat(64)]);
  state.digest = 'b'.repeat(64);
  look();
  start()();
  state.digest = 'a'.repeat(64);
  look();
  expect(digests()).toEqual(['a', 'b', 'a'].map((each) => each.repeat(64)));
});

test('one that cannot be read is told once, and is no change', () => {
  const { start, state, digests, notes } = rig();
  const look = start();
  look();
  state.digest = null;
  look();
  look();
  state.digest = 'a'.repeat(64);
  look();
  expect(digests()).toHaveLength(1);
  expect(notes).toHaveLength(1);
});
