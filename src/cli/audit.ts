import type { Command } from 'commander';
import type { Frame } from './frame.ts';

/** `pht audit …`: what anybody with the network file can prove, without trusting who keeps the logs. */
export function register(program: Command, frame: Frame): void {
  const audit = program.command('audit').summary('prove what happened from the signed logs');
  audit.description(
    'Checks the ledgers of the dispatcher and of every station, as the dispatcher serves them.',
  );

  audit
    .command('verify')
    .summary('verify every log and hold them against one another')
    .description(
      'Verifies every log down to its pinned key, and all logs against one another and against what the last audit ' +
        'saw. What verified is kept under audit/logs in the home. Exit status 4 when anything is wrong.',
    )
    .option('--logs <dir>', 'verify a folder of logs instead, without any network')
    .addHelpText(
      'after',
      '\nExamples:\n  $ pht --home auditor audit verify\n  $ pht --home auditor audit verify --logs copy-of-logs --json',
    )
    .action(async (options: { logs?: string }) =>
      (await import('./audit-verify.ts')).verifyLogs(frame, options),
    );

  audit
    .command('show')
    .summary("one train's life, from all logs")
    .description('Shows on one page what the logs say of one train: when, who, what.')
    .argument('<train>', 'the id of the train')
    .option('--logs <dir>', 'read a folder of logs instead, without any network')
    .addHelpText('after', '\nExample:\n  $ pht --home auditor audit show trn_0123456789abcdef01234567')
    .action(async (train: string, options: { logs?: string }) =>
      (await import('./audit-show.ts')).showTrain(frame, train, options),
    );
}
