import { expect, test } from 'vitest';
import { ERROR_CODES } from '../../model/error.ts';
import { WAITS } from '../../model/hop.ts';
import type { HopNotes, HopRecord } from '../../ports/station-store.ts';
import { isPassing } from './close.ts';
import { waitOf } from './waits.ts';

const hop = (notes: HopNotes, held = false): HopRecord =>
  ({ notes, held: held ? { jwe: new Uint8Array(), ledgerSize: 1 } : null }) as HopRecord;

test('before a run whoever has to act is named, and only for what may pass', () => {
  const named = ERROR_CODES.filter((code) => waitOf(hop({}), code) !== null);
  for (const code of named) expect(isPassing(code), code).toBe(true);
  expect(new Set(named.map((code) => waitOf(hop({}), code)))).toEqual(new Set(WAITS));
  expect(waitOf(hop({}), 'engine.unsafe')).toBe('awaiting-engine');
  expect(waitOf(hop({}), 'network.stale')).toBe('awaiting-network');
  expect(waitOf(hop({}), 'clock.untrusted')).toBeNull();
  expect(waitOf(hop({}), undefined)).toBeNull();
});

test('once a run has begun nothing is said that its data could sway', () => {
  for (const code of ERROR_CODES) expect(waitOf(hop({ startedAtMs: 1 }), code)).toBeNull();
});

test('a result that is held says no more than that the network file is old', () => {
  const said = ERROR_CODES.filter((code) => waitOf(hop({ startedAtMs: 1 }, true), code) !== null);
  expect(said.sort()).toEqual(['network.behind', 'network.expired', 'network.stale']);
});
