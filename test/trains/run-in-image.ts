import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { connectEngine } from '../../src/adapters/executor/connect.ts';

/** Runs a train's own sources in its base image, under the container contract (DESIGN, section 6), without a network. */

const ROOT = path.resolve(import.meta.dirname, '../..');
const MIB = 1024 * 1024;
const engine = connectEngine();

export type RunEnd = { exitCode: number; stdout: string; stderr: string };
export type TrainEnd = RunEnd & { result: unknown };

/** Files by path inside the container, e.g. `/data/cgd/cgd.csv`. */
export type ContractFiles = Record<string, string>;

/** Starts `command` in an image with nothing writable but `/tmp` and what `binds` allows, and waits for its end. */
export async function runInImage(image: string, command: string[], binds: string[] = []): Promise<RunEnd> {
  const container = await engine.createContainer({
    Image: image,
    Entrypoint: command,
    Cmd: [],
    User: '65534:65534',
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      Binds: binds,
      ReadonlyRootfs: true,
      NetworkMode: 'none',
      Memory: 256 * MIB,
      PidsLimit: 64,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Tmpfs: { '/tmp': 'size=16m,mode=1777' },
    },
  });
  try {
    const stream = await container.attach({ stream: true, stdout: true, stderr: true });
    const stdout = new PassThrough();
    const stderr = new PassThrough();
    container.modem.demuxStream(stream, stdout, stderr);
    stream.on('end', () => {
      stdout.end();
      stderr.end();
    });
    const read = Promise.all([text(stdout), text(stderr)]);
    await container.start();
    const { StatusCode: exitCode } = z.object({ StatusCode: z.int() }).parse(await container.wait());
    const [out, err] = await read;
    return { exitCode, stdout: out, stderr: err };
  } finally {
    await container.remove({ force: true });
  }
}

/** Runs an R script inside the R image, as a user would with `Rscript -e`. */
export async function runR(script: string, files: ContractFiles = {}): Promise<RunEnd> {
  return withFiles({ ...files, '/script/script.R': script }, (binds) =>
    runInImage('signalbox/r:1', ['/usr/bin/Rscript', '--vanilla', '/script/script.R'], binds),
  );
}

/** One step of `trains/<name>`: base image and entrypoint as its Dockerfile says. `result` is undefined without one. */
export async function runTrain(name: string, request: object, files: ContractFiles): Promise<TrainEnd> {
  const folder = path.join(ROOT, 'trains', name);
  const dockerfile = await readFile(path.join(folder, 'Dockerfile'), 'utf8');
  const image = /^FROM (\S+)$/m.exec(dockerfile)?.[1];
  const entrypoint = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)?.[1];
  if (image === undefined || entrypoint === undefined)
    throw new Error(`trains/${name}/Dockerfile lacks FROM or ENTRYPOINT`);
  const command = z.array(z.string()).parse(JSON.parse(entrypoint));
  const body = JSON.stringify({ train: 'trn_test', round: 1, ...request });
  return withFiles({ ...files, '/train/request.json': body }, async (binds, base) => {
    const out = path.join(base, 'out');
    await mkdir(out);
    await chmod(out, 0o777);
    const end = await runInImage(image, command, [...binds, `${folder}:/app:ro`, `${out}:/out`]);
    const bytes = await readFile(path.join(out, 'result.json'), 'utf8').catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      },
    );
    return { ...end, result: bytes === undefined ? undefined : JSON.parse(bytes) };
  });
}

/** Writes the files below a new folder, readable by any user, and hands over one read-only bind per top folder. */
async function withFiles<T>(
  files: ContractFiles,
  use: (binds: string[], base: string) => Promise<T>,
): Promise<T> {
  const base = await mkdtemp(path.join(tmpdir(), 'pht-train-'));
  try {
    const tops = new Set<string>();
    for (const [target, content] of Object.entries(files)) {
      const file = path.join(base, target);
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, content);
      await chmod(file, 0o644);
      for (let dir = path.dirname(file); dir.length >= base.length; dir = path.dirname(dir))
        await chmod(dir, 0o755);
      tops.add(target.split('/')[1] ?? '');
    }
    return await use(
      [...tops].map((top) => `${path.join(base, top)}:/${top}:ro`),
      base,
    );
  } finally {
    await rm(base, { recursive: true, force: true });
  }
}
