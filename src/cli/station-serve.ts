import { readStationConfig } from '../adapters/home/config.ts';
import { lockHome } from '../adapters/home/lock.ts';
import type { Frame } from './frame.ts';
import { composeStation } from './station-compose.ts';

/** `pht station serve`: the agent beside the data. It dials its dispatcher and listens on a local socket alone. */
export async function serveStation(frame: Frame): Promise<void> {
  const home = frame.openHome(['station']);
  const unlock = lockHome(home.dir);
  try {
    const config = readStationConfig(home.dir);
    const { signal } = frame;
    const running = await composeStation(home, config);
    try {
      frame.output.event(
        { ready: true, station: home.member.id, adminSocket: running.socket },
        `${home.member.id} is running; admins reach it at ${running.socket}`,
      );
      await running.agent.run(signal);
    } finally {
      await running.close();
    }
  } finally {
    unlock();
  }
}
