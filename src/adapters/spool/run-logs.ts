import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const LOG_BYTES_MAX = 1024 * 1024;
const SHOWN_BYTES_MAX = 64 * 1024;

/** What trains print, one bounded file per hop, for the station's admin alone. */
export type RunLogs = {
  write(hopId: string): (chunk: Uint8Array) => void;
  /** The last part of a log; empty when the hop printed nothing. */
  read(hopId: string): Promise<Uint8Array>;
};

/** @param warn told once when a log can no longer be written; a run does not depend on its log */
export function createRunLogs(dir: string, warn: (line: string) => void): RunLogs {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  return {
    write: (hopId) => {
      let written = 0;
      return (chunk) => {
        const room = LOG_BYTES_MAX - written;
        if (room <= 0) return;
        written += chunk.byteLength;
        try {
          append(join(dir, `${hopId}.log`), chunk.subarray(0, room));
        } catch (thrown) {
          written = LOG_BYTES_MAX;
          warn(`the log of ${hopId} cannot be written: ${String(thrown)}`);
        }
      };
    },
    read: async (hopId) => {
      try {
        return (await readFile(join(dir, `${hopId}.log`))).subarray(-SHOWN_BYTES_MAX);
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return new Uint8Array();
        throw thrown;
      }
    },
  };
}

function append(path: string, chunk: Uint8Array): void {
  const file = openSync(path, 'a', 0o600);
  try {
    writeSync(file, chunk);
  } finally {
    closeSync(file);
  }
}
