import { spawnSync } from 'node:child_process';
import { PHT } from '../../scripts/demo/pht.ts';
import { type Figure, median, timedMs } from '../figure.ts';

const SAMPLES = 21;

function run(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr}`);
}

/** A person's first wait: `pht --version` beside `node -e 0`. */
export const figure: Figure = {
  unit: 'ms',
  goal: null,
  async measure() {
    const [pht, node]: [number[], number[]] = [[], []];
    run(PHT, ['--version']);
    for (let at = 0; at < SAMPLES; at++) {
      pht.push(await timedMs(() => run(PHT, ['--version'])));
      node.push(await timedMs(() => run(process.execPath, ['-e', '0'])));
    }
    return { value: median(pht), samples: pht, floor: median(node), floorName: 'node -e 0' };
  },
};
