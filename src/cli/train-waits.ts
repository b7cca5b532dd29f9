import type { JourneyView, StopView } from '../model/journey-view.ts';
import type { Heard } from '../ports/researcher-trains.ts';
import { wrap } from './text.ts';

/** On whom each stop waits and since when, in words. All of it is what the dispatcher claims. */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const WEEK_MS = 7 * DAY_MS;

/** The largest unit of which there are two or more: `9 days`, `3 weeks`. */
export function durationWords(ms: number): string {
  if (ms < MINUTE_MS) return 'less than a minute';
  if (ms < 2 * HOUR_MS) return counted(ms, MINUTE_MS, 'minute');
  if (ms < 2 * DAY_MS) return counted(ms, HOUR_MS, 'hour');
  if (ms < 2 * WEEK_MS) return counted(ms, DAY_MS, 'day');
  return counted(ms, WEEK_MS, 'week');
}

function counted(ms: number, unitMs: number, name: string): string {
  const count = Math.floor(ms / unitMs);
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `09:12 UTC` within a day, `12 Nov` within a year, else `12 Nov 2025`. A clock that lags behind shows no future. */
export function momentWords(atMs: number, nowMs: number): string {
  const at = new Date(atMs);
  if (nowMs - atMs < DAY_MS) return `${at.toISOString().slice(11, 16)} UTC`;
  const year = at.getUTCFullYear() === new Date(nowMs).getUTCFullYear() ? '' : ` ${at.getUTCFullYear()}`;
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}${year}`;
}

function since(atMs: number, nowMs: number): string {
  return `${momentWords(atMs, nowMs)} (${durationWords(Math.max(0, nowMs - atMs))})`;
}

const WORDS: Readonly<Record<Exclude<StopView['waitsFor'], '' | 'station'>, string>> = {
  admin: 'waits for its admin',
  'second-admin': 'waits for its second admin',
  witnesses: 'has a result, which waits for witnesses',
  authority: 'waits for a current network file',
  engine: 'waits for its container engine',
  dispatcher: 'waits for the dispatcher',
};

const AT_THE_STATION: Partial<Record<StopView['state'], string>> = {
  ordered: 'waits for the station to take it',
  received: 'is looked at',
  cleared: 'waits for its turn there',
  running: 'runs there',
};

/** @returns null for a stop that waits for nobody */
export function waitWords(stop: StopView, nowMs: number): string | null {
  if (stop.waitsFor === '') return null;
  const what =
    stop.waitsFor === 'station' ? (AT_THE_STATION[stop.state] ?? 'is there') : WORDS[stop.waitsFor];
  return `${what} since ${since(stop.waitsSinceMs, nowMs)}${absence(stop, nowMs)}`;
}

function absence({ stationOnline, stationSeenMs }: StopView, nowMs: number): string {
  if (stationOnline) return '';
  if (stationSeenMs === 0) return '; the station was never online';
  const ago = durationWords(Math.max(0, nowMs - stationSeenMs));
  return `; the station is offline, last seen ${momentWords(stationSeenMs, nowMs)} (${ago} ago)`;
}

/** What tells one wait from the next: not how long it lasts, nor when the station was seen last. */
export function waitKey({ state, code, waitsFor, waitsSinceMs, stationOnline }: StopView): string {
  return JSON.stringify(
    waitsFor === '' ? [state, code] : [state, code, waitsFor, waitsSinceMs, stationOnline],
  );
}

/** Under the list of trains: each that is under way, with every stop that is not done. */
export function waitingLines(journeys: readonly JourneyView[], nowMs: number): string[] {
  const lines = journeys.flatMap(({ trainId, stops }) => {
    const waits = stops.flatMap((stop) => {
      const words = waitWords(stop, nowMs);
      return words === null ? [] : hanging(`  ${stop.station}: `, words);
    });
    return waits.length === 0 ? [] : [trainId, ...waits];
  });
  return lines.length === 0 ? [] : ['', 'What they wait for, says the dispatcher:', ...lines];
}

/** The same of what was heard before, each as of its own time. */
export function waitingThenLines(heard: readonly Heard[]): string[] {
  const lines = heard.flatMap(({ journey, heardAtMs }) => {
    const [, , train, ...waits] = waitingLines([journey], heardAtMs);
    const at = `${new Date(heardAtMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
    return train === undefined ? [] : [`${train}, as of ${at}`, ...waits];
  });
  return lines.length === 0 ? [] : ['', 'What they waited for then, said the dispatcher:', ...lines];
}

/** Words behind a head, and wrapped under it. */
export function hanging(head: string, words: string): string[] {
  const [first = '', ...rest] = wrap(words, head.length);
  return [`${head}${first.trimStart()}`, ...rest];
}
