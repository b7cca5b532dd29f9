import { join } from 'node:path';
import { z } from 'zod';
import { createDockerExecutor } from '../adapters/executor/docker.ts';
import { readBounded, writeAtomic } from '../adapters/home/files.ts';
import { createSpool } from '../adapters/spool/files.ts';
import type { SandboxPorts } from '../journey/researcher/sandbox.ts';
import { PhtError } from '../model/error.ts';
import { parseWith } from '../model/schema.ts';
import type { EngineReport } from '../ports/executor.ts';
import type { Frame } from './frame.ts';
import { alone, type Traveller } from './train-compose.ts';

/** The station's sandbox on the researcher's own machine. */

const REPORT_BYTES_MAX = 256 * 1024;
const RUN_AS = '65534:65534';

const Items = z.array(z.strictObject({ name: z.string(), text: z.string() }));
const Report: z.ZodType<EngineReport> = z.strictObject({
  engine: z.string(),
  runtime: z.string(),
  fingerprint: z.string(),
  risks: z.array(z.strictObject({ id: z.string(), text: z.string() })),
  proofs: Items,
  failures: Items,
});

/** Sweeps what a killed combine step left, lends the sandbox, and leaves no container behind. */
export async function withSandbox<T>(
  frame: Frame,
  traveller: Traveller,
  body: (ports: SandboxPorts) => Promise<T>,
): Promise<T> {
  return alone(traveller, async ({ dir, spoolDir }) => {
    const path = join(dir, 'engine-report.json');
    const remembered = readReport(path);
    const executor = createDockerExecutor({
      owner: traveller.researcher.id,
      networkId: traveller.researcher.network().id,
      runAs: RUN_AS,
      ...(remembered === null ? {} : { remembered }),
      log: (event, fields) => {
        if (event.endsWith('failed')) frame.output.warn(`${event}: ${JSON.stringify(fields).slice(0, 300)}`);
      },
    });
    if ((await executor.sweep()) > 0) traveller.researcher.tell('removed what an interrupted run had left');
    try {
      const report = await executor.probe();
      if (report.fingerprint !== remembered?.fingerprint) writeAtomic(path, `${JSON.stringify(report)}\n`);
      const { depot } = traveller;
      return await body({ executor, depot, spool: createSpool(spoolDir), runAs: RUN_AS });
    } finally {
      await executor.settle();
    }
  });
}

/** What cannot be read is proved anew. */
function readReport(path: string): EngineReport | null {
  try {
    const bytes = readBounded(path, REPORT_BYTES_MAX, 'the report on the engine');
    return parseWith(Report, bytes, { bytesMax: REPORT_BYTES_MAX, what: path });
  } catch (thrown) {
    if (thrown instanceof PhtError) return null;
    throw thrown;
  }
}
