import { readFileSync } from 'node:fs';

const KIB_PER_MB = 1000 / 1.024;

export const statusOf = (pid: number | 'self'): string => readFileSync(`/proc/${pid}/status`, 'utf8');

/**
 * What a process holds now, or held at most, in millions of bytes (proc_pid_status(5)). `getrusage` would not do: there a
 * process starts with the most that its parent ever held.
 */
export function memoryMb(status: string, name: 'VmRSS' | 'VmHWM'): number {
  const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
  if (kib === undefined) throw new Error(`the status of a process has no ${name}`);
  return Number(kib) / KIB_PER_MB;
}
