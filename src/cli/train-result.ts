import { arrive } from '../journey/researcher/arrive.ts';
import { combine } from '../journey/researcher/combine.ts';
import { type Arrival, hasEnded, releasedIn, type StationAccount } from '../model/account.ts';
import type { Answer } from '../model/answer.ts';
import { isErrorCode, PhtError } from '../model/error.ts';
import type { TrainId } from '../model/id.ts';
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

function whyLines({ station, text, reasons, code }: StationAccount): string[] {
  const advice = ADVICE[code];
  if (text === '' && reasons.length === 0 && advice === undefined) return [];
  return [
    '',
    ...wrap(`${station}: ${text === '' ? `${code}; it tells no more than that` : text}`),
    ...reasons.flatMap((reason) => wrap(`- ${reason}`, 2)),
    ...(advice === undefined ? [] : wrap(`Next: ${advice}`, 2)),
  ];
}

/** What a researcher can do about it, by the code of the receipt. */
const ADVICE: Readonly<Record<string, string>> = {
  'run.failed':
    'no station tells in which way a train failed, since that can depend on the data; try it with pht train test on data like theirs',
  'disclosure.held': 'pht train test shows what the gate makes of a result on data like theirs',
  'disclosure.withheld': 'pht train test shows what the gate makes of a result on data like theirs',
  'dataset.unknown': 'pht network datasets lists what each station offers',
  'dataset.changed': 'submit the train again; the files were written to while it ran',
  'quota.exceeded': 'ask for less under limits: in train.yaml',
  'signer.unknown':
    'its network file may be older than your membership: ask its admin to import the current one',
  replayed:
    "the station took another order of this very train; ask the dispatcher's operator for that receipt, which this home can still open",
  'witness.unreachable':
    "nothing is wrong with the train: the station's witnesses could not be reached before the order expired; submit it again",
  'proof.invalid':
    "show this to an auditor, who can check that ledger as a whole with pht audit verify; ask the dispatcher's operator for the missing proof",
  'manifest.expired': 'submit the train directory again; --expires-days gives it longer',
};

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
