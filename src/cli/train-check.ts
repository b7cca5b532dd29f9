import { listOffers } from '../journey/researcher/offers.ts';
import { PhtError } from '../model/error.ts';
import type { TrainFile } from '../model/train-file.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';
import { table } from './text.ts';
import { type Traveller, travel } from './train-compose.ts';
import { readTrain } from './train-pack.ts';

/** `pht train check`: what can be known before anything is built or sent. */

type Finding = { what: string; verdict: 'ok' | 'problem' | 'not checked'; text: string };

export async function checkTrain(frame: Frame, dir: string): Promise<void> {
  const { file, origin } = readTrain(dir);
  const image = 'reference' in origin ? `the image ${origin.reference}` : 'its Dockerfile';
  const findings: Finding[] = [
    { what: 'train.yaml', verdict: 'ok', text: file.title },
    { what: 'image', verdict: 'ok', text: `comes from ${image}` },
    ...(await networkFindings(frame, file)),
  ];
  const problems = findings.filter(({ verdict }) => verdict === 'problem').length;
  const rows = findings.map(({ what, verdict, text }) => [what, verdict, text]);
  frame.output.result({ directory: dir, findings, problems }, table(['CHECKED', 'VERDICT', ''], rows));
  if (problems > 0) process.exitCode = EXIT.usage;
}

async function networkFindings(frame: Frame, file: TrainFile): Promise<Finding[]> {
  const skipped = (why: string): Finding[] => [{ what: 'network', verdict: 'not checked', text: why }];
  let asked = false;
  try {
    frame.homeDir();
    return await travel(frame, {}, async (traveller) => {
      const stops = stopFindings(file, traveller);
      asked = true;
      return [...stops, ...(await offerFindings(file, traveller).catch(offline))];
    });
  } catch (thrown) {
    // Without a home there is no network to ask; with a broken one the person must know.
    if (!(thrown instanceof PhtError) || thrown.code !== 'usage.invalid' || asked) throw thrown;
    return skipped('--home of a researcher checks stops and dataset too');
  }

  function offline(thrown: unknown): Finding[] {
    if (thrown instanceof PhtError && (thrown.code === 'unreachable' || thrown.code === 'timed-out')) {
      return skipped(thrown.message);
    }
    throw thrown;
  }
}

function stopFindings(file: TrainFile, { researcher }: Traveller): Finding[] {
  const { members } = researcher.network();
  return (file.route.stops ?? []).map((stop) =>
    members.get(stop)?.role === 'station'
      ? { what: `stop ${stop}`, verdict: 'ok', text: 'is a station of this network' }
      : { what: `stop ${stop}`, verdict: 'problem', text: 'is not a station of this network' },
  );
}

async function offerFindings(file: TrainFile, traveller: Traveller): Promise<Finding[]> {
  const { researcher, retry, signal } = traveller;
  const offers = await listOffers(await traveller.client(), researcher.network(), retry, signal);
  const offering = offers.filter(({ datasets }) => datasets.some(({ id }) => id === file.dataset));
  const names = offering.map(({ station }) => station);
  const missing = (file.route.stops ?? []).filter((stop) => !names.includes(stop));
  const what = `dataset ${file.dataset}`;
  if (names.length === 0) return [{ what, verdict: 'problem', text: 'no station is known to offer it' }];
  if (missing.length > 0)
    return [{ what, verdict: 'problem', text: `is not offered by ${missing.join(', ')}` }];
  const stops = file.route.stops?.length ?? names.length;
  const { minStations } = file.route;
  const offered: Finding = { what, verdict: 'ok', text: `is offered by ${names.join(', ')}` };
  if (stops >= minStations) return [offered];
  return [
    offered,
    { what: 'minStations', verdict: 'problem', text: `${minStations}, but there are ${stops} stops` },
  ];
}
