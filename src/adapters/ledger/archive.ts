import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PhtError } from '../../model/error.ts';
import { tilePath } from '../../model/ledger/tile.ts';
import { check, Slug } from '../../model/schema.ts';
import type { LogArchive } from '../../ports/log-source.ts';

/**
 * Keeps each log as a C2SP tlog-tiles directory `<dir>/<member>`. A copy is written beside the last one and swapped in
 * when it is complete, so a crash leaves either of them; it can be fetched again, so nothing is fsynced.
 */
export function createLogArchive(dir: string): LogArchive {
  return {
    begin: async (member) => {
      const name = check(Slug, member, 'the name of a log');
      const [draft, place, last] = [join(dir, `.${name}.new`), join(dir, name), join(dir, `.${name}.old`)];
      await stored(async () => {
        await rm(draft, { recursive: true, force: true });
        await rm(last, { recursive: true, force: true });
        await mkdir(draft, { recursive: true, mode: 0o700 });
      }, draft);
      const made = new Set<string>();
      const write = async (path: string, bytes: Uint8Array): Promise<void> => {
        const folder = dirname(path);
        if (!made.has(folder)) await mkdir(folder, { recursive: true });
        made.add(folder);
        await writeFile(path, bytes);
      };
      return {
        write: (files) =>
          stored(async () => {
            for (const { tile, bytes } of files) await write(join(draft, tilePath(tile)), bytes);
          }, draft),
        commit: (checkpoint) =>
          stored(async () => {
            await write(join(draft, 'checkpoint'), checkpoint);
            await rename(place, last).catch(ignoreMissing);
            await rename(draft, place);
            await rm(last, { recursive: true, force: true });
          }, place),
        discard: () => stored(() => rm(draft, { recursive: true, force: true }), draft),
      };
    },
  };
}

async function stored<T>(work: () => Promise<T>, path: string): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new PhtError('config.invalid', `${path} could not be written`, { cause });
  }
}

function ignoreMissing(cause: unknown): void {
  if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return;
  throw cause;
}
