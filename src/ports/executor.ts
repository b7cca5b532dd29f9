import type { Limits, TrainImage } from '../model/train.ts';

/**
 * The container engine of one station (or of the researcher's own machine for a combine step). Every container, volume
 * and image tag that it makes carries the owner's label; it never touches what carries another's. Every call to the
 * engine has a time-out.
 */
export interface Executor {
  /**
   * Proves the sandbox by effect on this engine: network, root write, memory, processes, user. Cached until the
   * engine's version, runtime or configuration changes. No run without a report whose `failures` are empty.
   *
   * @throws PhtError `engine.unreachable`
   */
  probe(): Promise<EngineReport>;

  /**
   * Makes the verified image available and says under which id *this* engine knows it. When the engine already holds
   * an image of that identity, no layer is read. The image is re-checked after loading (protocol, section 4).
   *
   * @throws PhtError `image.mismatch`, `image.unsafe`, `engine.unreachable`
   */
  load(image: ImageSource): Promise<LoadedImage>;

  /**
   * Runs once to the end, or until `signal` aborts or a limit stops it, and takes the one bounded file
   * `/out/result.json` out afterwards. Settings are read back and compared before the start. Removing what is left
   * goes on in the background; `settle` waits for it.
   *
   * @throws PhtError `engine.unsafe` when a setting did not take, `engine.unreachable`
   */
  run(spec: RunSpec, signal: AbortSignal): Promise<RunOutcome>;

  /** Removes every container and volume of this owner, or only of one hop, and says how many there were. */
  sweep(hop?: string): Promise<number>;

  /** Waits until everything that this executor started has been removed. */
  settle(): Promise<void>;
}

export type EngineReport = {
  engine: string;
  runtime: string;
  /** Of the engine as it was probed; a report may be kept and counts while the fingerprint is still the engine's. */
  fingerprint: string;
  /** Known weaknesses that an admin may accept by id (`acceptEngineRisks`), e.g. `runc-break-outs`. */
  risks: { id: string; text: string }[];
  /** What was proved, one line each for people. */
  proofs: { name: string; text: string }[];
  /** What was ignored or could not be proved; any entry means that no train runs. */
  failures: { name: string; text: string }[];
};

/** The verified config bytes, and a way to open each layer's blob (uncompressed tar) that is only called when needed. */
export type ImageSource = {
  image: TrainImage;
  config: Uint8Array;
  layer(diffId: string): Promise<AsyncIterable<Uint8Array>>;
};

export type LoadedImage = { engineId: string; alreadyThere: boolean };

/** `files` are single files bound read-only into the container. */
export type RunSpec = {
  hop: string;
  epoch: number;
  image: LoadedImage;
  entrypoint: string[];
  workingDir: string;
  env: string[];
  limits: Limits;
  /** `uid:gid`, never 0. */
  runAs: string;
  files: { source: string; target: string }[];
  /** What the train printed goes here, bounded; the researcher never sees it. */
  log(chunk: Uint8Array): void;
};

/** `output` is the bytes of `/out/result.json`, at most `limits.outputBytesMax`. */
export type RunOutcome =
  | { ended: 'output'; output: Uint8Array; wallMs: number }
  | {
      ended: 'no-output' | 'output-refused' | 'exit' | 'memory' | 'time' | 'aborted';
      wallMs: number;
      detail: string;
    };
