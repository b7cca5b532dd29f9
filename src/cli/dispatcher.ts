import type { Command } from 'commander';
import type { Frame } from './frame.ts';

const EXAMPLES = `
Example:
  $ pht --home dispatcher dispatcher serve`;

const FORGET = `
Example:
  $ pht --home dispatcher dispatcher forget rosa`;

/** `pht dispatcher …`. What a command does is loaded when it is asked for. */
export function register(program: Command, frame: Frame): void {
  const dispatcher = program.command('dispatcher').summary('run the hub that routes trains');
  dispatcher.description('Runs the hub that routes trains. It reads no result and can forge nothing.');
  dispatcher
    .command('serve')
    .summary('run this dispatcher')
    .description('Runs the dispatcher: takes trains from researchers, and hands orders to stations.')
    .addHelpText('after', EXAMPLES)
    .action(async () => (await import('./dispatcher-serve.ts')).serveDispatcher(frame));
  dispatcher
    .command('forget')
    .summary('erase what links a member to this ledger')
    .description(
      'Deletes the salts of every entry about one member. The ledger still verifies; whom these entries are about ' +
        'can never be shown again. Works while the dispatcher runs, and when it does not.',
    )
    .argument('<member>', 'the id of the member, who need not be one any more')
    .addHelpText('after', FORGET)
    .action(async (member: string) => (await import('./dispatcher-forget.ts')).forget(frame, member));
}
