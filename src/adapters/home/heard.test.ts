import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PhtError } from '../../model/error.ts';
import type { TrainId } from '../../model/id.ts';
import type { JourneyView, StopView } from '../../model/journey-view.ts';
import { createHeardJourneys } from './heard.ts';

const NOW = Date.UTC(2026, 10, 21);
let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'heard-'));
  path = join(dir, 'journeys.json');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const STOP: StopView = {
  ...{ station: 'north', state: 'ordered', code: '', changedAtMs: NOW, attempt: 1, hopId: '' },
  ...{ waitsFor: 'station', waitsSinceMs: NOW, stationOnline: false, stationSeenMs: 0 },
};

function journey(at: number, change: Partial<JourneyView> = {}): JourneyView {
  const trainId = `trn_${at.toString(16).padStart(24, '0')}` as TrainId;
  const stops = [STOP];
  return { trainId, title: `Train ${at}`, state: 'under-way', submittedAtMs: NOW + at, stops, ...change };
}

test('what was heard is there for the next process, each with its time, and for its owner alone', () => {
  expect(createHeardJourneys(dir).list()).toEqual([]);
  createHeardJourneys(dir).replace([journey(2), journey(1)], NOW);
  createHeardJourneys(dir).keep(journey(1, { state: 'arrived' }), NOW + 5);
  expect(createHeardJourneys(dir).list()).toEqual([
    { heardAtMs: NOW, journey: journey(2) },
    { heardAtMs: NOW + 5, journey: journey(1, { state: 'arrived' }) },
  ]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  createHeardJourneys(dir).replace([journey(3)], NOW + 9);
  expect(createHeardJourneys(dir).list()).toEqual([{ heardAtMs: NOW + 9, journey: journey(3) }]);
});

test('it never grows beyond what is read again, and the oldest go first', () => {
  const many = Array.from({ length: 20 }, (_, at) => journey(at));
  createHeardJourneys(dir, 4000).replace(many, NOW);
  expect(statSync(path).size).toBeLessThanOrEqual(4000);
  const kept = createHeardJourneys(dir).list();
  expect(kept.length).toBeGreaterThan(5);
  expect(kept[0]?.journey.trainId).toBe(many.at(-1)?.trainId);
});

test('it holds no more trains than can be shown', () => {
  const heard = { heardAtMs: NOW, journey: journey(1, { stops: [] }) };
  const most = Array.from({ length: 10_000 }, () => heard);
  writeFileSync(path, JSON.stringify({ v: 1, journeys: most }));
  createHeardJourneys(dir).keep(journey(2), NOW);
  expect(createHeardJourneys(dir).list()).toHaveLength(10_000);
  writeFileSync(path, JSON.stringify({ v: 1, journeys: [...most, heard] }));
  expect(() => createHeardJourneys(dir).list()).toThrow(expect.objectContaining({ code: 'config.invalid' }));
});

test.each([
  ['empty', '', 'input.malformed'],
  ['cut off', '{"v":1,"journ', 'input.malformed'],
  ['of another version', '{"v":2,"journeys":[]}', 'config.invalid'],
  ['with an unknown member', '{"v":1,"journeys":[],"x":1}', 'config.invalid'],
  ['with a key twice', '{"v":1,"v":1,"journeys":[]}', 'input.malformed'],
])('one that is %s is refused', (_name, text, code) => {
  writeFileSync(path, text);
  expect(() => createHeardJourneys(dir).list()).toThrow(expect.objectContaining({ code }));
});

test('whatever stands there, it is read whole or refused', () => {
  createHeardJourneys(dir).replace([journey(1)], NOW);
  const sound = readFileSync(path);
  fc.assert(
    fc.property(fc.nat(sound.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
      const turned = Buffer.from(sound);
      turned[at] = byte;
      writeFileSync(path, turned);
      try {
        expect(createHeardJourneys(dir).list()).toHaveLength(1);
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(PhtError);
      }
    }),
    { numRuns: 200 },
  );
});
