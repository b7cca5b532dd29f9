import type { StationConfig } from '../adapters/home/config.ts';
import { createCommandNotifier } from '../adapters/notify/command.ts';
import { createNotifying, type Notifying } from '../journey/station/notify.ts';
import type { Station } from '../journey/station/stages.ts';
import type { Notices } from '../ports/notify.ts';

/** `notify` of the station's configuration, put together. Without it nobody is told, and nothing is saved up. */
export function composeNotifying(
  config: StationConfig['notify'],
  station: Pick<Station, 'clock' | 'note'>,
  notices: Notices,
): Notifying {
  if (config !== undefined) {
    return createNotifying(station, { notices, notifier: createCommandNotifier(config.command) }, config);
  }
  return {
    ring: () => undefined,
    run: async () => notices.settle([], station.clock.nowMs()),
  };
}

/** For as long as the station runs, and no longer. */
export async function notifyingWhile(
  work: (signal: AbortSignal) => Promise<void>,
  notifying: Notifying,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const telling = notifying.run(AbortSignal.any([signal, over.signal]));
  try {
    await work(signal);
  } finally {
    over.abort();
    await telling;
  }
}
