import { createInterface } from 'node:readline';
import type Docker from 'dockerode';
import { PhtError } from '../../model/error.ts';
import { buildContext } from './context.ts';

const BUILD_MS_MAX = 20 * 60_000;
const LINE_CHARS_MAX = 400;

export type BuildSpec = {
  /** Holds the `Dockerfile`. */
  directory: string;
  tag: string;
  labels?: Record<string, string>;
  buildArgs?: Record<string, string>;
  /** One line of what the engine says, without control characters. */
  progress(line: string): void;
  signal?: AbortSignal;
};

/**
 * Builds an ordinary Dockerfile and answers with the id that this engine gave. `RUN` steps use the host's network,
 * since an engine without a bridge has no other.
 *
 * @throws PhtError `usage.invalid` with the engine's own words when a step fails, `engine.unreachable`, `cancelled`
 */
export async function buildImage(docker: Docker, spec: BuildSpec): Promise<{ engineId: string }> {
  const { archive } = await buildContext(spec.directory);
  const bell = AbortSignal.any([AbortSignal.timeout(BUILD_MS_MAX), ...(spec.signal ? [spec.signal] : [])]);
  try {
    const answer = await docker.buildImage(archive, {
      t: spec.tag,
      networkmode: 'host',
      forcerm: true,
      labels: spec.labels ?? {},
      buildargs: spec.buildArgs ?? {},
      abortSignal: bell,
    });
    await followBuild(answer, spec.progress);
    const { Id } = await docker.getImage(spec.tag).inspect();
    return { engineId: Id };
  } catch (thrown) {
    if (thrown instanceof PhtError) throw thrown;
    if (spec.signal?.aborted === true)
      throw new PhtError('cancelled', 'the build was stopped', { cause: thrown });
    if (thrown instanceof Error && 'statusCode' in thrown) throw buildFailed(thrown.message, thrown);
    throw new PhtError('engine.unreachable', 'the container engine stopped answering during the build', {
      cause: thrown,
    });
  }
}

/** Reads the engine's lines of JSON; a line that is none is noise of a proxy and no reason to fail. */
async function followBuild(answer: NodeJS.ReadableStream, progress: (line: string) => void): Promise<void> {
  for await (const line of createInterface({ input: answer, crlfDelay: Number.POSITIVE_INFINITY })) {
    const message = parseLine(line);
    if (message === undefined) continue;
    if (typeof message['error'] === 'string') throw buildFailed(message['error']);
    const text = message['stream'] ?? message['status'];
    if (typeof text !== 'string') continue;
    for (const part of text.split('\n')) {
      const clean = printable(part);
      if (clean !== '') progress(clean);
    }
  }
}

function parseLine(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function printable(text: string): string {
  return text
    .replace(/\u001b\[[0-9;]*[A-Za-z]/g, '')
    .replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ')
    .trimEnd()
    .slice(0, LINE_CHARS_MAX);
}

function buildFailed(words: string, cause?: unknown): PhtError {
  return new PhtError('usage.invalid', `the image could not be built: ${printable(words)}`, {
    cause,
    hint: 'the lines above come from the Dockerfile’s own steps; mend the step that failed and build again',
  });
}
