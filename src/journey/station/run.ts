import { PhtError } from '../../model/error.ts';
import { hopEntryHead } from '../../model/hop.ts';
import { assertFresh } from '../../model/network.ts';
import type { Datasets, OpenDataset } from '../../ports/datasets.ts';
import type { Executor, RunOutcome } from '../../ports/executor.ts';
import type { Spool } from '../../ports/spool.ts';
import type { HopRecord, HopStore } from '../../ports/station-store.ts';
import { beforeDeadline } from './deadline.ts';
import { type Collected, type Loaded, type Station, stage } from './stages.ts';

/**
 * One run in the locked-down container, beside the data. What comes out stays in memory. After the data was touched
 * every failure shares one code, since which way a train failed can tell something of the data.
 */
export function createRun(
  station: Station,
  ports: {
    hops: HopStore;
    executor: Executor;
    spool: Spool;
    datasets: Datasets;
    log: (hopId: string) => (chunk: Uint8Array) => void;
  },
): (loaded: Loaded, signal: AbortSignal) => Promise<Collected> {
  return async (loaded, signal) => {
    const { cleared } = loaded;
    const { dataset } = cleared.decided.inspected;
    const nowMs = station.clock.nowMs();
    const running = ports.hops.move(loaded.hop, 'running', {
      nowMs,
      // A turn and an image may have been long in coming.
      guard: () => assertFresh(station.network(), nowMs),
      notes: { startedAtMs: loaded.hop.notes.startedAtMs ?? nowMs },
      entries: [{ type: 'run.started', ...hopEntryHead(loaded.hop), body: { runAs: station.runAs } }],
      progress: 'running',
    });
    const outcome = await runSpooled(loaded, running, station, ports, signal);
    await assertUnchanged(dataset, ports.datasets);
    const output = outputOf(outcome, cleared.deadlineAtMs, station.clock.nowMs());
    const collected = ports.hops.move(running, 'collected', {
      nowMs: station.clock.nowMs(),
      entries: [
        {
          type: 'run.ended',
          ...hopEntryHead(running),
          body: {
            commitment: station.commitments.commit(
              JSON.stringify({ ended: outcome.ended, wallMs: outcome.wallMs }),
            ),
          },
        },
      ],
    });
    return stage<Collected>({ cleared, hop: collected, output });
  };
}

/** Whatever happens, nothing of the run stays in the spool. */
async function runSpooled(
  loaded: Loaded,
  { hopId, epoch }: HopRecord,
  station: Station,
  {
    executor,
    spool,
    log,
  }: { executor: Executor; spool: Spool; log: (hopId: string) => (chunk: Uint8Array) => void },
  signal: AbortSignal,
): Promise<RunOutcome> {
  const { cleared, image, entrypoint, workingDir, env } = loaded;
  const { limits } = cleared.decided.inspected.manifest.predicate;
  try {
    const files = await filesOf(loaded, spool);
    return await executor.run(
      {
        hop: hopId,
        epoch,
        image,
        entrypoint,
        workingDir,
        env,
        limits,
        runAs: station.runAs,
        files,
        log: log(hopId),
      },
      beforeDeadline(signal, cleared.deadlineAtMs - station.clock.nowMs()),
    );
  } finally {
    await spool.remove(hopId);
  }
}

/** A dataset that can no longer be read has changed as well. */
async function assertUnchanged(before: OpenDataset, datasets: Datasets): Promise<void> {
  const changed = 'the dataset changed while the train was running';
  let after: OpenDataset;
  try {
    after = await datasets.open(before.description.id);
  } catch (cause) {
    throw new PhtError('dataset.changed', changed, { cause });
  }
  if (after.snapshotDigest !== before.snapshotDigest) throw new PhtError('dataset.changed', changed);
}

/** The contract with a train's author: `/train/request.json` and `/data/<dataset>/`, read-only. */
async function filesOf(loaded: Loaded, spool: Spool): Promise<{ source: string; target: string }[]> {
  const { manifest, dataset, order } = loaded.cleared.decided.inspected;
  const { id } = dataset.description;
  const request = {
    train: loaded.hop.trainId,
    round: order.predicate.round,
    step: order.predicate.step,
    dataset: id,
    parameters: manifest.predicate.parameters,
  };
  const write = (name: string, value: unknown): Promise<string> =>
    spool.write(loaded.hop.hopId, name, Buffer.from(JSON.stringify(value)));
  return [
    { source: await write('request.json', request), target: '/train/request.json' },
    { source: await write('dataset.json', dataset.description), target: `/data/${id}/dataset.json` },
    ...dataset.files.map(({ name, path }) => ({ source: path, target: `/data/${id}/${name}` })),
  ];
}

function outputOf(outcome: RunOutcome, deadlineAtMs: number, nowMs: number): Uint8Array {
  if (outcome.ended === 'output') return outcome.output;
  if (outcome.ended === 'aborted' && nowMs >= deadlineAtMs) {
    throw new PhtError('deadline.passed', "the order's deadline passed before the train had ended");
  }
  throw new PhtError('run.failed', 'the train ended without a result that could be taken', {
    cause: outcome,
  });
}
