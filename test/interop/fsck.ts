import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { LogClaims } from './claims.ts';
import { failed, type Outcome, passed } from './outcome.ts';
import { run } from './run.ts';

const SOUND_MS = 120_000;
/** It may hang on a damaged tile for ever; on the same log undamaged it takes less than a second. */
const DAMAGED_MS = 15_000;
const SUCCESS = "Successfully fsck'd log";

/** Tessera's fsck on each log. Its exit status says nothing: it is 0 on failure too. */
export function fsckLogs(fsck: string, folder: string, logs: readonly LogClaims[]): Promise<Outcome[]> {
  return Promise.all(logs.map((log) => fsckLog(fsck, folder, log)));
}

async function fsckLog(fsck: string, folder: string, log: LogClaims): Promise<Outcome> {
  const keyFile = join(folder, `${log.name}.vkey`);
  writeFileSync(keyFile, log.vkey);
  const url = pathToFileURL(`${join(folder, log.name)}/`).href;
  const flags = [`--storage_url=${url}`, `--public_key=${keyFile}`, '--ui=false', '--N=2'];
  const { stdout, stderr, late } = await run(fsck, flags, {
    timeoutMs: log.treeHolds ? SOUND_MS : DAMAGED_MS,
  });
  const said = `${stdout}${stderr}`.trim();
  const succeeded = said.includes(SUCCESS);
  const name = `${log.name}: ${log.treeHolds ? 'sound' : `refused${late ? ' (it hung)' : ''}`}`;
  if (succeeded === log.treeHolds) return passed(name, 1);
  return failed(
    name,
    1,
    succeeded ? 'fsck found nothing wrong' : said.split('\n').at(-1) || 'fsck said nothing',
  );
}
