import { execFile } from 'node:child_process';

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

export type Ran = {
  ok: boolean;
  stdout: string;
  stderr: string;
  /** There is no such program. */
  absent: boolean;
  /** It did not end in time and was killed. */
  late: boolean;
};

/** Runs a program to its end, or kills it after `timeoutMs`. */
export function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; timeoutMs: number },
): Promise<Ran> {
  const { timeoutMs, ...where } = options;
  const limits = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: OUTPUT_BYTES_MAX } as const;
  return new Promise((resolve) => {
    execFile(command, args, { ...where, ...limits }, (failure, stdout, stderr) => {
      const absent = failure?.code === 'ENOENT';
      const said = stderr === '' && failure !== null ? failure.message : stderr;
      resolve({ ok: failure === null, stdout, stderr: said, absent, late: failure?.killed === true });
    });
  });
}
