import { arrive } from '../journey/researcher/arrive.ts';
import { combine } from '../journey/researcher/combine.ts';
import { type Arrival, hasEnded, releasedIn, type StationAccount } from '../model/account.ts';
import type { Answer } from '../model/answer.ts';
import { isErrorCode, PhtError } from '../model/error.ts';
import type { TrainId } from '../model/id.ts';
import { refusalOf } from '../model/refusal.ts';
import type { Manifest } from '../model/train.ts';
import { answerLines, resultLines } from './answer-view.ts';
import { EXIT, exitStatusOf } from './exit.ts';
import type { Frame } from './frame.ts';
import { table, wrap } from './text.ts';
import { parseTrainId, type SubmitFlags, type Traveller, travel } from './train-compose.ts';
import { waitFor } from './train-follow.ts';
import { proofLines } from './train-proofs.ts';
import { withSandbox } from './train-sandbox.ts';

export async function showResult(frame: Frame, id: string, options: SubmitFlags): Promise<void> {
  const trainId = parseTrainId(id);
  await travel(frame, { timeoutMs: options.timeout }, async (traveller) => {
    const kept = traveller.arrivePorts().arrivals.find(trainId) !== null;
    if (options.wait === true && !kept) await waitFor(frame, traveller, trainId);
    await present(frame, traveller, trainId, options.combine);
  });
}

/** Verifies, pools where that is asked for and possible, and prints the whole account. Sets the exit status. */
export async function present(
  frame: Frame,
  traveller: Traveller,
  trainId: TrainId,
  combining: boolean,
): Promise<void> {
  const { researcher, signal } = traveller;
  const { arrival, manifest } = await arrive(trainId, researcher, traveller.arrivePorts(), signal);
  const enough = hasEnded(arrival.state) && releasedIn(arrival).length >= arrival.minStations;
  const sound = arrival.stations.every(({ word }) => word !== 'unverified');
  const pooling = combining && manifest.combine && enough && sound;
  const answer = pooling ? await pool(frame, traveller, arrival, manifest) : null;
  const status = statusOf(arrival);
  const released = releasedIn(arrival).length;
  const lines = [
    ...accountLines(arrival),
    ...proofLines(arrival),
    ...(answer === null ? stationLines(arrival) : ['', ...answerLines(answer)]),
  ];
  frame.output.result({ ...arrival, released, answer, exitStatus: status.status }, lines);
  if (status.words !== null) frame.output.warn(status.words);
  if (status.status !== EXIT.done) process.exitCode = status.status;
}

const LOG_CHARACTERS_MAX = 4000;

async function pool(
  frame: Frame,
  traveller: Traveller,
  arrival: Arrival,
  manifest: Manifest,
): Promise<Answer> {
  const decoder = new TextDecoder();
  let log = '';
  const { trainId } = arrival;
  const what = { trainId, terms: manifest, results: releasedIn(arrival) };
  const keep = (chunk: Uint8Array): void => {
    log = (log + decoder.decode(chunk, { stream: true })).slice(-LOG_CHARACTERS_MAX);
  };
  traveller.researcher.tell('combining the results on this machine');
  try {
    return await withSandbox(frame, traveller, (ports) =>
      combine({ ...what, log: keep }, ports, traveller.signal),
    );
  } catch (thrown) {
    // The step ran here, over results that are the researcher's own: its words may be shown.
    if (thrown instanceof PhtError && thrown.code === 'run.failed') {
      for (const line of log.split('\n')) if (line.trim() !== '') frame.output.warn(`combine: ${line}`);
    }
    throw thrown;
  }
}

const WORDS: Readonly<Record<StationAccount['word'], string>> = {
  attested: 'the station, signed',
  claimed: 'dispatcher alone',
  unverified: 'does not verify',
};

function accountLines(arrival: Arrival): string[] {
  const { stations, minStations, title, trainId, state } = arrival;
  const released = releasedIn(arrival).length;
  const rows = stations.map(({ station, word, state: is, code }) => [
    station,
    is,
    WORDS[word],
    code === is ? '' : code,
  ]);
  return [
    ...wrap(`${title} (${trainId})`),
    `${state}: ${released} of ${stations.length} stations released a result; ${minStations} needed`,
    '',
    ...table(['STATION', 'STATE', 'ON WHOSE WORD', 'CODE'], rows),
    ...stations.flatMap(whyLines),
  ];
}

/** The station's own words where it gave some; else what its code means. A stop that has not ended waits for somebody. */
function whyLines({ station, word, state, text, reasons, code }: StationAccount): string[] {
  if (word === 'unverified' || state === 'released') return wordless(station, text, code);
  if (!isErrorCode(code)) return [];
  const refusal = refusalOf(code);
  const said = text === '' ? `${refusal.text} (so its code says; it tells no more)` : text;
  return [
    '',
    ...wrap(`${station}: ${said}`),
    ...reasons.flatMap((reason) => wrap(`- ${reason}`, 2)),
    ...wrap(`Next: ${refusal.next}`, 2),
  ];
}

/** What does not verify has no words that count but ours. */
function wordless(station: string, text: string, code: string): string[] {
  if (text === '') return [];
  const next = code === 'proof.invalid' ? wrap(`Next: ${refusalOf(code).next}`, 2) : [];
  return ['', ...wrap(`${station}: ${text}`), ...next];
}

function stationLines(arrival: Arrival): string[] {
  return releasedIn(arrival).flatMap(({ station, result }) => ['', `== ${station}`, ...resultLines(result)]);
}

/** The first of these that holds: something does not verify, not there yet, too few results. */
function statusOf(arrival: Arrival): { status: number; words: string | null } {
  const { stations, minStations, state } = arrival;
  const forged = stations.find(({ word }) => word === 'unverified');
  if (forged !== undefined) {
    const words = `what was shown for ${forged.station} does not verify: ${forged.text} [${forged.code}]; nothing of it was used`;
    return { status: EXIT.unverified, words };
  }
  const released = releasedIn(arrival).length;
  if (!hasEnded(state)) {
    const words = `the journey is still under way: ${released} of ${stations.length} so far; see pht train watch ${arrival.trainId}`;
    return { status: EXIT.other, words };
  }
  if (released >= minStations) return { status: EXIT.done, words: null };
  const statuses = stations.filter(({ result }) => result === null).map(statusOfStation);
  const order = [EXIT.refused, EXIT.unverified, EXIT.unreachable];
  const status = order.find((candidate) => statuses.includes(candidate)) ?? EXIT.other;
  return { status, words: `too few results to pool: ${released}, and the train needs ${minStations}` };
}

function statusOfStation({ state, code }: StationAccount): number {
  if (state === 'unheard') return EXIT.unreachable;
  return isErrorCode(code) ? exitStatusOf(code) : EXIT.other;
}
