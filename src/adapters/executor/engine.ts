import type Docker from 'dockerode';
import type { LoadedImage } from '../../ports/executor.ts';
import { bounded, isAbsent } from './connect.ts';
import type { Ownership } from './labels.ts';
import type { EngineTraits } from './settings.ts';

export type Log = (event: string, fields: Record<string, unknown>) => void;

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
    bounded('remove a container', (abortSignal) => docker.getContainer(id).remove({ force: true, v: false, abortSignal })),
  );
}

export async function removeVolume(docker: Docker, name: string): Promise<void> {
  await unlessGone(() => bounded('remove a volume', (abortSignal) => docker.getVolume(name).remove({ abortSignal })));
}

async function unlessGone(remove: () => Promise<unknown>): Promise<void> {
  try {
    await remove();
  } catch (thrown) {
    const going = thrown instanceof Error && thrown.message.includes('is already in progress');
    if (!isAbsent(thrown) && !going) throw thrown;
  }
}
