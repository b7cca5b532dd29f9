import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/**
 * An engine that answers, and the base images; both are left alone where they are there already. The scripts say on
 * standard error what takes long.
 */
export async function prepareEngine(): Promise<void> {
  await script(fileURLToPath(new URL('engine', import.meta.url)), []);
  await script(process.execPath, [fileURLToPath(new URL('images.ts', import.meta.url))]);
}

/** Standard output belongs to the caller: what a script says there goes to standard error. */
function script(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 2, 2] });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => {
      if (status === 0) resolve();
      else reject(new Error(`${command} ${args.join(' ')} ended with ${status}; what to do stands above`));
    });
  });
}
