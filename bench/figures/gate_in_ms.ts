import { tmpdir } from 'node:os';
import { openCase, signStanding } from '../../src/journey/admin/case.ts';
import { makeNetwork, memberIn } from '../../test/fakes/network.ts';
import { makeStation, type Process, type Rig } from '../../test/fakes/station.ts';
import { makeOrder, makeTrain } from '../../test/fakes/trains.ts';
import { type Figure, median } from '../figure.ts';
import { bareSyncMs } from '../ledger-log.ts';
import { policyOf } from '../policy-of.ts';

const MEMBERS = 1000;
const RULES = 200;
const SAMPLES = 101;
const WARM = 10;
const RUNS = 1000;
const DAY_MS = 86_400_000;
/** Each of the three steps is on disk before the next begins. */
const MOVES = 3;

/** Whoever is on this list is asked about; everybody else's project is one of the other rules. */
const ASK = `@id("ask") @explain("an admin decides")
permit (principal in List::"l2", action == Action::"RunIfApproved", resource);`;

/**
 * From a train that was taken on to permission to run it: inspect, decide by policy, clear by a standing clearance; in a
 * network of a thousand members, on a real store with real signatures.
 */
export const figure: Figure = {
  unit: 'ms',
  goal: 5,
  measure: async (say) => {
    say(`a network of ${MEMBERS} members`);
    const nowMs = Date.now();
    const researchers = Array.from({ length: MEMBERS - 4 }, (_, at) => (at === 0 ? 'rosa' : `r${at}`));
    const fake = await makeNetwork({ admins: { nora: 'north' }, researchers, nowMs });
    const rig = makeStation(fake, nowMs, tmpdir());
    try {
      rig.policy(`${policyOf(RULES - 1)}\n${ASK}`);
      rig.settings.lists = { researchers: { l2: ['rosa'] }, images: {} };
      const station = rig.start();
      await stand(rig, station);
      const samples: number[] = [];
      const floors: number[] = [];
      for (let at = 0; at < WARM + SAMPLES; at++) {
        const took = await gateIn(rig, station, at);
        if (at < WARM) continue;
        samples.push(took);
        floors.push(MOVES * bareSyncMs());
      }
      return {
        ...{ value: median(samples), samples, floor: median(floors) },
        floorName: `${MOVES} bare fdatasyncs, one for each step`,
      };
    } finally {
      rig.close();
    }
  },
};

/** The clearance that all of them stand on, signed over the first of them. */
async function stand(rig: Rig, station: Process): Promise<void> {
  const hopId = take(rig, station, SAMPLES + WARM);
  await station.visit(hopId);
  const context = {} as never;
  const shown = await station.admin.show({ $typeName: 'pht.v1.ShowRequest', hopId, config: false }, context);
  const { caseFile = new Uint8Array(), manifest = new Uint8Array() } = shown;
  const { network } = rig.settings;
  const nowMs = rig.clock.ms;
  const opened = openCase({ caseFile, manifest }, { station: 'north', network, nowMs });
  const wish = { reason: 'a bench', runsMax: RUNS, expiresMs: nowMs + 20 * DAY_MS, scope: 'image' } as const;
  const admin = { id: 'nora', network, signer: memberIn(rig.fake, 'nora').signer, nowMs };
  const clearance = signStanding(opened, wish, admin);
  await station.admin.decide({ $typeName: 'pht.v1.DecideRequest', hopId, clearance }, context);
}

function take(rig: Rig, station: Process, at: number): string {
  const train = makeTrain(rig.fake, rig.image.image, rig.clock.ms, {
    nonce: at.toString(16).padStart(32, '0'),
  });
  const order = makeOrder(rig.fake, train.digest, rig.clock.ms);
  const hopId = station.accept({ ...order, manifest: train.manifest });
  if (hopId === null) throw new Error('the order was not taken on');
  return hopId;
}

async function gateIn(rig: Rig, station: Process, at: number): Promise<number> {
  const hop = station.store.hops.find(take(rig, station, at));
  if (hop === null) throw new Error('the hop is not there');
  const { inspect, decide, clear } = station.steps;
  const startedMs = performance.now();
  const cleared = await clear(await decide(await inspect(hop)));
  const tookMs = performance.now() - startedMs;
  if (cleared === null) throw new Error('the standing clearance did not cover the train');
  return tookMs;
}
