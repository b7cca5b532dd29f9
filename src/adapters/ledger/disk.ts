import { constants } from 'node:fs';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';

/** The few file operations a ledger is written with, so that a test can stop it between any two of them. */
export interface Disk {
  /** Null where there is no such file. */
  read(path: string): Promise<Uint8Array | null>;
  /** Writes a whole file; with `sync` its bytes are durable afterwards, its name not yet. */
  write(path: string, bytes: Uint8Array, sync: boolean): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  makeFolder(path: string): Promise<void>;
  /** Makes the names in a folder durable. */
  syncFolder(path: string): Promise<void>;
  /** Removes a folder with what is in it; none is fine too. */
  removeFolder(path: string): Promise<void>;
}

export const DISK: Disk = {
  read: (path) => readFile(path).catch(nullIfMissing),
  write: async (path, bytes, sync) => {
    const file = await open(path, 'w', 0o644);
    try {
      await file.writeFile(bytes);
      if (sync) await file.datasync();
    } finally {
      await file.close();
    }
  },
  rename,
  makeFolder: async (path) => {
    await mkdir(path, { recursive: true });
  },
  syncFolder: async (path) => {
    const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
  removeFolder: (path) => rm(path, { recursive: true, force: true }),
};

function nullIfMissing(cause: unknown): null {
  if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null;
  throw cause;
}
