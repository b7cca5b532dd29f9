import type { Command } from 'commander';
import type { Frame } from './frame.ts';

const EXAMPLES = `
Example:
  $ pht --home dispatcher dispatcher serve`;

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
}
