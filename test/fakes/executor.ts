import { createHash } from 'node:crypto';
import { PhtError } from '../../src/model/error.ts';
import { verifyImageConfig } from '../../src/model/image-config.ts';
import type { EngineReport, Executor, ImageSource, RunOutcome, RunSpec } from '../../src/ports/executor.ts';

/** An engine without containers: it verifies what it loads as a real one must, and its runs end as a test says. */
export type FakeExecutor = Executor & {
  report: EngineReport;
  /** How the next runs end; throws to be an engine that fails. */
  outcome: (spec: RunSpec, signal: AbortSignal) => RunOutcome | Promise<RunOutcome>;
  readonly runs: RunSpec[];
  readonly loaded: string[];
  sweeps: number;
};

export const HELLO_RESULT = JSON.stringify({
  schema: 'pht-result/v1',
  outputs: [{ id: 'rows', kind: 'Frequencies', title: 'Rows', dims: [], cells: [{ k: [], n: 128 }] }],
});

export function output(text: string): RunOutcome {
  return { ended: 'output', output: Buffer.from(text), wallMs: 7 };
}

export function createFakeExecutor(): FakeExecutor {
  const executor: FakeExecutor = {
    report: { engine: 'fake 1', runtime: 'fake 1', fingerprint: 'fake', risks: [], proofs: [], failures: [] },
    outcome: () => output(HELLO_RESULT),
    runs: [],
    loaded: [],
    sweeps: 0,
    probe: async () => executor.report,
    load: async (source) => {
      verifyImageConfig(source.config, source.image);
      await verifyLayers(source);
      executor.loaded.push(source.image.configDigest);
      return { engineId: source.image.configDigest, alreadyThere: false };
    },
    run: async (spec, signal) => {
      executor.runs.push(spec);
      return executor.outcome(spec, signal);
    },
    sweep: async () => {
      executor.sweeps++;
      return 0;
    },
    settle: async () => undefined,
  };
  return executor;
}

async function verifyLayers({ image, layer }: ImageSource): Promise<void> {
  for (const { diffId } of image.layers) {
    const hash = createHash('sha256');
    for await (const chunk of await layer(diffId)) hash.update(chunk);
    if (hash.digest('hex') !== diffId)
      throw new PhtError('image.mismatch', 'a layer is not the one that was signed');
  }
}
