import Docker from 'dockerode';
import { PhtError } from '../../model/error.ts';

/** Where the engine listens: `unix:///path`, `tcp://host:port`, or absent for `DOCKER_HOST` and the default socket. */
export function connectEngine(address?: string): Docker {
  if (address === undefined) return new Docker();
  if (address.startsWith('unix://') || address.startsWith('/')) {
    // Named with `host: undefined`: the library would let a stray DOCKER_HOST win over a configured socket.
    return new Docker({
      socketPath: address.replace(/^unix:\/\//, ''),
      host: undefined,
    } as Docker.DockerOptions);
  }
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !['tcp:', 'http:', 'https:'].includes(url.protocol) || url.port === '') {
    throw new PhtError(
      'config.invalid',
      `the engine's address is not unix:///path or tcp://host:port: ${address}`,
    );
  }
  const protocol = url.protocol === 'https:' ? 'https' : 'http';
  return new Docker({ host: url.hostname, port: Number(url.port), protocol });
}

/** How long one call to the engine may take; waiting for a container has its own bound. */
export const CALL_MS_MAX = 30_000;

/**
 * One engine call with a time-out: an engine can hang for ever on a container that spins in the kernel.
 *
 * @throws PhtError `engine.unreachable` when the engine does not answer; its own refusals pass as they are
 */
export async function bounded<T>(
  what: string,
  call: (signal: AbortSignal) => Promise<T>,
  timeoutMs: number = CALL_MS_MAX,
): Promise<T> {
  const bell = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const expiry = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(unreachable(`the container engine took longer than ${timeoutMs} ms to ${what}`));
      bell.abort();
    }, timeoutMs);
  });
  try {
    return await Promise.race([call(bell.signal), expiry]);
  } catch (thrown) {
    if (isRefusal(thrown) || thrown instanceof PhtError) throw thrown;
    throw unreachable(`the container engine did not ${what}`, thrown);
  } finally {
    clearTimeout(timer);
  }
}

/** An answer of the engine with an error status, as docker-modem throws it. */
export type Refusal = Error & { statusCode: number };

export function isRefusal(thrown: unknown): thrown is Refusal {
  return thrown instanceof Error && 'statusCode' in thrown && typeof thrown.statusCode === 'number';
}

/**
 * What goes out of this adapter is a PhtError. The engine's own words may name files of this machine and stay in the
 * cause.
 */
export function asEngineError(thrown: unknown): unknown {
  if (!isRefusal(thrown)) return thrown;
  if (/no such image/i.test(thrown.message)) {
    return new PhtError('image.missing', 'the container engine no longer has the image', { cause: thrown });
  }
  if (thrown.statusCode === 404) {
    return new PhtError('engine.unreachable', 'what was running has been removed from the container engine', {
      cause: thrown,
    });
  }
  return new PhtError(
    'engine.unsafe',
    `the container engine refused what was asked (status ${thrown.statusCode})`,
    {
      cause: thrown,
      hint: 'its own words are in this process’s log',
    },
  );
}

export function isAbsent(thrown: unknown): boolean {
  return isRefusal(thrown) && thrown.statusCode === 404;
}

function unreachable(message: string, cause?: unknown): PhtError {
  return new PhtError('engine.unreachable', message, {
    cause,
    hint: 'start the engine, or name another one with DOCKER_HOST; `pht station doctor` looks closer',
  });
}
