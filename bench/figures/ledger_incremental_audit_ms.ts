import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Figure, median } from '../figure.ts';
import { bareHashesPerS, bareSyncMs, GROWN_ENTRIES, LOG_ENTRIES, logFolder } from '../ledger-log.ts';
import { readApart } from '../ledger-readings.ts';

const SAMPLES = 9;
const MS_PER_S = 1000;

/** A thousand new entries on a million: verified, tiles compared, the kept copy extended durably; without node's start. */
export const figure: Figure = {
  unit: 'ms',
  goal: 1000,
  async measure(say) {
    const [before, after] = [logFolder(false, say), logFolder(true, say)];
    const kept = join(before, '../kept');
    const { remembered } = readApart({ folder: before, kept: null, anchor: null });
    const [times, floors]: [number[], number[]] = [[], []];
    for (let at = 0; at < SAMPLES; at++) {
      rmSync(kept, { recursive: true, force: true });
      // No file of a kept log is ever changed in place, so a copy of names is a copy.
      const { status, stderr } = spawnSync('cp', ['-al', before, kept], { encoding: 'utf8' });
      if (status !== 0) throw new Error(`the kept log could not be copied: ${stderr}`);
      const { entries, ms } = readApart({ folder: after, kept, anchor: remembered });
      if (entries !== GROWN_ENTRIES) throw new Error(`${entries} entries were read after ${LOG_ENTRIES}`);
      times.push(ms);
      floors.push((GROWN_ENTRIES * MS_PER_S) / bareHashesPerS() + bareSyncMs());
    }
    rmSync(kept, { recursive: true, force: true });
    return {
      value: median(times),
      samples: times,
      floor: median(floors),
      floorName: 'bare SHA-256 of a leaf and a node each, and one bare fdatasync',
    };
  },
};
