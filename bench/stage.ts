import { join } from 'node:path';
import { markHome, occupied, tearDown } from '../scripts/demo/ending.ts';
import { exportCgd } from '../scripts/demo/engine.ts';
import { furnish, makeMembers, type Places, placesIn } from '../scripts/demo/members.ts';
import { ask, ROOT, until } from '../scripts/demo/pht.ts';
import { ready, type Server, startServer } from '../scripts/demo/processes.ts';
import { prepareEngine } from '../scripts/prepare-engine.ts';
import { connectEngine } from '../src/adapters/executor/connect.ts';
import { identify } from '../src/adapters/executor/identity.ts';

/** A dispatcher and one station whose policy permits, as processes of their own. */

export type Stage = { places: Places; networkId: string; station: Server };

export const STATION = 'nih';

export async function withStage<T>(work: (stage: Stage) => Promise<T>): Promise<T> {
  await prepareEngine();
  const home = join(ROOT, '.state/bench');
  const taken = occupied(home);
  if (taken !== null) throw new Error(`${home} ${taken}`);
  await tearDown(home);
  markHome(home, false);
  try {
    const places = placesIn(home);
    const [csv, networkId] = await Promise.all([exportCgd(), makeMembers(places, [STATION])]);
    const { risks } = await identify(connectEngine());
    await furnish(
      places,
      csv,
      risks.map(({ id }) => id),
      [STATION],
    );
    const dispatcher = startServer(home, 'dispatcher', ['--home', places.dispatcher, 'dispatcher', 'serve']);
    const station = startServer(home, STATION, ['--home', places.stations[STATION], 'station', 'serve']);
    await Promise.all([ready(dispatcher), ready(station)]);
    await until('the station to be online', async () => {
      const { stations } = await ask<{ stations: { online: boolean }[] }>(places.researcher, [
        'network',
        'datasets',
      ]);
      return stations.some(({ online }) => online) ? true : undefined;
    });
    return await work({ places, networkId, station });
  } finally {
    await tearDown(home);
  }
}
