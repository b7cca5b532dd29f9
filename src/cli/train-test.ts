import { readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { errnoOf, fileError, readBounded } from '../adapters/home/files.ts';
import { readYaml } from '../adapters/home/yaml.ts';
import { combine } from '../journey/researcher/combine.ts';
import { applyChoices } from '../journey/researcher/manifest.ts';
import { TRIAL_ID, type Trial, type TrialData, trial } from '../journey/researcher/trial.ts';
import type { Answer } from '../model/answer.ts';
import { parseCsv } from '../model/csv.ts';
import { Column, DatasetDescription } from '../model/dataset.ts';
import { PhtError } from '../model/error.ts';
import { guessDescription } from '../model/guess-dataset.ts';
import { PRESETS, type PresetName } from '../model/result/settings.ts';
import { check, ShortText, Slug } from '../model/schema.ts';
import type { TrainImage } from '../model/train.ts';
import type { TrainFile } from '../model/train-file.ts';
import { answerLines, resultLines } from './answer-view.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';
import { wrap } from './text.ts';
import { alone, type Traveller, travel } from './train-compose.ts';
import { createTrainImages } from './train-image.ts';
import { readTrain } from './train-pack.ts';
import { withSandbox } from './train-sandbox.ts';

/** `pht train test`: the stations' sandbox and gate on local files. */

export type TestOptions = { data: string[]; description?: string; preset: string; set: string[] };

const FILE_BYTES_MAX = 64 * 1024 * 1024;
const FILES_MAX = 100;

export async function testTrain(frame: Frame, dir: string, options: TestOptions): Promise<void> {
  const { file, origin } = readTrain(dir);
  const chosen = { ...file, parameters: applyChoices(file.parameters, options.set) };
  const settings = PRESETS[check(PresetNameText, options.preset, '--preset', 'usage.invalid')];
  const data = options.data.map((folder) => readData(folder, chosen.dataset, options.description));
  if (new Set(data.map(({ station }) => station)).size !== data.length) {
    throw new PhtError('usage.invalid', 'two folders of --data have one name; each stands for a station');
  }
  await travel(frame, {}, async (traveller) => {
    const { signal } = traveller;
    const image = await alone(traveller, () => createTrainImages(traveller).take(origin, signal));
    const train = { file: chosen, image };
    const { trials, answer } = await withSandbox(frame, traveller, async (ports) => {
      const ended: Trial[] = [];
      for (const one of data) ended.push(await trial(train, one, settings, ports, signal));
      return { trials: ended, answer: await combineReleased(train, ended, ports, traveller) };
    });
    frame.output.result({ trials: trials.map(trialView), answer }, [
      ...trials.flatMap(trialLines),
      ...(answer === null ? [] : ['', '== The combined answer', ...answerLines(answer)]),
    ]);
    const status = statusOf(trials);
    if (status !== EXIT.done) process.exitCode = status;
  });
}

const PresetNameText: z.ZodType<PresetName> = z.enum(['sacro', 'opensafely', 'cms']);

async function combineReleased(
  { file, image }: { file: TrainFile; image: TrainImage },
  trials: readonly Trial[],
  ports: Parameters<typeof combine>[1],
  { researcher, signal }: Traveller,
): Promise<Answer | null> {
  const results = trials.flatMap(({ station, screening }) =>
    screening?.verdict === 'release' ? [{ station, result: screening.result }] : [],
  );
  if (!file.combine || results.length === 0) return null;
  researcher.tell('combining what the gate let out');
  const { dataset, parameters, limits } = file;
  const log = (chunk: Uint8Array): void =>
    researcher.tell(`combine: ${Buffer.from(chunk).toString().trimEnd()}`);
  return combine(
    { trainId: TRIAL_ID, terms: { dataset, parameters, limits, image }, results, log },
    ports,
    signal,
  );
}

/** The folder's name stands for the station's. */
function readData(folder: string, dataset: string, descriptionPath: string | undefined): TrialData {
  const station = basename(resolve(folder))
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 40);
  const names = csvNames(folder);
  const files = names.map((name) => ({
    name,
    bytes: readBounded(join(folder, name), FILE_BYTES_MAX, 'a data file'),
  }));
  const beside = join(folder, 'dataset.yaml');
  const path = descriptionPath ?? (readdirSync(folder).includes('dataset.yaml') ? beside : null);
  const description = path === null ? guess(dataset, files) : described(path, dataset, names);
  return { station: check(Slug, station, `${folder}: its name`, 'usage.invalid'), description, files };
}

function csvNames(folder: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder)
      .filter((name) => name.endsWith('.csv'))
      .sort();
  } catch (cause) {
    const missing = ['ENOENT', 'ENOTDIR'].includes(errnoOf(cause));
    if (missing) throw new PhtError('usage.invalid', `${folder} (--data) is no folder`, { cause });
    throw fileError(cause, folder, '(--data) could not be read');
  }
  if (names.length === 0) throw new PhtError('usage.invalid', `${folder} (--data) holds no .csv file`);
  if (names.length > FILES_MAX)
    throw new PhtError('usage.invalid', `${folder} holds more than ${FILES_MAX} .csv files`);
  return names;
}

/** As a station's admin writes it; which files belong to it is known here already. */
const Described = z.looseObject({
  title: ShortText,
  format: z.literal('csv'),
  columns: z.array(Column).min(1).max(500),
});

function described(path: string, id: string, files: string[]): DatasetDescription {
  const { title, format, columns } = readYaml(Described, path, 'the dataset description');
  return check(DatasetDescription, { id, title, format, columns, files }, path, 'config.invalid');
}

function guess(id: string, files: readonly { name: string; bytes: Uint8Array }[]): DatasetDescription {
  const tables = files.map(({ name, bytes }) => ({ name, rows: parseCsv(decode(bytes, name), name) }));
  return guessDescription(id, `${id}, guessed from the files`, tables);
}

function decode(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new PhtError('input.malformed', `${name} is not UTF-8`, { cause });
  }
}

function trialView(one: Trial): object {
  const { screening } = one;
  if (screening?.verdict !== 'release') return one;
  const { verdict, result, transforms, capacityBits } = screening;
  return { ...one, screening: { verdict, result, transforms, capacityBits } };
}

const RAW_CHARACTERS_SHOWN = 4000;

function trialLines({ station, log, wallMs, raw, failure, screening }: Trial): string[] {
  const printed = log.trimEnd();
  return [
    `== ${station}: ran ${(wallMs / 1000).toFixed(1)} s`,
    ...(printed === ''
      ? ['it printed nothing']
      : ['it printed:', ...printed.split('\n').map((line) => `  | ${line}`)]),
    ...(failure === null ? [] : wrap(`no result: ${failure}`)),
    ...(raw === null
      ? []
      : ['raw result (stays at the station):', `  ${raw.trim().slice(0, RAW_CHARACTERS_SHOWN)}`]),
    ...gateLines(screening),
    '',
  ];
}

function gateLines(screening: Trial['screening']): string[] {
  if (screening === null) return [];
  if (screening.verdict === 'withhold')
    return wrap(`the gate withholds it: ${screening.reason} [${screening.code}]`);
  if (screening.verdict === 'hold') {
    return [
      'the gate withholds it, since its rules cannot decide [disclosure.held]:',
      ...screening.reasons.flatMap((reason) => wrap(`- ${reason}`, 2)),
    ];
  }
  const changed = screening.transforms.flatMap((transform) => wrap(`- ${transform}`, 2));
  return [
    changed.length === 0 ? 'the gate lets it out as it is:' : 'the gate lets it out after:',
    ...changed,
    ...resultLines(screening.result).slice(1),
  ];
}

function statusOf(trials: readonly Trial[]): number {
  if (trials.some(({ failure }) => failure !== null)) return EXIT.other;
  return trials.every(({ screening }) => screening?.verdict === 'release') ? EXIT.done : EXIT.refused;
}
