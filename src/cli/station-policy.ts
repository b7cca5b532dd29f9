import type { Command } from 'commander';
import { readBounded } from '../adapters/home/files.ts';
import { checkPolicy, inWords } from '../adapters/policy/cedar.ts';
import { POLICY_BYTES_MAX } from '../adapters/policy/rules.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';

const EXAMPLES = `
Example:
  $ pht station policy check stations/amsterdam/policy.cedar

Exit status: 0 when a station would load it, 2 when not.`;

/** `pht station policy …` */
export function addStationPolicy(station: Command, frame: Frame): void {
  const policy = station.command('policy').summary('check a policy before it is in force');
  policy.description('Works on policy files without touching a running station.');
  policy
    .command('check <file>')
    .summary('name every problem of a policy with its line')
    .description('Reads a policy as a station would, and names every problem with its line.')
    .addHelpText('after', EXAMPLES)
    .action((file: string) => check(frame, file));
}

function check(frame: Frame, file: string): void {
  const { ok, problems } = checkPolicy(readBounded(file, POLICY_BYTES_MAX, 'the policy'));
  const lines = problems.map(
    (problem) => `${problem.severity === 'error' ? 'error' : 'warning'}: ${inWords(problem)}`,
  );
  frame.output.result({ ok, problems }, [
    ...lines,
    ok ? `${file} is valid.` : `${file} is not valid: a station with it refuses every train.`,
  ]);
  if (!ok) process.exitCode = EXIT.usage;
}
