import type Docker from 'dockerode';
import type { LoadedImage } from '../../ports/executor.ts';
import { bounded, isAbsent, isRefusal } from './connect.ts';
import type { Ownership } from './labels.ts';
import type { EngineTraits } from './settings.ts';

export type Log = (event: string, fields: Record<string, unknown>) => void;

const IN_USE_MS_MAX = 5_000;

/** What the parts of this adapter share. */
export type Engine = {
  docker: Docker;
  ownership: Ownership;
  traits: EngineTraits;
  cell: LoadedImage;
  background: Background;
};

/** Work that goes on after an answer was given: removing, preparing. A failure is logged; `sweep` is the second try. */
export type Background = { start(what: string, work: () => Promise<void>): void; settled(): Promise<void> };

export function backgroundWork(log: Log): Background {
  const pending = new Set<Promise<void>>();
  return {
    start(what, work): void {
      const going = work()
        .catch((thrown: unknown) => log('engine.background-failed', { what, reason: String(thrown) }))
        .finally(() => pending.delete(going));
      pending.add(going);
    },
    async settled(): Promise<void> {
      while (pending.size > 0) await Promise.all(pending);
    },
  };
}

/** Ends and removes a container; one that is gone, or going, is as wanted. */
export async function removeContainer(docker: Docker, id: string): Promise<void> {
  await unlessGone(() =>
    bounded('remove a container', (abortSignal) =>
      docker.getContainer(id).remove({ force: true, v: false, abortSignal }),
    ),
  );
}

/** Waits for a container that somebody else is removing right now. */
export async function removeVolume(docker: Docker, name: string): Promise<void> {
  const deadlineMs = performance.now() + IN_USE_MS_MAX;
  for (;;) {
    try {
      await unlessGone(() =>
        bounded('remove a volume', (abortSignal) => docker.getVolume(name).remove({ abortSignal })),
      );
      return;
    } catch (thrown) {
      if (!isRefusal(thrown) || thrown.statusCode !== 409 || performance.now() > deadlineMs) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function unlessGone(remove: () => Promise<unknown>): Promise<void> {
  try {
    await remove();
  } catch (thrown) {
    const going = thrown instanceof Error && thrown.message.includes('is already in progress');
    if (!isAbsent(thrown) && !going) throw thrown;
  }
}
