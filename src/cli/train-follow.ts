import { z } from 'zod';
import { follow } from '../journey/researcher/follow.ts';
import { cancel, type JourneyView, listJourneys, type StopView } from '../journey/researcher/journeys.ts';
import { hasEnded } from '../model/account.ts';
import { parseEnvelope, payloadOf } from '../model/dsse.ts';
import { isErrorCode, PhtError } from '../model/error.ts';
import type { TrainId } from '../model/id.ts';
import { refusalOf } from '../model/refusal.ts';
import { check } from '../model/schema.ts';
import { readStatement } from '../model/statement.ts';
import { Manifest } from '../model/train.ts';
import { type Frame, signerOf } from './frame.ts';
import { table, truncate } from './text.ts';
import { parseTrainId, type Traveller, travel } from './train-compose.ts';
import { hanging, waitingLines, waitKey, waitWords } from './train-waits.ts';

/** `pht train list`, `watch` and `cancel`: what the dispatcher claims of journeys. */

type Listed = {
  trainId: string;
  title: string;
  state: string;
  submittedAtMs: number | null;
  stops: JourneyView['stops'];
};

const TITLE_COLUMNS = 16;
const SAYS = 'What the dispatcher says (a station speaks for itself in its receipt alone):';

export async function listTrains(frame: Frame): Promise<void> {
  await travel(frame, {}, async (traveller) => {
    const journeys = await listJourneys(await traveller.client(), traveller.retry, traveller.signal);
    const known = new Set<string>(journeys.map(({ trainId }) => trainId));
    const packed = traveller.trains.list().filter((trainId) => !known.has(trainId));
    const trains: Listed[] = [...packed.map((trainId) => packedOnly(traveller, trainId)), ...journeys];
    const rows = trains.map(({ trainId, title, state, submittedAtMs, stops }) => [
      trainId,
      state,
      submittedAtMs === null ? '-' : new Date(submittedAtMs).toISOString().slice(0, 10),
      stops.length === 0
        ? '-'
        : `${stops.filter((stop) => stop.state === 'released').length} of ${stops.length}`,
      // What can be copied must stay whole, so the title gives way alone.
      truncate(title, TITLE_COLUMNS),
    ]);
    const lines =
      rows.length === 0
        ? ['no trains yet']
        : table(['TRAIN', 'STATE', 'SUBMITTED', 'RELEASED', 'TITLE'], rows);
    lines.push(...waitingLines(journeys, frame.nowMs()));
    frame.output.result({ trains }, lines);
  });
}

/** A damaged one is listed too: hiding it would hide what has to be mended. */
function packedOnly({ trains }: Traveller, trainId: TrainId): Listed {
  const base = { trainId, submittedAtMs: null, stops: [] };
  try {
    const payload = payloadOf(parseEnvelope(trains.find(trainId).manifest, 'the manifest'));
    return { ...base, title: readStatement('manifest', Manifest, payload).predicate.title, state: 'packed' };
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    return { ...base, title: thrown.message, state: 'damaged' };
  }
}

export async function watchTrain(frame: Frame, id: string, options: { timeout?: number }): Promise<void> {
  const trainId = parseTrainId(id);
  await travel(frame, { timeoutMs: options.timeout }, async (traveller) => {
    if (!frame.output.json) frame.output.event({}, SAYS);
    const print = (journey: JourneyView, lines: string[]): void => {
      if (frame.output.json) frame.output.event(journey, '');
      else for (const line of lines) frame.output.event({}, line);
    };
    await followWith(frame, traveller, trainId, print);
  });
}

/** Progress on the way to a result. */
export async function waitFor(frame: Frame, traveller: Traveller, trainId: TrainId): Promise<void> {
  await followWith(frame, traveller, trainId, (_journey, lines) => {
    for (const line of lines) frame.output.progress(line);
  });
}

async function followWith(
  frame: Frame,
  traveller: Traveller,
  trainId: TrainId,
  print: (journey: JourneyView, lines: string[]) => void,
): Promise<void> {
  const { researcher, retry, signal } = traveller;
  const shown = new Map<string, string>();
  const seen = (journey: JourneyView): void => print(journey, newsLines(journey, shown, frame.nowMs()));
  const client = (again: boolean) => (again ? traveller.clientAgain() : traveller.client());
  await follow(trainId, researcher, { client, retry }, seen, signal);
}

const STATION_COLUMNS = 20;

/** What each stop does now, where that is new, and the end of the journey. `shown` remembers what was printed. */
export function newsLines(
  { trainId, stops, state }: JourneyView,
  shown: Map<string, string>,
  nowMs: number,
): string[] {
  const lines: string[] = [];
  for (const stop of stops) {
    const key = waitKey(stop);
    if (shown.get(stop.station) === key) continue;
    shown.set(stop.station, key);
    const time = new Date(stop.changedAtMs).toISOString().slice(11, 19);
    const head = `${time}  ${stop.station.padEnd(STATION_COLUMNS)}  `;
    lines.push(...hanging(head, stopWords(stop, nowMs)));
  }
  // A slug holds no blank, so this is no station's key.
  if (shown.get('the journey') !== state && hasEnded(state)) {
    const released = stops.filter((stop) => stop.state === 'released').length;
    lines.push(`${state}: ${released} of ${stops.length} stops released a result, says the dispatcher`);
    if (released < stops.length) lines.push(`why, in the stations' own words: pht train result ${trainId}`);
  }
  shown.set('the journey', state);
  return lines;
}

function stopWords(stop: StopView, nowMs: number): string {
  const { state, code } = stop;
  const waits = waitWords(stop, nowMs);
  if (waits !== null) return `${state}: ${waits}`;
  if (code === '' || code === state) return state;
  return `${state} (${code})${isErrorCode(code) ? `: ${refusalOf(code).text}` : ''}`;
}

export async function cancelTrain(frame: Frame, id: string, reason: string): Promise<void> {
  const trainId = parseTrainId(id);
  const why = check(z.string().max(500), reason, '--reason', 'usage.invalid');
  await travel(frame, {}, async (traveller) => {
    const { researcher, trains, retry, signal } = traveller;
    const signer = await signerOf(traveller.home, 'statement');
    const ports = { client: await traveller.client(), trains, signer, retry };
    const journey = await cancel(trainId, why, researcher, ports, signal);
    const open = journey.state === 'under-way';
    frame.output.result({ trainId, journey }, [
      `cancelled ${trainId}: ${journey.title}`,
      open
        ? 'stations that have the train are told; each answers with a receipt'
        : `the journey is ${journey.state}`,
    ]);
  });
}
