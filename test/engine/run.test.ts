import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoadedImage, RunOutcome, RunSpec } from '../../src/ports/executor.ts';
import { executorOf, leftOf, never, shellImage, shellRun, untag } from './setup.ts';

const executor = executorOf('runner');
let image: LoadedImage;

beforeAll(async () => {
  image = await shellImage();
  const report = await executor.probe();
  expect(report.failures).toEqual([]);
});
afterAll(async () => {
  await executor.settle();
  expect(await leftOf('runner')).toEqual([]);
  await untag('runner');
});

const run = (line: string, more: Partial<RunSpec> = {}): Promise<RunOutcome> =>
  executor.run(shellRun(image, line, more), never);

describe('one run', () => {
  it('hands back the bytes of the result and what was printed', async () => {
    const printed: Uint8Array[] = [];
    const log = (chunk: Uint8Array): void => void printed.push(chunk);
    const outcome = await run('echo seen; echo too >&2; printf "{}" > /out/result.json', { log });
    expect(outcome).toMatchObject({ ended: 'output', output: Buffer.from('{}') });
    expect(Buffer.concat(printed).toString().split('\n').sort()).toEqual(['', 'seen', 'too']);
  });

  it.each<[string, string, RunOutcome['ended']]>([
    ['no result', 'true', 'no-output'],
    ['a symbolic link', 'ln -s /etc/passwd /out/result.json', 'output-refused'],
    ['a pipe', 'mkfifo /out/result.json', 'output-refused'],
    ['a directory', 'mkdir /out/result.json', 'output-refused'],
    ['one byte too many', 'head -c 4097 /dev/zero > /out/result.json', 'output-refused'],
    ['a sparse giant', 'dd if=/dev/zero of=/out/result.json bs=1 count=0 seek=100G', 'output-refused'],
    ['a status of its own', 'printf "{}" > /out/result.json; exit 3', 'exit'],
    [
      'past the size of the volume',
      'head -c 3000000 /dev/zero > /out/other && printf "{}" > /out/result.json',
      'exit',
    ],
  ])('ends as it must with %s', async (_what, line, ended) => {
    expect(await run(line)).toMatchObject({ ended });
  });

  it('takes a result of exactly the size allowed', async () => {
    const outcome = await run('head -c 4096 /dev/zero > /out/result.json');
    expect(outcome.ended === 'output' && outcome.output.byteLength).toBe(4096);
  });

  it('is a memory death even when the program survives its child', async () => {
    const line =
      '(sh -c "head -c 200000000 /dev/zero | tail -c 190000000 > /dev/null"); printf "{}" > /out/result.json; exit 0';
    expect(await run(line)).toMatchObject({ ended: 'memory' });
  });

  it('is stopped at its wall time and on request', async () => {
    const { limits } = shellRun(image, '');
    expect(await run('sleep 60', { limits: { ...limits, wallMsMax: 1000 } })).toMatchObject({
      ended: 'time',
    });
    const bell = new AbortController();
    setTimeout(() => bell.abort(), 700);
    const outcome = await executor.run(shellRun(image, 'sleep 600'), bell.signal);
    expect(outcome.ended).toBe('aborted');
  });

  it('keeps at most 1 MiB of what is printed and does not wait for the rest to be read', async () => {
    let bytes = 0;
    const log = (chunk: Uint8Array): void => {
      bytes += chunk.byteLength;
    };
    const outcome = await run('head -c 5000000 /dev/zero; printf "{}" > /out/result.json', { log });
    expect(outcome.ended).toBe('output');
    expect(bytes).toBe(1024 * 1024);
  });

  it('sees its bound files, cannot write them, and reads nothing of the host', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'signalbox-run-'));
    const source = join(directory, 'data.csv');
    writeFileSync(source, 'a,b\n');
    chmodSync(directory, 0o755);
    chmodSync(source, 0o666);
    const files = [{ source, target: '/data/x/data.csv' }];
    const line = 'echo no > /data/x/data.csv; cat /data/x/data.csv > /out/result.json';
    const outcome = await run(line, { files });
    expect(outcome.ended === 'output' && Buffer.from(outcome.output).toString()).toBe('a,b\n');
    expect(readFileSync(source, 'utf8')).toBe('a,b\n');
    rmSync(directory, { recursive: true });
    await expect(run('true', { files })).rejects.toMatchObject({
      code: 'engine.unsafe',
      message: expect.not.stringContaining(directory),
    });
  });

  it.each<[string, Partial<RunSpec>]>([
    ['a program that is not there', { entrypoint: ['/no/such/program'] }],
    ['a directory where a file is bound', { files: [{ source: '/etc/hostname', target: '/bin' }] }],
    ['a bound file below /proc', { files: [{ source: '/etc/hostname', target: '/proc/1/x' }] }],
  ])('is the image’s own failing with %s, and no reason to try again', async (_what, more) => {
    const outcome = await run('true', more);
    expect(outcome).toMatchObject({ ended: 'exit', detail: expect.stringContaining('could not be started') });
  });

  it('never runs as root', async () => {
    for (const runAs of ['0:0', '0:65534', '65534:0', 'root', '65534']) {
      await expect(run('true', { runAs })).rejects.toMatchObject({ code: 'config.invalid' });
    }
  });
});
