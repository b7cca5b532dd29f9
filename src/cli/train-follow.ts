import { z } from 'zod';
import { follow } from '../journey/researcher/follow.ts';
import { cancel, type JourneyView, listJourneys } from '../journey/researcher/journeys.ts';
import { parseEnvelope, payloadOf } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import type { TrainId } from '../model/id.ts';
import { check } from '../model/schema.ts';
import { readStatement } from '../model/statement.ts';
import { Manifest } from '../model/train.ts';
import { type Frame, signerOf } from './frame.ts';
import { table, truncate } from './text.ts';
import { parseTrainId, type Traveller, travel } from './train-compose.ts';

/** `pht train list`, `watch` and `cancel`: what the dispatcher claims of journeys. */

type Listed = {
  trainId: string;
  title: string;
  state: string;
  submittedAtMs: number | null;
  stops: JourneyView['stops'];
};

const TITLE_COLUMNS = 16;

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
    const print = (journey: JourneyView, lines: string[]): void => {
      if (frame.output.json) frame.output.event(journey, '');
      else for (const line of lines) frame.output.event({}, line);
    };
    await followWith(traveller, trainId, print);
  });
}

/** Progress on the way to a result. */
export async function waitFor(frame: Frame, traveller: Traveller, trainId: TrainId): Promise<void> {
  await followWith(traveller, trainId, (_journey, lines) => {
    for (const line of lines) frame.output.progress(line);
  });
}

async function followWith(
  traveller: Traveller,
  trainId: TrainId,
  print: (journey: JourneyView, lines: string[]) => void,
): Promise<void> {
  const { researcher, retry, signal } = traveller;
  const shown = new Map<string, string>();
  const seen = (journey: JourneyView): void => print(journey, news(journey, shown));
  await follow(trainId, researcher, { client: await traveller.client(), retry }, seen, signal);
}

/** One line for each stop whose state is new, and one for the journey's own. */
function news({ stops, state }: JourneyView, shown: Map<string, string>): string[] {
  const said = [...stops.map((stop) => [stop.station, stateOf(stop), stop.changedAtMs] as const)];
  const lines: string[] = [];
  for (const [who, what, atMs] of said) {
    if (shown.get(who) === what) continue;
    shown.set(who, what);
    lines.push(`${new Date(atMs).toISOString().slice(11, 19)}  ${who.padEnd(20)}  ${what}`);
  }
  // A slug holds no blank, so this is no station's key.
  if (shown.get('the journey') !== state && state !== 'loading' && state !== 'under-way') {
    const released = stops.filter((stop) => stop.state === 'released').length;
    lines.push(`${state}: ${released} of ${stops.length} stops released a result, says the dispatcher`);
  }
  shown.set('the journey', state);
  return lines;
}

function stateOf({ state, code }: JourneyView['stops'][number]): string {
  return code === '' || code === state ? state : `${state} (${code})`;
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
