import { type Command, InvalidArgumentError } from 'commander';
import { durationMsOf } from '../model/train-file.ts';
import type { Frame } from './frame.ts';
import type { SubmitFlags } from './train-compose.ts';
import type { PackOptions } from './train-pack.ts';
import type { PlanOptions } from './train-plan.ts';
import type { TestOptions } from './train-test.ts';

/** `pht train …`: from a directory with an analysis to one answer. What a command does is loaded when it is asked for. */
export function register(program: Command, frame: Frame): void {
  const train = program.command('train').summary('send an analysis to stations');
  train.description('Packs an analysis, sends it to stations and brings one answer back.');
  addAuthoring(train, frame);
  addSending(train, frame);
  addFollowing(train, frame);
}

function addAuthoring(train: Command, frame: Frame): void {
  train
    .command('init')
    .summary('write a small working train to start from')
    .description('Writes a small working train: train.yaml, Dockerfile and a script that counts rows.')
    .argument('<dir>', 'a new or empty directory')
    .addHelpText('after', '\nExample:\n  $ pht train init my-train')
    .action(async (dir: string) => (await import('./train-init.ts')).initTrain(frame, dir));

  train
    .command('check')
    .summary('check a train directory before it is packed')
    .description(
      'Checks train.yaml and the Dockerfile; with a home also whether the stops exist and offer the dataset.',
    )
    .argument('<dir>', 'the train directory')
    .addHelpText('after', '\nExample:\n  $ pht --home ana train check my-train')
    .action(async (dir: string) => (await import('./train-check.ts')).checkTrain(frame, dir));

  train
    .command('test')
    .summary('run a train on local files, sandbox and gate included')
    .description(
      "Runs a train on local files through the stations' sandbox and gate; shows its log, its raw result and what the gate would let out.",
    )
    .argument('<dir>', 'the train directory')
    .requiredOption('--data <folder...>', 'a folder of CSV files; several stand for several stations')
    .option(
      '--description <file>',
      'a dataset description (default: dataset.yaml in the folder, else guessed)',
    )
    .option('--preset <name>', 'the disclosure settings: sacro, opensafely or cms', 'sacro')
    .option('--set <name=value>', 'another value for a parameter', collect, [])
    .addHelpText('after', '\nExample:\n  $ pht --home ana train test my-train --data ~/patients')
    .action(async (dir: string, options: TestOptions) =>
      (await import('./train-test.ts')).testTrain(frame, dir, options),
    );
}

function addSending(train: Command, frame: Frame): void {
  packOptions(train.command('pack'))
    .summary('build, hash and sign a train')
    .description(
      'Builds the image of a train, hashes it, and signs the manifest that says what, where and why.',
    )
    .argument('<dir>', 'the train directory')
    .addHelpText('after', '\nExample:\n  $ pht --home ana train pack my-train --stop amsterdam --stop nih')
    .action(async (dir: string, options: PackOptions) =>
      (await import('./train-pack.ts')).packTrain(frame, dir, options),
    );

  packOptions(train.command('plan'))
    .summary('ask each station what it would say to a train')
    .description(
      'Asks the stops of a train what they would say to it; a directory is packed first. Nothing is submitted, nothing of the data is told, and every station counts and logs what it answers.',
    )
    .argument('<train>', 'a train directory, a packed train, or its id')
    .option('--columns <names>', 'the columns that it reads: a,b,c (default: columns in train.yaml)')
    .option('--timeout <duration>', 'give up after this long, e.g. 30s', duration)
    .addHelpText('after', '\nExample:\n  $ pht --home ana train plan my-train --all-stops --columns age,sex')
    .action(async (what: string, options: PlanOptions) =>
      (await import('./train-plan.ts')).planTrain(frame, what, options),
    );

  packOptions(train.command('submit'))
    .summary('send a train on its journey')
    .description(
      'Sends a train: a directory is packed first; what was packed before is named by its directory or its id.',
    )
    .argument('<train>', 'a train directory, a packed train, or its id')
    .option('--wait', 'wait until the journey has ended and show the result')
    .option('--no-combine', "with --wait: show the stations' results as they came")
    .option('--timeout <duration>', 'with --wait: give up waiting after this long, e.g. 10m', duration)
    .addHelpText('after', '\nExample:\n  $ pht --home ana train submit my-train --all-stops --wait')
    .action(async (what: string, options: PackOptions & SubmitFlags) =>
      (await import('./train-submit.ts')).submitTrain(frame, what, options),
    );
}

function packOptions(command: Command): Command {
  return command
    .option(
      '--stop <station>',
      'a station to visit; may be repeated (default: all that offer the dataset)',
      collect,
      [],
    )
    .option('--all-stops', 'visit every station of the network')
    .option('--min-stations <n>', 'how many results are needed at least', count)
    .option('--dataset <id>', 'another dataset than train.yaml names')
    .option('--set <name=value>', 'another value for a parameter; may be repeated', collect, [])
    .option('--expires-days <n>', 'how long the manifest is valid (default: 30)', count)
    .option('--expires-in <duration>', 'the same as a duration, e.g. 10s or 12h', duration);
}

function addFollowing(train: Command, frame: Frame): void {
  train
    .command('list')
    .summary('list your trains')
    .description(
      'Lists the trains of this home and their journeys; while the dispatcher cannot be reached, as it told of them last.',
    )
    .addHelpText('after', '\nExample:\n  $ pht --home ana train list')
    .action(async () => (await import('./train-list.ts')).listTrains(frame));

  train
    .command('watch')
    .summary('follow a journey until it has ended')
    .description('Follows a journey until it has ended. Stopping to watch changes nothing.')
    .argument('<id>', 'the train id')
    .option('--timeout <duration>', 'give up after this long, e.g. 10m', duration)
    .addHelpText('after', '\nExample:\n  $ pht --home ana train watch trn_0123456789abcdef01234567')
    .action(async (id: string, options: { timeout?: number }) =>
      (await import('./train-follow.ts')).watchTrain(frame, id, options),
    );

  train
    .command('result')
    .summary('open, verify and pool what came back')
    .description(
      'Opens what came back, verifies every signature and ledger proof, and runs the combine step of the train.',
    )
    .argument('<id>', 'the train id')
    .option('--wait', 'wait until the journey has ended')
    .option('--no-combine', "show the stations' results as they came")
    .option('--timeout <duration>', 'with --wait: give up waiting after this long, e.g. 10m', duration)
    .addHelpText('after', '\nExample:\n  $ pht --home ana train result trn_0123456789abcdef01234567')
    .action(async (id: string, options: SubmitFlags) =>
      (await import('./train-result.ts')).showResult(frame, id, options),
    );

  train
    .command('cancel')
    .summary('take a train back')
    .description('Takes a train back, signed. Stations that have released already are not undone.')
    .argument('<id>', 'the train id')
    .option('--reason <text>', 'why, for the stations', '')
    .addHelpText(
      'after',
      "\nExample:\n  $ pht --home ana train cancel trn_0123456789abcdef01234567 \\\n        --reason 'wrong dataset'",
    )
    .action(async (id: string, options: { reason: string }) =>
      (await import('./train-follow.ts')).cancelTrain(frame, id, options.reason),
    );
}

function collect(value: string, earlier: readonly string[]): string[] {
  return [...earlier, value];
}

function count(text: string): number {
  if (/^[1-9][0-9]{0,2}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('it takes a whole number from 1 to 999.');
}

function duration(text: string): number {
  const durationMs = durationMsOf(text);
  if (durationMs !== null) return durationMs;
  throw new InvalidArgumentError('it takes a duration such as 30s, 15m, 12h or 7d.');
}
