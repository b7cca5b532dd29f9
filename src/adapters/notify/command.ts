import { type ChildProcess, spawn } from 'node:child_process';
import type { Notifier, NotifyEnd } from '../../ports/notify.ts';

/** The station's own command for notices: no shell, nothing of the station's environment, and 30 s. */

const RUN_MS_MAX = 30_000;
/** Where a distribution keeps its programs; the environment of the station is nobody's configuration. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** @param command an absolute path and its arguments */
export function createCommandNotifier(command: readonly string[], runMsMax = RUN_MS_MAX): Notifier {
  const [file = '', ...args] = command;
  return {
    run: (lines, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve({ code: null, why: 'the station is stopping' });
        // A group of its own, so that what it starts ends with it.
        const options = { cwd: '/', env: { PATH }, detached: true, shell: false } as const;
        const child = spawn(file, args, { ...options, stdio: ['pipe', 'ignore', 'ignore'] });
        let ended = false;
        const end = (how: NotifyEnd): void => {
          if (ended) return;
          ended = true;
          clearTimeout(timer);
          signal.removeEventListener('abort', stop);
          resolve(how);
        };
        const kill = (why: string): void => {
          killGroup(child);
          end({ code: null, why });
        };
        const stop = (): void => kill('the station is stopping');
        const timer = setTimeout(() => kill(`it took longer than ${runMsMax / 1000} s`), runMsMax);
        signal.addEventListener('abort', stop, { once: true });
        child.on('error', ({ message }) => end({ code: null, why: message }));
        child.on('exit', (code, by) => end({ code, why: by === null ? '' : `ended by ${by}` }));
        // A command that does not read its input has not failed.
        child.stdin.on('error', () => undefined);
        child.stdin.end(lines);
      }),
  };
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (thrown) {
    // It ended by itself meanwhile.
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown;
  }
}
