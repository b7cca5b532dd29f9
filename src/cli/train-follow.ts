import { z } from 'zod';
import { follow } from '../journey/researcher/follow.ts';
import { cancel } from '../journey/researcher/journeys.ts';
import { hasEnded } from '../model/account.ts';
import { isErrorCode } from '../model/error.ts';
import type { TrainId } from '../model/id.ts';
import type { JourneyView, StopView } from '../model/journey-view.ts';
import { refusalOf } from '../model/refusal.ts';
import { check } from '../model/schema.ts';
import { type Frame, signerOf } from './frame.ts';
import { parseTrainId, type Traveller, travel } from './train-compose.ts';
import { keepHeard } from './train-list.ts';
import { hanging, waitKey, waitWords } from './train-waits.ts';

/** `pht train watch` and `cancel`: what the dispatcher claims of journeys. */

const SAYS = 'What the dispatcher says (a station speaks for itself in its receipt alone):';

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
  const seen = (journey: JourneyView): void => {
    keepHeard(traveller, () => traveller.heard.keep(journey, frame.nowMs()));
    print(journey, newsLines(journey, shown, frame.nowMs()));
  };
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
    keepHeard(traveller, () => traveller.heard.keep(journey, frame.nowMs()));
    const open = journey.state === 'under-way';
    frame.output.result({ trainId, journey }, [
      `cancelled ${trainId}: ${journey.title}`,
      open
        ? 'stations that have the train are told; each answers with a receipt'
        : `the journey is ${journey.state}`,
    ]);
  });
}
