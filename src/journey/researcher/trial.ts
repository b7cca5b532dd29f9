import type { DatasetDescription } from '../../model/dataset.ts';
import { codebookOf } from '../../model/result/codebook.ts';
import { type Screening, screenResult } from '../../model/result/screen.ts';
import { type DisclosureSettings, tighten } from '../../model/result/settings.ts';
import type { TrainImage } from '../../model/train.ts';
import type { TrainFile } from '../../model/train-file.ts';
import { endOf, runStep, type SandboxPorts } from './sandbox.ts';

export type TrialData = {
  station: string;
  description: DatasetDescription;
  files: readonly { name: string; bytes: Uint8Array }[];
};

/** `failure`: how the run ended without a result. Log and raw result are the author's to see, on his own data. */
export type Trial = {
  station: string;
  log: string;
  wallMs: number;
  raw: string | null;
  failure: string | null;
  screening: Screening | null;
};

const LOG_CHARACTERS_MAX = 64 * 1024;
export const TRIAL_ID = 'trial';

/**
 * One station's part of a train on local files, through the same sandbox and the same gate as at a station: an author
 * who never sees a station's log must not be blind.
 */
export async function trial(
  train: { file: TrainFile; image: TrainImage },
  data: TrialData,
  settings: DisclosureSettings,
  ports: SandboxPorts,
  signal: AbortSignal,
): Promise<Trial> {
  const { file, image } = train;
  const { id } = data.description;
  const request = { train: TRIAL_ID, round: 1, step: 'run', dataset: id, parameters: file.parameters };
  const files = [
    { target: `/data/${id}/dataset.json`, bytes: Buffer.from(JSON.stringify(data.description)) },
    ...data.files.map(({ name, bytes }) => ({ target: `/data/${id}/${name}`, bytes })),
  ];
  const decoder = new TextDecoder();
  let log = '';
  const keep = (chunk: Uint8Array): void => {
    if (log.length < LOG_CHARACTERS_MAX) log += decoder.decode(chunk, { stream: true });
  };
  const step = { id: `${TRIAL_ID}-${data.station}`, image, limits: file.limits, request, files, log: keep };
  const outcome = await runStep(step, ports, signal);
  const { station } = data;
  const { wallMs } = outcome;
  if (outcome.ended !== 'output') {
    return { station, log, wallMs, raw: null, failure: endOf(outcome), screening: null };
  }
  const screening = screenResult(outcome.output, {
    settings: tighten(settings, file.outputs.minCellCount),
    codebook: codebookOf(data.description, file.parameters),
    kinds: file.outputs.kinds,
    bytesMax: file.limits.outputBytesMax,
  });
  return {
    station,
    log,
    wallMs,
    raw: Buffer.from(outcome.output).toString('utf8'),
    failure: null,
    screening,
  };
}
