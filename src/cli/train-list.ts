import { isTransient } from '../adapters/wire/status.ts';
import { listJourneys } from '../journey/researcher/journeys.ts';
import { parseEnvelope, payloadOf } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import type { TrainId } from '../model/id.ts';
import type { JourneyView } from '../model/journey-view.ts';
import { readStatement } from '../model/statement.ts';
import { Manifest } from '../model/train.ts';
import type { Heard } from '../ports/researcher-trains.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';
import { table, truncate } from './text.ts';
import { type Traveller, travel } from './train-compose.ts';
import { momentWords, waitingLines, waitingThenLines } from './train-waits.ts';

/** `pht train list`: what the dispatcher claims of journeys, or while it is away what it claimed last. */

/** `heardAtMs`: when the dispatcher said so; null for what is known here without it. */
type Listed = {
  trainId: string;
  title: string;
  state: string;
  submittedAtMs: number | null;
  stops: JourneyView['stops'];
  heardAtMs: number | null;
};

const TITLE_COLUMNS = 16;

export async function listTrains(frame: Frame): Promise<void> {
  await travel(frame, {}, (traveller) => showTrains(frame, traveller));
}

export async function showTrains(frame: Frame, traveller: Traveller): Promise<void> {
  const journeys = await ask(traveller);
  const nowMs = frame.nowMs();
  if (journeys === null) return showHeard(frame, traveller, nowMs);
  keepHeard(traveller, () => traveller.heard.replace(journeys, nowMs));
  const heard = journeys.map((journey) => ({ journey, heardAtMs: nowMs }));
  const trains = listed(heard, traveller, false);
  const rows = trains.map((train) =>
    cellsOf(train, train.submittedAtMs === null ? '-' : dayOf(train.submittedAtMs)),
  );
  const lines = [...linesOf('SUBMITTED', rows), ...waitingLines(journeys, nowMs)];
  frame.output.result({ trains, dispatcher: 'reached', asOfMs: nowMs, exitStatus: EXIT.done }, lines);
}

/** What has arrived here waits for nobody any more, whatever was said before. */
const isLatest =
  (trains: readonly Listed[]) =>
  ({ journey }: Heard): boolean =>
    trains.some(({ trainId, state }) => trainId === journey.trainId && state === journey.state);

/** Nothing fresh was to be had, so that this is no success; what there is is shown all the same. */
function showHeard(frame: Frame, traveller: Traveller, nowMs: number): void {
  const heard = lastHeard(frame, traveller);
  const trains = listed(heard, traveller, true);
  const rows = trains.map((train) =>
    cellsOf(train, train.heardAtMs === null ? '-' : momentWords(train.heardAtMs, nowMs)),
  );
  const times = heard.map(({ heardAtMs }) => heardAtMs);
  const asOfMs = times.length === 0 ? null : Math.min(...times);
  const lines = [...linesOf('AS OF', rows), ...waitingThenLines(heard.filter(isLatest(trains)))];
  const exitStatus = EXIT.unreachable;
  frame.output.result({ trains, dispatcher: 'unreachable', asOfMs, exitStatus }, lines);
  const what =
    asOfMs === null
      ? 'it has told this home of no train yet, and what it knows is not here'
      : `these states are what it said last, as of ${minuteOf(asOfMs)} or later`;
  frame.output.warn(`the dispatcher cannot be reached: ${what}; nothing is lost, try again`);
  process.exitCode = exitStatus;
}

/** @returns null while the dispatcher cannot be reached */
async function ask({ client, retry, signal }: Traveller): Promise<JourneyView[] | null> {
  try {
    return await listJourneys(await client(), retry, signal);
  } catch (thrown) {
    if (signal.aborted || !isTransient(thrown)) throw thrown;
    return null;
  }
}

/** A file that cannot be read must not hide the trains that lie beside it. */
function lastHeard(frame: Frame, { heard }: Traveller): Heard[] {
  try {
    return heard.list();
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    frame.output.warn(`what the dispatcher said last cannot be read: ${thrown.message}`);
    return [];
  }
}

/** Of use later on alone: a home that cannot be written can be looked at all the same. */
export function keepHeard({ researcher }: Pick<Traveller, 'researcher'>, keep: () => void): void {
  try {
    keep();
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    researcher.tell(`what the dispatcher says is not kept for later: ${thrown.message}`);
  }
}

/** First those of which the dispatcher has said nothing. @param away whether it could not be asked */
function listed(heard: readonly Heard[], traveller: Traveller, away: boolean): Listed[] {
  const known = new Set<string>(heard.map(({ journey }) => journey.trainId));
  const own = traveller.trains.list().filter((trainId) => !known.has(trainId));
  return [
    ...own.map((trainId) => ownTrain(traveller, trainId, away)),
    ...heard.map(({ journey, heardAtMs }) => {
      const state = away ? stateOf(traveller, journey.trainId, journey.state) : journey.state;
      const overtaken = state === journey.state ? {} : { stops: [] };
      return { ...journey, ...overtaken, state, heardAtMs };
    }),
  ];
}

/** A damaged one is listed too: hiding it would hide what has to be mended. */
function ownTrain(traveller: Traveller, trainId: TrainId, away: boolean): Listed {
  const base = { trainId, submittedAtMs: null, stops: [], heardAtMs: null };
  try {
    const { manifest, departure } = traveller.trains.find(trainId);
    const { title } = readStatement(
      'manifest',
      Manifest,
      payloadOf(parseEnvelope(manifest, 'the manifest')),
    ).predicate;
    if (!away) return { ...base, title, state: 'packed' };
    const state = stateOf(traveller, trainId, departure?.departed === true ? 'submitted' : 'packed');
    return { ...base, title, state };
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    return { ...base, title: thrown.message, state: 'damaged' };
  }
}

const ENDED: ReadonlySet<string> = new Set(['arrived', 'cancelled', 'failed']);

/** What has arrived here has ended, whatever the dispatcher said before. */
function stateOf({ arrivals }: Traveller, trainId: TrainId, state: string): string {
  if (ENDED.has(state)) return state;
  try {
    return arrivals.find(trainId)?.state ?? state;
  } catch (thrown) {
    // Of what cannot be read `pht train result` says more.
    if (thrown instanceof PhtError) return state;
    throw thrown;
  }
}

function cellsOf({ trainId, state, stops, title }: Listed, when: string): string[] {
  const released = stops.filter((stop) => stop.state === 'released').length;
  return [
    ...[trainId, state, when, stops.length === 0 ? '-' : `${released} of ${stops.length}`],
    // What can be copied must stay whole, so the title gives way alone.
    truncate(title, TITLE_COLUMNS),
  ];
}

function linesOf(when: string, rows: string[][]): string[] {
  if (rows.length === 0) return ['no trains yet'];
  return table(['TRAIN', 'STATE', when, 'RELEASED', 'TITLE'], rows);
}

const dayOf = (atMs: number): string => new Date(atMs).toISOString().slice(0, 10);
const minuteOf = (atMs: number): string =>
  `${new Date(atMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
