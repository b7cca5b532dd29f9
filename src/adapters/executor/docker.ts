import { PhtError } from '../../model/error.ts';
import type { EngineReport, Executor, RunOutcome, RunSpec } from '../../ports/executor.ts';
import { cellImage } from './cell.ts';
import { asEngineError, bounded, connectEngine } from './connect.ts';
import { backgroundWork, type Engine, type Log } from './engine.ts';
import { type HolderPool, holderPool } from './holder.ts';
import { type Identity, identify } from './identity.ts';
import { type Ownership, ownership } from './labels.ts';
import { loadImage } from './load.ts';
import { probeEngine } from './probe.ts';
import { runContained } from './run.ts';
import { sweep } from './sweep.ts';

export type DockerExecutorOptions = {
  /** A member's id. */
  owner: string;
  networkId: string;
  /** `/path`, `unix:///path` or `tcp://host:port`; absent: `DOCKER_HOST`, else the default socket. */
  socketPath?: string;
  /** `uid:gid` that the probe runs as; the user of most runs to come. */
  runAs?: string;
  /** A report without failures from an earlier process; it counts while its fingerprint is still the engine's. */
  remembered?: EngineReport;
  log: Log;
};

/** How long the engine is taken for the one that was just identified; each run asks again before it starts. */
const FRESH_MS = 60_000;

type Opened = { engine: Engine; pool: HolderPool };

/** The executor on a Docker-compatible engine. Nothing is asked of the engine before the first call. */
export function createDockerExecutor(options: DockerExecutorOptions): Executor {
  const docker = connectEngine(options.socketPath);
  const owned: Ownership = ownership(options.networkId, options.owner);
  const runAs = options.runAs ?? '65534:65534';
  assertUser(runAs);
  const background = backgroundWork(options.log);
  const imageEnvs = new Map<string, readonly string[]>();
  let report: EngineReport | undefined = options.remembered;
  let opened: { fingerprint: string; parts: Promise<Opened> } | undefined;
  let probing: Promise<EngineReport> | undefined;
  let identifiedMs = Number.NEGATIVE_INFINITY;
  const running = new Set<{ hop: string; bell: AbortController }>();

  /** What depends on the engine as it is; made anew when the engine has changed. */
  async function open(identity: Identity): Promise<Opened> {
    if (opened?.fingerprint === identity.fingerprint) return opened.parts;
    const parts = openEngine(identity);
    opened = { fingerprint: identity.fingerprint, parts };
    parts.catch(() => {
      opened = undefined; // the next call tries again
    });
    return parts;
  }

  async function openEngine(identity: Identity): Promise<Opened> {
    const cell = await loadImage(docker, await cellImage(identity.architecture), owned.repository);
    const traits = { apparmor: identity.apparmor, cpus: identity.cpus };
    const engine: Engine = { docker, ownership: owned, traits, cell, background };
    return { engine, pool: holderPool(engine) };
  }

  async function probeNow(): Promise<EngineReport> {
    if (report !== undefined && performance.now() - identifiedMs < FRESH_MS && report.failures.length === 0)
      return report;
    const identity = await identify(docker);
    identifiedMs = performance.now();
    const { engine, pool } = await open(identity);
    if (!isProved(report, identity)) report = await probeEngine(engine, pool, identity, runAs, options.log);
    return report;
  }

  function probe(): Promise<EngineReport> {
    probing ??= probeNow().finally(() => {
      probing = undefined;
    });
    return probing;
  }

  /** Off the critical path: that the engine is still the proved one is asked while the container is made. */
  async function assertStillProved(): Promise<void> {
    const identity = await identify(docker);
    if (isProved(report, identity)) {
      identifiedMs = performance.now();
      return;
    }
    identifiedMs = Number.NEGATIVE_INFINITY;
    const { failures } = await probe();
    const first = failures[0];
    if (first !== undefined) {
      throw new PhtError('engine.unsafe', `the container engine does not hold the sandbox: ${first.text}`, {
        hint: 'no train runs on it; `pht station doctor` shows every check',
      });
    }
  }

  async function parts(): Promise<Opened> {
    return opened === undefined ? open(await identify(docker)) : opened.parts;
  }

  return {
    probe: () => outward(probe()),
    load: (image) => outward(loadImage(docker, image, owned.repository)),
    run: (spec, signal) => outward(run(spec, signal)),
    sweep: (hop) => outward(sweepOwned(hop)),
    async settle(): Promise<void> {
      await background.settled();
      await outward((await opened?.parts)?.pool.drain() ?? Promise.resolve());
      await background.settled();
    },
  };

  async function run(spec: RunSpec, signal: AbortSignal): Promise<RunOutcome> {
    assertUser(spec.runAs);
    const { engine, pool } = await parts();
    const ready = assertStillProved();
    ready.catch(() => undefined); // awaited before the start
    const bell = new AbortController();
    const going = { hop: spec.hop, bell };
    const [holder, env] = await Promise.all([
      pool.take(spec.limits.outputBytesMax, spec.runAs),
      imageEnv(spec.image.engineId),
    ]);
    running.add(going);
    try {
      return await runContained(engine, spec, holder, env, AbortSignal.any([signal, bell.signal]), ready);
    } finally {
      running.delete(going);
      background.start('remove a volume', async () => {
        await pool.giveBack(holder);
        pool.prepare(spec.limits.outputBytesMax, spec.runAs);
      });
    }
  }

  async function sweepOwned(hop: string | undefined): Promise<number> {
    const pool = (await opened?.parts)?.pool;
    if (hop === undefined) await pool?.drain();
    const stop = (): void => {
      for (const run of running) if (hop === undefined || run.hop === hop) run.bell.abort();
    };
    return sweep(docker, owned, pool?.known() ?? new Set(), hop, stop);
  }

  async function imageEnv(engineId: string): Promise<readonly string[]> {
    const known = imageEnvs.get(engineId);
    if (known !== undefined) return known;
    const info = await bounded('describe the image', () => docker.getImage(engineId).inspect());
    const env = info.Config.Env ?? [];
    imageEnvs.set(engineId, env);
    return env;
  }
}

async function outward<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (thrown) {
    throw asEngineError(thrown);
  }
}

function isProved(report: EngineReport | undefined, identity: Identity): report is EngineReport {
  return report !== undefined && report.fingerprint === identity.fingerprint && report.failures.length === 0;
}

function assertUser(runAs: string): void {
  if (/^[1-9][0-9]{0,8}:[1-9][0-9]{0,8}$/.test(runAs)) return;
  throw new PhtError('config.invalid', `a train runs as uid:gid, neither of them 0, not as ${runAs}`);
}
