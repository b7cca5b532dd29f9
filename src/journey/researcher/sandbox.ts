import { PhtError } from '../../model/error.ts';
import { verifyImageConfig } from '../../model/image-config.ts';
import type { Limits, TrainImage } from '../../model/train.ts';
import type { Depot } from '../../ports/depot.ts';
import type { Executor, ImageSource, RunOutcome } from '../../ports/executor.ts';
import type { Spool } from '../../ports/spool.ts';

/** The station's own sandbox, on the researcher's machine: for combine steps, and to try a train out. */
export type SandboxPorts = {
  executor: Executor;
  depot: Depot;
  spool: Spool;
  /** `uid:gid`, never 0. */
  runAs: string;
};

export type Step = {
  /** Names the run: of the train and what is done with it. */
  id: string;
  image: TrainImage;
  limits: Limits;
  request: object;
  /** `target` is where the train finds it. */
  files: readonly { target: string; bytes: Uint8Array }[];
  /** What the train printed. */
  log(chunk: Uint8Array): void;
};

const CONFIG_BYTES_MAX = 1024 * 1024;

/**
 * Runs one step to its end. What was opened for it is on disk only as long as it runs.
 *
 * @throws PhtError `engine.unsafe` where the sandbox is not proved, `engine.unreachable`, `image.*`
 */
export async function runStep(step: Step, ports: SandboxPorts, signal: AbortSignal): Promise<RunOutcome> {
  await assertSandbox(ports.executor);
  const source = await sourceOf(step.image, ports.depot);
  const { entrypoint, workingDir, env } = verifyImageConfig(source.config, step.image);
  const image = await ports.executor.load(source);
  try {
    const request = { target: '/train/request.json', bytes: Buffer.from(JSON.stringify(step.request)) };
    const files: { source: string; target: string }[] = [];
    for (const [at, { target, bytes }] of [request, ...step.files].entries()) {
      files.push({ source: await ports.spool.write(step.id, `file-${at}`, bytes), target });
    }
    const { limits, log } = step;
    const spec = {
      hop: step.id,
      epoch: 1,
      image,
      entrypoint,
      workingDir,
      env,
      limits,
      runAs: ports.runAs,
      files,
      log,
    };
    return await ports.executor.run(spec, signal);
  } finally {
    await ports.spool.remove(step.id);
  }
}

/** The image was built on this very engine, so its known weaknesses add nothing here; an unproved setting does. */
async function assertSandbox(executor: Executor): Promise<void> {
  const { failures } = await executor.probe();
  const failure = failures[0];
  if (failure === undefined) return;
  throw new PhtError('engine.unsafe', `the sandbox of this machine is not proved: ${failure.text}`, {
    hint: 'use an engine that enforces it; results can still be shown with --no-combine',
  });
}

async function sourceOf(image: TrainImage, depot: Depot): Promise<ImageSource> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of depot.read(image.configDigest, 0)) {
    length += chunk.byteLength;
    if (length > CONFIG_BYTES_MAX) throw new PhtError('image.mismatch', 'the image config is too large');
    chunks.push(chunk);
  }
  return { image, config: Buffer.concat(chunks), layer: async (diffId) => depot.read(diffId, 0) };
}

const ENDS: Readonly<Record<Exclude<RunOutcome['ended'], 'output'>, string>> = {
  'no-output': 'it wrote no /out/result.json',
  'output-refused': 'its /out/result.json could not be taken',
  exit: 'it ended with an error',
  memory: 'it used more memory than its limits allow',
  time: 'it ran longer than its limits allow',
  aborted: 'it was stopped',
};

/** How a run without output ended, in words for its author. */
export function endOf(outcome: Exclude<RunOutcome, { ended: 'output' }>): string {
  return outcome.detail === '' ? ENDS[outcome.ended] : `${ENDS[outcome.ended]} (${outcome.detail})`;
}
