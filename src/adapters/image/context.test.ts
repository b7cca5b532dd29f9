import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { extract } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildContext } from './context.ts';

describe('the files that a build sends', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'signalbox-context-'));
    writeFileSync(join(directory, 'Dockerfile'), 'FROM scratch\n');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  async function entries(): Promise<string[]> {
    const reader = extract();
    (await buildContext(directory)).archive.pipe(reader);
    const found: string[] = [];
    for await (const entry of reader) {
      const { name, mode, uid, mtime } = entry.header;
      found.push(`${name} ${mode.toString(8)} ${uid} ${mtime.getTime()}`);
      entry.resume();
    }
    return found;
  }

  it('are sorted, without owner and times, and leave out what is no source', async () => {
    mkdirSync(join(directory, 'b', 'c'), { recursive: true });
    mkdirSync(join(directory, '.git'));
    writeFileSync(join(directory, '.git', 'config'), 'secret');
    writeFileSync(join(directory, 'b', 'c', 'run.sh'), '#!/bin/sh\n');
    chmodSync(join(directory, 'b', 'c', 'run.sh'), 0o700);
    writeFileSync(join(directory, 'a.R'), '1\n');
    utimesSync(join(directory, 'a.R'), 5, 5);
    symlinkSync('a.R', join(directory, 'z.R'));
    expect(await entries()).toEqual([
      'Dockerfile 644 0 0',
      'a.R 644 0 0',
      'b/c/run.sh 755 0 0',
      'z.R 644 0 0',
    ]);
  });

  it.each([
    ['a link out of the directory', (at: string) => symlinkSync('/etc/passwd', at)],
    ['a link to nothing', (at: string) => symlinkSync('nowhere', at)],
    ['a link to a directory', (at: string) => symlinkSync('.', at)],
    ['a pipe', (at: string) => void execFileSync('mkfifo', [at])],
  ])('are refused with %s', async (_what, make) => {
    make(join(directory, 'x'));
    await expect(buildContext(directory)).rejects.toMatchObject({ code: 'input.malformed' });
  });

  it('are refused above 64 MiB, before any is read', async () => {
    writeFileSync(join(directory, 'data.bin'), '');
    truncateSync(join(directory, 'data.bin'), 64 * 1024 * 1024);
    await expect(buildContext(directory)).rejects.toMatchObject({ code: 'input.too-large' });
  });
});
