import type Docker from 'dockerode';
import { PhtError } from '../../model/error.ts';
import type { RunOutcome, RunSpec } from '../../ports/executor.ts';
import { bounded, isAbsent, isRefusal } from './connect.ts';
import { type Engine, removeContainer } from './engine.ts';
import type { Holder } from './holder.ts';
import { freshName, hopLabels } from './labels.ts';
import { demultiplexer } from './logs.ts';
import { assertSettings } from './readback.ts';
import { type ContainerSettings, containerSettings } from './settings.ts';

/** How long after its limit a train may still be there before the engine counts as hanging. */
const GRACE_MS = 15_000;

type Ending = 'by itself' | 'time' | 'aborted';
type Ended = { ending: Ending; wallMs: number };

/**
 * One run in a volume that is kept by `holder`: create, compare, attach, start, wait, collect. `ready` is awaited before
 * the start and may throw; whatever happens, the container is removed in the background.
 */
export async function runContained(
  engine: Engine,
  spec: RunSpec,
  holder: Holder,
  imageEnv: readonly string[],
  signal: AbortSignal,
  ready: Promise<void>,
): Promise<RunOutcome> {
  const name = freshName(engine.ownership, spec.hop);
  const container = engine.docker.getContainer(name);
  try {
    const wanted = await create(engine, spec, holder, name);
    const [logs] = await Promise.all([
      attach(container, spec.log),
      compare(container, wanted, imageEnv, engine.traits.apparmor),
      holder.running,
      ready,
    ]);
    if (signal.aborted) return { ended: 'aborted', wallMs: 0, detail: 'stopped before the start' };
    const refused = await start(container);
    if (refused !== null) return { ended: 'exit', wallMs: 0, detail: `could not be started: ${refused}` };
    const ended = await waitForEnd(container, spec.limits.wallMsMax, signal);
    const [outcome] = await Promise.all([outcomeOf(container, holder, spec, ended), logs.ended]);
    return outcome;
  } finally {
    engine.background.start('remove a run', () => removeContainer(engine.docker, name));
  }
}

async function create(
  engine: Engine,
  spec: RunSpec,
  holder: Holder,
  name: string,
): Promise<ContainerSettings> {
  const labels = hopLabels(engine.ownership, spec.hop, spec.epoch);
  const sandbox = { ...spec, name, engineId: spec.image.engineId, labels, outVolume: holder.volume };
  const wanted = containerSettings(sandbox, engine.traits);
  await bounded('make a container', (abortSignal) =>
    engine.docker.createContainer({ ...wanted, abortSignal }),
  );
  return wanted;
}

async function compare(
  container: Docker.Container,
  wanted: ContainerSettings,
  imageEnv: readonly string[],
  apparmor: boolean,
): Promise<void> {
  const inspected = await bounded('describe a container', (abortSignal) =>
    container.inspect({ abortSignal }),
  );
  assertSettings(wanted, inspected, imageEnv, apparmor);
}

/** Before the start, so that nothing printed is missed; the engine itself keeps no log. */
async function attach(container: Docker.Container, log: RunSpec['log']): Promise<{ ended: Promise<void> }> {
  const stream = await bounded('hand out what a train prints', (abortSignal) =>
    container.attach({ stream: true, stdout: true, stderr: true, abortSignal }),
  );
  const take = demultiplexer(log);
  const ended = new Promise<void>((resolve) => {
    stream.on('data', take);
    stream
      .once('end', resolve)
      .once('close', resolve)
      .once('error', () => resolve()); // a torn log is no failure of a run
  });
  const patience = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1_000).unref());
  return {
    get ended(): Promise<void> {
      return Promise.race([ended, patience()]);
    },
  };
}

/**
 * An image can name a program that it does not hold, or have a directory where a file is bound. The engine and its
 * settings were proved, so that is the train's own failing, and trying again would meet it for ever.
 *
 * @returns why the image cannot be started, in the engine's words, or null
 */
async function start(container: Docker.Container): Promise<string | null> {
  try {
    await bounded('start a container', (abortSignal) => container.start({ abortSignal }));
    return null;
  } catch (thrown) {
    if (!isRefusal(thrown)) throw thrown;
    const byImage = thrown.statusCode === 400 || /runtime create failed|shim task/i.test(thrown.message);
    if (!byImage) throw thrown;
    return thrown.message.slice(0, 500);
  }
}

async function waitForEnd(
  container: Docker.Container,
  wallMsMax: number,
  signal: AbortSignal,
): Promise<Ended> {
  const startedMs = performance.now();
  let ending: Ending = 'by itself';
  let refusal: unknown;
  const kill = (why: Ending): void => {
    if (ending !== 'by itself') return;
    ending = why;
    bounded('stop a container', (abortSignal) => container.kill({ signal: 'SIGKILL', abortSignal })).catch(
      (thrown: unknown) => {
        refusal = thrown; // ended by itself meanwhile; if not, the wait below runs out and says this
      },
    );
  };
  const onAbort = (): void => kill('aborted');
  const timer = setTimeout(() => kill('time'), wallMsMax);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    await bounded('end a run', (abortSignal) => container.wait({ abortSignal }), wallMsMax + GRACE_MS);
  } catch (thrown) {
    // Stopped, and removed by a sweep before it was waited for: as wanted.
    if (ending !== 'by itself' && isAbsent(thrown))
      return { ending, wallMs: Math.round(performance.now() - startedMs) };
    throw refusal === undefined
      ? thrown
      : new PhtError('engine.unreachable', 'a train could not be stopped', { cause: refusal });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
  return { ending, wallMs: Math.round(performance.now() - startedMs) };
}

async function outcomeOf(
  container: Docker.Container,
  holder: Holder,
  spec: RunSpec,
  { ending, wallMs }: Ended,
): Promise<RunOutcome> {
  const { limits } = spec;
  if (ending === 'aborted') return { ended: 'aborted', wallMs, detail: 'stopped on request' };
  if (ending === 'time') return { ended: 'time', wallMs, detail: `stopped after ${limits.wallMsMax} ms` };
  const { State } = await bounded('describe a container', (abortSignal) =>
    container.inspect({ abortSignal }),
  );
  // A child that was killed for memory can leave exit status 0.
  if (State.OOMKilled)
    return { ended: 'memory', wallMs, detail: `needed more than ${limits.memoryBytesMax} bytes of memory` };
  if (State.ExitCode !== 0) return { ended: 'exit', wallMs, detail: `ended with status ${State.ExitCode}` };
  const handOut = await holder.running;
  const collected = await handOut.take(limits.outputBytesMax);
  if (collected.kind === 'none') return { ended: 'no-output', wallMs, detail: 'wrote no /out/result.json' };
  if (collected.kind === 'refused') return { ended: 'output-refused', wallMs, detail: collected.why };
  return { ended: 'output', output: collected.bytes, wallMs };
}
