import { createInterface } from 'node:readline';
import { PhtError } from '../model/error.ts';
import type { Frame } from './frame.ts';
import { wrap } from './text.ts';

/**
 * Shows what is about to happen and asks. Nobody would see a question without a terminal.
 *
 * @throws PhtError `usage.invalid` without a terminal, `cancelled` unless the answer is yes
 */
export async function confirm(frame: Frame, told: readonly string[], question: string): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new PhtError('usage.invalid', 'this asks first, and there is no terminal to ask at', {
      hint: 'run it at a terminal, or with --yes once you know what it says',
    });
  process.stderr.write(`${told.flatMap((line) => wrap(line)).join('\n')}\n${question} [yes/no] `);
  const lines = createInterface({ input: process.stdin, signal: frame.signal });
  const answer = await new Promise<string>((resolve) => {
    lines.once('line', resolve);
    lines.once('close', () => resolve(''));
  }).finally(() => lines.close());
  if (answer.trim().toLowerCase() !== 'yes') throw new PhtError('cancelled', 'nothing was done');
}
