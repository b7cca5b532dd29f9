import { rmSync } from 'node:fs';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Spool } from '../../ports/spool.ts';

const NAME = /^[a-z0-9][a-z0-9._-]{0,99}$/;

/**
 * A folder per run under a private one. The files themselves are readable by anyone who can reach them, which is only
 * the owner and a container that they are bound into: the folder above is 0700, and a bind mount enters below it.
 * Nothing here needs to survive a crash, so nothing is fsynced, and what a crash left is removed.
 */
export function createSpool(folderOfRuns: string): Spool {
  // An engine binds absolute paths alone.
  const dir = resolve(folderOfRuns);
  rmSync(dir, { recursive: true, force: true });
  return {
    write: async (hop, name, bytes) => {
      if (!NAME.test(hop) || !NAME.test(name)) throw new TypeError(`not a spool name: ${hop}/${name}`);
      const folder = join(dir, hop);
      await mkdir(dir, { recursive: true, mode: 0o700 });
      await mkdir(folder, { recursive: true, mode: 0o755 });
      const path = join(folder, name);
      await writeFile(path, bytes);
      // Not as the mode of creation, of which a server's umask takes away.
      await chmod(path, 0o644);
      return path;
    },
    remove: (hop) => rm(join(dir, hop), { recursive: true, force: true }),
  };
}
