import { describe, expect, test } from 'vitest';
import { STOP_STATES, WAITED_FOR } from '../model/account.ts';
import type { TrainId } from '../model/id.ts';
import type { JourneyView, StopView } from '../model/journey-view.ts';
import { newsLines } from './train-follow.ts';
import { durationWords, momentWords, waitingLines, waitWords } from './train-waits.ts';

const NOW = Date.UTC(2026, 10, 21, 9, 30);
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const trainId = 'trn_0123456789abcdef01234567' as TrainId;

const stop = (change: Partial<StopView> = {}): StopView => ({
  station: 'amsterdam',
  state: 'awaiting-clearance',
  code: '',
  changedAtMs: NOW - 9 * DAY,
  attempt: 1,
  hopId: '',
  waitsFor: 'admin',
  waitsSinceMs: NOW - 9 * DAY,
  stationOnline: true,
  stationSeenMs: NOW,
  ...change,
});
const journey = (...stops: StopView[]): JourneyView => ({
  trainId,
  title: 'T',
  state: 'under-way',
  submittedAtMs: NOW,
  stops,
});

test.each([
  [0, 'less than a minute'],
  [59_999, 'less than a minute'],
  [MINUTE, '1 minute'],
  [119 * MINUTE, '119 minutes'],
  [120 * MINUTE, '2 hours'],
  [47 * 60 * MINUTE, '47 hours'],
  [2 * DAY, '2 days'],
  [13.9 * DAY, '13 days'],
  [14 * DAY, '2 weeks'],
  [89 * DAY, '12 weeks'],
])('%d ms are %s', (ms, words) => {
  expect(durationWords(ms)).toBe(words);
});

test.each([
  [NOW - MINUTE, '09:29 UTC'],
  [NOW + MINUTE, '09:31 UTC'],
  [NOW - 9 * DAY, '12 Nov'],
  [NOW - 400 * DAY, '17 Oct 2025'],
])('%d is shown as %s', (atMs, words) => {
  expect(momentWords(atMs, NOW)).toBe(words);
});

describe('on whom a stop waits', () => {
  test.each<[Partial<StopView>, string]>([
    [{}, 'waits for its admin since 12 Nov (9 days)'],
    [{ waitsFor: 'second-admin' }, 'waits for its second admin since 12 Nov (9 days)'],
    [{ waitsFor: 'witnesses' }, 'has a result, which waits for witnesses since 12 Nov (9 days)'],
    [{ waitsFor: 'authority' }, 'waits for a current network file since 12 Nov (9 days)'],
    [{ waitsFor: 'engine' }, 'waits for its container engine since 12 Nov (9 days)'],
    [{ waitsFor: 'dispatcher' }, 'waits for the dispatcher since 12 Nov (9 days)'],
    [{ waitsFor: 'station', state: 'ordered' }, 'waits for the station to take it since 12 Nov (9 days)'],
    [
      { waitsFor: 'station', state: 'running', waitsSinceMs: NOW - 3 * MINUTE },
      'runs there since 09:27 UTC (3 minutes)',
    ],
    [
      { waitsFor: 'station', state: 'ordered', stationOnline: false, stationSeenMs: NOW - 21 * DAY },
      'waits for the station to take it since 12 Nov (9 days); the station is offline, last seen 31 Oct (3 weeks ago)',
    ],
    [
      { stationOnline: false, stationSeenMs: 0 },
      'waits for its admin since 12 Nov (9 days); the station was never online',
    ],
  ])('%o', (change, words) => {
    expect(waitWords(stop(change), NOW)).toBe(words);
  });

  test('nobody, once it has ended', () => {
    expect(waitWords(stop({ state: 'released', code: 'released', waitsFor: '' }), NOW)).toBeNull();
  });

  test('fits a terminal, whatever the stop', () => {
    for (const waitsFor of WAITED_FOR) {
      for (const state of STOP_STATES) {
        const long = stop({
          station: 's'.repeat(40),
          state,
          waitsFor,
          stationOnline: false,
          code: 'run.failed',
        });
        const lines = [...waitingLines([journey(long)], NOW), ...newsLines(journey(long), new Map(), NOW)];
        for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(80);
      }
    }
  });
});

test('the list says on whom each train waits, and that the dispatcher claims it', () => {
  const ended = stop({ station: 'nih', state: 'released', waitsFor: '' });
  expect(waitingLines([journey(stop(), ended)], NOW)).toEqual([
    '',
    'What they wait for, says the dispatcher:',
    trainId,
    '  amsterdam: waits for its admin since 12 Nov (9 days)',
  ]);
  expect(waitingLines([journey(ended)], NOW)).toEqual([]);
});

describe('watching', () => {
  test('prints a wait once, however long it lasts, and again when it is another one', () => {
    const shown = new Map<string, string>();
    const wait = stop();
    expect(newsLines(journey(wait), shown, NOW)).toEqual([
      '09:30:00  amsterdam             awaiting-clearance: waits for its admin since 12',
      '                                Nov (9 days)',
    ]);
    for (let week = 1; week < 12; week++) {
      const later = NOW + week * 7 * DAY;
      expect(newsLines(journey({ ...wait, stationSeenMs: later }), shown, later)).toEqual([]);
    }
    const gone = { ...wait, stationOnline: false };
    expect(newsLines(journey(gone), shown, NOW).join(' ')).toContain('offline');
    expect(newsLines(journey(gone), shown, NOW)).toEqual([]);
    expect(newsLines(journey(wait), shown, NOW)).toHaveLength(2);
  });

  test('says at the end what the code means, and where the stations say why', () => {
    const refused = stop({ state: 'refused', code: 'policy.denied', waitsFor: '' });
    const lines = newsLines({ ...journey(refused), state: 'failed' }, new Map(), NOW).join(' ');
    expect(lines.replace(/\s+/g, ' ')).toContain(
      "refused (policy.denied): the station's policy does not permit the train",
    );
    expect(lines).toContain('0 of 1 stops released a result, says the dispatcher');
    expect(lines).toContain(`pht train result ${trainId}`);
  });
});
