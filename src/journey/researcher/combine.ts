import { type Answer, parseAnswer } from '../../model/answer.ts';
import { PhtError } from '../../model/error.ts';
import { canonicalJson } from '../../model/result/canonical.ts';
import type { PhtResult } from '../../model/result/schema.ts';
import type { Manifest } from '../../model/train.ts';
import { endOf, runStep, type SandboxPorts } from './sandbox.ts';

export type Combining = {
  trainId: string;
  terms: Pick<Manifest, 'dataset' | 'parameters' | 'limits' | 'image'>;
  results: readonly { station: string; result: PhtResult }[];
  log(chunk: Uint8Array): void;
};

/**
 * The train's own combine step over the verified results, on this machine and in the stations' sandbox.
 *
 * @throws PhtError `run.failed`, `engine.unsafe`, `engine.unreachable`, `image.*`
 */
export async function combine(what: Combining, ports: SandboxPorts, signal: AbortSignal): Promise<Answer> {
  const { trainId, terms, results } = what;
  const { dataset, parameters, limits, image } = terms;
  const stations = results.map(({ station }) => station);
  const request = { train: trainId, round: 1, step: 'combine', dataset, parameters, stations };
  const files = results.map(({ station, result }) => {
    return { target: `/cargo/${station}.json`, bytes: Buffer.from(canonicalJson(result)) };
  });
  const step = { id: `${trainId}-combine`, image, limits, request, files, log: what.log };
  const outcome = await runStep(step, ports, signal);
  if (outcome.ended === 'output') return parseAnswer(outcome.output, limits.outputBytesMax);
  if (signal.aborted) throw new PhtError('cancelled', 'the combine step was stopped');
  throw new PhtError('run.failed', `the combine step gave no answer: ${endOf(outcome)}`, {
    hint: 'pht train test tries the train out on local files; --no-combine shows the results as they came',
  });
}
