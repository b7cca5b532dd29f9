import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Figure, median } from '../figure.ts';
import { memoryMb, statusOf } from '../memory.ts';
import { withStage } from '../stage.ts';

const SAMPLES = 10;
const APART_MS = 500;
/** Until what starting took has been given back; then nothing changes for months. */
const SETTLED_MS = 15_000;

const rssMb = (pid: number): number => memoryMb(statusOf(pid), 'VmRSS');

/** What a hospital's machine spares for a station that is connected and has nothing to do, in millions of bytes. */
export const figure: Figure = {
  unit: 'MB',
  goal: 120,
  measure: () =>
    withStage(async ({ station }) => {
      const idle = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1e6)'], { stdio: 'ignore' });
      try {
        const [mine, floor]: [number[], number[]] = [[], []];
        await sleep(SETTLED_MS);
        for (let at = 0; at < SAMPLES; at++) {
          await sleep(APART_MS);
          mine.push(rssMb(station.pid));
          floor.push(rssMb(idle.pid ?? 0));
        }
        return {
          value: median(mine),
          samples: mine,
          floor: median(floor),
          floorName: 'a Node.js that does nothing',
        };
      } finally {
        idle.kill('SIGKILL');
      }
    }),
};
