import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asPhtError } from '../../model/error.ts';
import type { EngineReport, RunOutcome, RunSpec } from '../../ports/executor.ts';
import type { Engine, Log } from './engine.ts';
import type { HolderPool } from './holder.ts';
import type { Identity } from './identity.ts';
import { runContained } from './run.ts';
import { SHM_BYTES } from './settings.ts';
import { judge, type ProbeSetting, type Verdict } from './verdict.ts';

const MIB = 1024 * 1024;
const MEMORY_BYTES = 64 * MIB;
const LIMITS = {
  memoryBytesMax: MEMORY_BYTES,
  cpuMillis: 1000,
  pidsMax: 32,
  wallMsMax: 15_000,
  outputBytesMax: MIB,
  scratchBytesMax: MIB,
};

/** Tries to break out of the sandbox on this engine, and says what held. Takes one to two seconds. */
export async function probeEngine(
  engine: Engine,
  pool: HolderPool,
  identity: Identity,
  runAs: string,
  log: Log,
): Promise<EngineReport> {
  const setting: ProbeSetting = {
    runAs,
    pidsMax: LIMITS.pidsMax,
    outBytes: LIMITS.outputBytesMax,
    scratchBytes: LIMITS.scratchBytesMax,
    shmBytes: SHM_BYTES,
  };
  const sizes = [setting.outBytes, setting.scratchBytes, setting.shmBytes].map((bytes) => String(bytes * 2));
  const directory = await mkdtemp(join(tmpdir(), 'signalbox-probe-'));
  try {
    const bound = join(directory, 'request.json');
    await writeFile(bound, '{}');
    await chmod(directory, 0o755);
    await chmod(bound, 0o666);
    const attempts = await attempt(
      engine,
      pool,
      runAs,
      ['/cell', 'probe', ...sizes, String(LIMITS.pidsMax * 2)],
      bound,
    );
    const hunger = await attempt(engine, pool, runAs, ['/cell', 'memory', String(MEMORY_BYTES * 4)], bound);
    const verdict = merge(verdictOf(attempts, setting), memoryVerdict(hunger));
    if (verdict.failures.length > 0)
      log('engine.probe-failed', { failures: verdict.failures, attempts, hunger });
    const { engine: name, runtime, risks, fingerprint } = identity;
    return { engine: name, runtime, risks, fingerprint, ...verdict };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function attempt(
  engine: Engine,
  pool: HolderPool,
  runAs: string,
  entrypoint: string[],
  bound: string,
): Promise<RunOutcome | { ended: 'refused'; detail: string }> {
  const spec: RunSpec = {
    hop: 'probe',
    epoch: 0,
    image: engine.cell,
    entrypoint,
    workingDir: '/',
    env: [],
    limits: LIMITS,
    runAs,
    files: [{ source: bound, target: '/train/request.json' }],
    log: () => undefined,
  };
  const holder = await pool.take(LIMITS.outputBytesMax, runAs);
  try {
    return await runContained(engine, spec, holder, [], new AbortController().signal, Promise.resolve());
  } catch (thrown) {
    const error = asPhtError(thrown);
    if (error.code === 'engine.unreachable') throw error;
    // An engine that refuses the sandbox outright has proved that it cannot hold it.
    return { ended: 'refused', detail: error.code === 'internal' ? String(error.cause) : error.message };
  } finally {
    engine.background.start('remove a volume', () => pool.giveBack(holder));
  }
}

type Attempt = Awaited<ReturnType<typeof attempt>>;

function verdictOf(outcome: Attempt, setting: ProbeSetting): Verdict {
  if (outcome.ended === 'output') return judge(Buffer.from(outcome.output).toString('latin1'), setting);
  return {
    proofs: [],
    failures: [{ name: 'probe', text: `the probe could not be run: ${outcome.ended}, ${outcome.detail}` }],
  };
}

function memoryVerdict(outcome: Attempt): Verdict {
  if (outcome.ended === 'memory') {
    return {
      proofs: [{ name: 'memory', text: 'a program that touches more memory than its limit is ended' }],
      failures: [],
    };
  }
  const detail = 'detail' in outcome ? `${outcome.ended}, ${outcome.detail}` : outcome.ended;
  return {
    proofs: [],
    failures: [
      { name: 'memory', text: `the memory limit did not end a program that went past it (${detail})` },
    ],
  };
}

function merge(a: Verdict, b: Verdict): Verdict {
  return { proofs: [...a.proofs, ...b.proofs], failures: [...a.failures, ...b.failures] };
}
