import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Answer, Asked } from './ledger-reading.ts';
import { memoryMb } from './memory.ts';

const READING = fileURLToPath(new URL('ledger-reading.ts', import.meta.url));

/** Each reading is a process of its own, as each audit is: nothing is warm, and its memory is its own. */
export function readApart(asked: Asked): Answer {
  const { status, stdout, stderr } = spawnSync(process.execPath, [READING, JSON.stringify(asked)], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the reading ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as Answer;
}

/** The most memory that a process without anything to do ever held. */
export function idleRssMb(): number {
  const script = 'process.stdout.write(fs.readFileSync("/proc/self/status"))';
  return memoryMb(spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' }).stdout, 'VmHWM');
}
