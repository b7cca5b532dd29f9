import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type KeptHead, retained } from './retained.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW_MS = 1000 * DAY_MS + 13 * HOUR_MS;
const head = (atMs: number, version = 1, size = atMs / 1000): KeptHead => ({
  version,
  size,
  atMs,
  bytes: 600,
});
const kept = (heads: readonly KeptHead[], endsMs: readonly number[] = [], limits = {}): number[] => {
  const all = { headsMax: 2048, bytesMax: 3 * 1024 * 1024, ...limits };
  return [...retained(heads, { nowMs: NOW_MS, endsMs, limits: all })].map(({ atMs }) => atMs);
};
const every = (count: number, stepMs: number, fromMs: number): KeptHead[] =>
  Array.from({ length: count }, (_, at) => head(fromMs + at * stepMs));

describe('of all heads of a ledger', () => {
  it('the last of each UTC day is kept', () => {
    const heads = every(240, HOUR_MS, NOW_MS - 20 * DAY_MS);
    const left = kept(heads);
    expect(left).toEqual(
      Array.from({ length: 10 }, (_, at) => (980 + at + 1) * DAY_MS - HOUR_MS).concat(
        NOW_MS - 10 * DAY_MS - HOUR_MS,
      ),
    );
  });

  it('more of the last day, and more yet of the last hour', () => {
    expect(kept(every(100, 60_000, NOW_MS - 5 * HOUR_MS))).toHaveLength(10);
    expect(kept(every(100, 1000, NOW_MS - 600_000))).toHaveLength(10);
  });

  it('the last of each version of the network is kept', () => {
    const day = 900 * DAY_MS;
    const heads = [head(day, 1), head(day + 1000, 1), head(day + 2000, 2), head(day + 3000, 3)];
    expect(kept(heads)).toEqual([day + 1000, day + 2000, day + 3000]);
  });

  it('the last before trust in somebody ended is kept', () => {
    const day = 900 * DAY_MS;
    const heads = [head(day), head(day + 5000), head(day + 6000), head(day + 9000)];
    expect(kept(heads, [day + 6000])).toEqual([day + 5000, day + 9000]);
    expect(kept(heads, [day])).toEqual([day + 9000]);
  });

  it('beyond the limits every second one of the older half goes, and those that tell the most go last', () => {
    const heads = every(100, DAY_MS, NOW_MS - 100 * DAY_MS - HOUR_MS);
    const dear = (heads[0]?.atMs ?? 0) + 1;
    const left = kept(heads, [dear], { headsMax: 80 });
    expect(left).toHaveLength(76);
    expect(left[0]).toBe(dear - 1);
    expect(left.slice(-50)).toEqual(heads.slice(50).map(({ atMs }) => atMs));
    expect(kept(heads, [dear], { bytesMax: 601 * 60 }).length).toBeLessThanOrEqual(60);
  });

  it('never more than the limits, though all of them tell something', () => {
    const heads = Array.from({ length: 500 }, (_, at) => head(NOW_MS - DAY_MS * at, at + 1));
    expect(kept(heads, [], { headsMax: 100 }).length).toBeLessThanOrEqual(100);
    expect(kept(heads, [], { headsMax: 1 })).toEqual([NOW_MS]);
  });

  it('the newest stays, and doing it again changes nothing', () => {
    const some = fc.record({
      version: fc.integer({ min: 1, max: 5 }),
      atMs: fc.integer({ min: 0, max: NOW_MS }),
      size: fc.integer({ min: 1, max: 1000 }),
      bytes: fc.constant(600),
    });
    fc.assert(
      fc.property(
        fc.array(some, { minLength: 1, maxLength: 60 }),
        fc.array(fc.nat(NOW_MS)),
        (heads, endsMs) => {
          const limits = { headsMax: 2048, bytesMax: 3 * 1024 * 1024 };
          const once = retained(heads, { nowMs: NOW_MS, endsMs, limits });
          expect(Math.max(...[...once].map(({ atMs }) => atMs))).toBe(
            Math.max(...heads.map(({ atMs }) => atMs)),
          );
          expect(retained([...once], { nowMs: NOW_MS, endsMs, limits })).toEqual(once);
        },
      ),
    );
  });
});
