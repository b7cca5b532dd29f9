import { Argument, type Command } from 'commander';
import type { Frame } from './frame.ts';
import type { Socket } from './station-agent.ts';
import type { PolicyFiles } from './station-policy-files.ts';
import { PRESETS, type Preset } from './station-policy-presets.ts';

/** `pht station policy …`. What a command does is loaded when it is asked for. */
export function addPolicy(station: Command, frame: Frame): void {
  const policy = station.command('policy').summary("look at what this station's policy does");
  policy.description(
    'Checks, tests and explains policies. Changes nothing: a policy is in force when it is saved as policy.cedar in the home.',
  );
  addCheck(policy, frame);
  addPreset(policy, frame);
  addTest(policy, frame);
  addExplain(policy, frame);
  addReplay(policy, frame);
  addDiff(policy, frame);
}

const SOCKET = ['--socket <path>', "the agent's admin socket (default: from config.yaml)"] as const;
const LISTS = ['--lists <file>', 'lists to go with it (default: lists.yaml of the home)'] as const;
const POLICY = ['--policy <file>', 'the policy (default: policy.cedar of the home)'] as const;
const NEWEST = ['--newest <number>', 'how many past decisions, the newest first', '1000'] as const;

function addCheck(policy: Command, frame: Frame): void {
  policy
    .command('check [file]')
    .summary('name every problem of a policy with its line')
    .description(
      "Reads a policy as a station would, and names every problem with its line. Without a file: the home's policy.cedar and lists.yaml.",
    )
    .option(...LISTS)
    .addHelpText(
      'after',
      '\nExample:\n  $ pht --home stations/amsterdam station policy check\n\nExit status: 0 when a station would load it, 2 when not.',
    )
    .action(async (file: string | undefined, options: { lists?: string }) =>
      (await import('./station-policy-check.ts')).checkPolicyFile(frame, file, options),
    );
}

function addPreset(policy: Command, frame: Frame): void {
  policy
    .command('preset')
    .addArgument(new Argument('[name]', 'which one to print').choices(PRESETS))
    .summary('policies to start from')
    .description('Lists the policies that come with this program, or prints one.')
    .addHelpText('after', '\nExample:\n  $ pht station policy preset ask-always > policy.cedar')
    .action(async (name: Preset | undefined) =>
      (await import('./station-policy-presets.ts')).preset(frame, name),
    );
}

function addTest(policy: Command, frame: Frame): void {
  policy
    .command('test <cases>')
    .summary('try a policy on cases from a file')
    .description('Tries a policy on the trains that a YAML file describes, and compares the answers.')
    .option(...POLICY)
    .option(...LISTS)
    .addHelpText(
      'after',
      '\nExample:\n  $ pht station policy test cases.yaml --policy policy.cedar\n\nExit status: 0 when every case is as expected, 4 when not.',
    )
    .action(async (cases: string, options: PolicyFiles) =>
      (await import('./station-policy-test.ts')).testPolicy(frame, cases, options),
    );
}

function addExplain(policy: Command, frame: Frame): void {
  policy
    .command('explain [hop]')
    .summary('what each clause makes of one train')
    .description(
      'Explains the decision about a train that came here, from the archive of the running agent, or about facts from a file: each rule, each clause, and the value here.',
    )
    .option('--facts <file>', 'facts as in a case of `policy test`, in YAML or JSON')
    .option('--policy <file>', 'another policy (default: the one that decided, or the home’s)')
    .option(...LISTS)
    .option(...SOCKET)
    .addHelpText(
      'after',
      '\nExample:\n  $ pht --home admins/amsterdam station policy explain \\\n        hop_0123456789abcdef01234567',
    )
    .action(async (hop: string | undefined, options: PolicyFiles & Socket & { facts?: string }) =>
      (await import('./station-policy-explain.ts')).explain(frame, hop, options),
    );
}

type Newest = Socket & { newest: string };

function addReplay(policy: Command, frame: Frame): void {
  policy
    .command('replay')
    .summary('which past trains a policy would decide otherwise')
    .description(
      'Decides the trains that came here again, by another policy over the same facts, and shows what would be otherwise.',
    )
    .option(...POLICY)
    .option(...NEWEST)
    .option('--fail-on-change', 'exit with 4 when any would be otherwise')
    .option(...SOCKET)
    .addHelpText(
      'after',
      '\nExample:\n  $ pht --home admins/amsterdam station policy replay --policy new.cedar',
    )
    .action(async (options: Newest & { policy?: string; failOnChange?: boolean }) => {
      const { newestFrom, replay } = await import('./station-policy-replay.ts');
      await replay(frame, { ...options, newest: newestFrom(options.newest) });
    });
}

function addDiff(policy: Command, frame: Frame): void {
  policy
    .command('diff <old> <new>')
    .summary('what changed between two policies')
    .description(
      'Compares two policies clause by clause and, when the agent answers, shows the past trains that they decide differently.',
    )
    .option(...NEWEST)
    .option(...SOCKET)
    .addHelpText('after', '\nExample:\n  $ pht station policy diff policy.cedar new.cedar')
    .action(async (before: string, after: string, options: Newest) => {
      const [{ diff }, { newestFrom }] = await Promise.all([
        import('./station-policy-diff.ts'),
        import('./station-policy-replay.ts'),
      ]);
      await diff(frame, before, after, { ...options, newest: newestFrom(options.newest) });
    });
}
