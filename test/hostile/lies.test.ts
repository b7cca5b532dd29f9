import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createOpener } from '../../src/adapters/envelope/jwe.ts';
import { parseEnvelope } from '../../src/model/dsse.ts';
import { trainIdOf } from '../../src/model/id.ts';
import { verifyResult } from '../../src/model/receipt.ts';
import { ok } from '../journey/processes.ts';
import { floods } from './floods.ts';
import { honestDepot, images } from './images.ts';
import { noOrders } from './no-orders.ts';
import { replays } from './replays.ts';
import { everywhere, openRig, type Scene, STATIONS } from './rig.ts';
import { signedTrain } from './trains.ts';
import { wrongOrders } from './wrong-orders.ts';

const RSS_BYTES_MAX = 400 * 1024 * 1024;

/** One network and three stations for all of it: what one lie left behind, the next would trip over. */
describe('three stations behind a dispatcher that lies', () => {
  let open: Scene | undefined;
  const scene = (): Scene => {
    if (open === undefined) throw new Error('the network is not up');
    return open;
  };
  beforeAll(async () => {
    const rig = await openRig();
    open = { rig, hello: await rig.pack('trains/hello'), lee: await rig.signer('lee'), control: {} };
    for (const station of STATIONS) rig.liar.script(station, { download: honestDepot(rig) });
  });
  afterAll(() => open?.rig.close());

  it('release a train as long as it tells the truth', async () => {
    const { rig, hello, control } = scene();
    const key = join(rig.journey.home('lee'), 'trains', trainIdOf(hello.digest), 'key.jwk');
    const opener = createOpener(
      JSON.parse(await readFile(key, 'utf8')) as Parameters<typeof createOpener>[0],
    );
    await everywhere(async (station) => {
      const ordered = rig.order(station, hello);
      const heard = await rig.travelled(station, ordered);
      expect(heard.end).toBe('released released');
      control[station] = { ordered, heard };
      const opened = parseEnvelope(await opener.open(heard.jwe), 'result');
      const { predicate } = verifyResult(opened, rig.liar.network, station);
      expect(predicate.result.outputs).toMatchObject([{ kind: 'Frequencies', cells: [{ n: 125 }] }]);
    });
  });

  noOrders(scene);
  wrongOrders(scene);
  replays(scene);
  images(scene);
  floods(scene);

  describe('afterwards', () => {
    it('every station lives, within bounds, and serves an honest train', async () => {
      const { rig, hello, lee } = scene();
      const train = signedTrain(hello, lee);
      await everywhere(async (station) => {
        expect((await rig.travelled(station, rig.order(station, train))).end).toBe('released released');
        expect(rig.journey.servers.get(station)?.child.exitCode).toBeNull();
        expect(await rig.rssBytes(station)).toBeLessThan(RSS_BYTES_MAX);
      });
    });

    it('the inbox says of every hop what its receipt said', async () => {
      const { rig } = scene();
      await everywhere(async (station) => {
        const { hops } = await ok<{
          hops: { hopId: string; state: string; outcome: string; code: string }[];
        }>(rig.journey.home(station), ['station', 'inbox', '--all']);
        const said = new Map<string, string>();
        for (const { hopId, body } of rig.liar.reports(station)) {
          if (body.case !== 'receipt') continue;
          const { payload } = parseEnvelope(body.value.receipt, 'receipt');
          const { predicate } = JSON.parse(Buffer.from(payload, 'base64').toString()) as {
            predicate: { outcome: string; code: string };
          };
          said.set(hopId, `delivered ${predicate.outcome} ${predicate.code}`);
        }
        const shown = new Map(hops.map((hop) => [hop.hopId, `${hop.state} ${hop.outcome} ${hop.code}`]));
        expect(shown).toEqual(said);
        expect(rig.rows(station, 'SELECT key FROM outbox')).toEqual([]);
      });
    });

    it('the ledger has one release a visit, an end for each run, and a receipt for each order', async () => {
      const { rig } = scene();
      await everywhere(async (station) => {
        const entries = rig.entries(station);
        const of = (type: string): (string | null)[] =>
          entries
            .filter((entry) => entry.type === type)
            .map((entry) => entry.hopId)
            .sort();
        const released = entries.filter(({ type }) => type === 'result.released');
        const visits = released.map(({ manifestDigest }) => manifestDigest);
        expect(new Set(visits).size).toBe(visits.length);
        // Control, minted attempts, an image from the liar's depot, and the last honest one.
        expect(visits).toHaveLength(4);
        expect(rig.rows(station, 'SELECT manifest_digest FROM releases')).toHaveLength(visits.length);
        expect(of('run.started')).toEqual(of('result.released'));
        expect(of('run.ended')).toEqual(of('run.started'));
        expect(of('receipt.issued')).toEqual(of('order.received'));
      });
    });

    it('nothing is left in the engine', async () => {
      const { rig } = scene();
      expect(await rig.journey.containers()).toEqual([]);
      await Promise.all(STATIONS.map((station) => rig.journey.servers.get(station)?.stop()));
      expect(await rig.containers()).toEqual([]);
    });
  });
});
