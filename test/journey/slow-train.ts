import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from './processes.ts';

/** `hello`, but it takes a few seconds, so that a test can kill things while it runs. */
export async function slowTrain(dir: string): Promise<string> {
  const train = join(dir, 'slow');
  await cp(join(ROOT, 'trains', 'hello'), train, { recursive: true });
  const script = join(train, 'count.sh');
  const text = await readFile(script, 'utf8');
  await writeFile(script, text.replace('set -eu\n', 'set -eu\nsleep 4\n'));
  return train;
}
