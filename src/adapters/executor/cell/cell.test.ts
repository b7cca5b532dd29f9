import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const here = fileURLToPath(new URL('.', import.meta.url));
const MACHINES = [
  { name: 'x64', compiler: 'gcc', elfMachine: 62, runs: process.arch === 'x64' },
  { name: 'arm64', compiler: 'aarch64-linux-gnu-gcc', elfMachine: 183, runs: process.arch === 'arm64' },
];
/** The compiler that made the committed bytes; another edition makes other, equally good ones. */
const EDITION = /^12(\.|$)/;

describe.each(MACHINES)('the committed cell for $name', ({ name, compiler, elfMachine, runs }) => {
  const committed = readFileSync(join(here, `cell-${name}`));

  it('is a small static program for its machine', () => {
    expect(committed.subarray(0, 5)).toEqual(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2]));
    expect(committed.readUInt16LE(18)).toBe(elfMachine);
    expect(committed.byteLength).toBeLessThan(16 * 1024);
    const INTERPRETER = 3;
    const kinds = Array.from({ length: committed.readUInt16LE(56) }, (_, at) =>
      committed.readUInt32LE(64 + 56 * at),
    );
    expect(kinds).not.toContain(INTERPRETER);
  });

  it('is what build.sh makes of cell.c, byte for byte', () => {
    const version = spawnSync(compiler, ['-dumpfullversion'], { encoding: 'utf8' }).stdout?.trim() ?? '';
    if (!EDITION.test(version)) {
      process.stderr.write(
        `NOT RUN: cell-${name} was not rebuilt; ${compiler} 12 is not here (found: ${version || 'none'})\n`,
      );
      return;
    }
    const made = mkdtempSync(join(tmpdir(), 'signalbox-cell-'));
    try {
      const built = spawnSync(join(here, 'build.sh'), [name, made], { encoding: 'utf8' });
      expect(built.stderr).toBe('');
      expect(readFileSync(join(made, `cell-${name}`)).equals(committed)).toBe(true);
    } finally {
      rmSync(made, { recursive: true });
    }
  });

  it('refuses what it does not know, and holds until it is told to end', () => {
    if (!runs) {
      process.stderr.write(`NOT RUN: cell-${name} cannot run on this machine\n`);
      return;
    }
    expect(spawnSync(join(here, `cell-${name}`), ['nonsense']).status).toBe(2);
    expect(spawnSync(join(here, `cell-${name}`)).status).toBe(2);
    const held = spawnSync(join(here, `cell-${name}`), ['hold'], { timeout: 300, killSignal: 'SIGTERM' });
    expect(held.error).toMatchObject({ code: 'ETIMEDOUT' });
    expect(held.status).toBe(0);
  });
});
