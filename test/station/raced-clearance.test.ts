import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PhtError } from '../../src/model/error.ts';
import type { Member } from '../../src/model/network.ts';
import { SKEW_MS } from '../../src/model/skew.ts';
import {
  approved,
  clearanceOf,
  decideOn,
  endOf,
  lastCounted,
  standingOf,
  stateOf,
  tookHop,
  typesOf,
  waitingHop,
} from '../fakes/approvals.ts';
import { ed25519, type FakeNetwork, makeNetwork, publicOf, x25519 } from '../fakes/network.ts';
import { ASK, cosignedBy, makeStation, type Process, type Rig } from '../fakes/station.ts';

/** What was approved is what runs, and what ran is what is released: whatever else changes in between is asked about. */

const NOW = Date.UTC(2026, 5, 1, 12);
const DAY_MS = 86_400_000;

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

async function open(witnessed = false): Promise<void> {
  rig?.close();
  const witnessing = { quorum: 2, faulty: 1, witnesses: ['dispatcher', 'north', 'south'] };
  fake = await makeNetwork({
    admins: { nora: 'north', nils: 'north' },
    nowMs: NOW,
    ...(witnessed ? { witnessing } : {}),
  });
  rig = makeStation(fake, NOW);
  rig.policy(ASK);
  station = rig.start();
}
beforeEach(() => open());
afterEach(() => rig.close());

/** The network with another entry for a member. */
function renewed(id: string, change: (member: Member) => Member): void {
  const member = fake.network.members.get(id);
  if (member === undefined) throw new Error(`there is no ${id}`);
  rig.settings.network = fake.next({ renewed: [{ member: change(member) }] }).network;
}

const CHANGES: [string, () => void][] = [
  ['the policy', () => rig.policy(`${ASK}\n// edited`)],
  ['the dataset', () => void rig.datasets.contents.set('cgd', 'status\n1\n')],
  [
    'the disclosure settings',
    () => {
      rig.settings.disclosure = { ...rig.settings.disclosure, threshold: 20 };
    },
  ],
  [
    'the lists, of the researcher',
    () => {
      rig.settings.lists = { researchers: { known: ['rosa'] }, images: {} };
    },
  ],
  [
    'the lists, of the image',
    () => {
      rig.settings.lists = { researchers: {}, images: { reviewed: [rig.image.image.configDigest] } };
    },
  ],
  ["the researcher's entry", () => renewed('rosa', (member) => ({ ...member, organisation: 'Elsewhere' }))],
  ["the dispatcher's entry", () => renewed('dispatcher', (member) => ({ ...member, title: 'Another hub' }))],
  [
    "the reader's key",
    () =>
      renewed('rosa', (member) => ({ ...member, keys: { ...member.keys, encryption: publicOf(x25519()) } })),
  ],
];

describe('between approval and clearing', () => {
  test.each(CHANGES)('%s: the person is asked again', async (_name, change) => {
    const hopId = await waitingHop(rig, station);
    const clearance = await clearanceOf(rig, station, hopId);
    await decideOn(station, hopId, clearance);
    change();
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    await expect(decideOn(station, hopId, clearance)).rejects.toMatchObject({ code: 'clearance.invalid' });
    expect(lastCounted(station)).toBe('clearance clearance.invalid');
    expect(rig.executor.runs).toEqual([]);
    await approved(rig, station, hopId, { by: 'nils' });
    expect(await endOf(rig, station, hopId)).toBe('released released');
  });

  test.each(CHANGES)('%s, before the person has signed', async (_name, change) => {
    const hopId = await waitingHop(rig, station);
    const clearance = await clearanceOf(rig, station, hopId);
    change();
    await expect(decideOn(station, hopId, clearance)).rejects.toMatchObject({ code: 'clearance.invalid' });
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  });
});

describe('between clearing and release', () => {
  // A dataset that changes while a train reads it ends the run: see test/station/ends.test.ts.
  test.each(CHANGES.filter(([name]) => name !== 'the dataset'))(
    '%s: the person is asked again',
    async (_name, change) => {
      const hopId = await waitingHop(rig, station);
      await approved(rig, station, hopId);
      const answers = rig.executor.outcome;
      rig.executor.outcome = (spec, signal) => {
        change();
        return answers(spec, signal);
      };
      expect(await station.visit(hopId)).toMatchObject({ is: 'later', error: { code: 'clearance.invalid' } });
      rig.executor.outcome = answers;
      expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
      expect(typesOf(station)).not.toContain('result.released');
      await approved(rig, station, hopId, { by: 'nils' });
      expect(await endOf(rig, station, hopId)).toBe('released released');
    },
  );

  test.each(CHANGES)('%s, while witnesses are waited for', async (_name, change) => {
    await open(true);
    const hopId = await waitingHop(rig, station);
    await approved(rig, station, hopId);
    expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
    expect(stateOf(station, hopId)).toBe('awaiting-witness');
    change();
    rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
    expect(await station.visit(hopId)).toMatchObject({ is: 'later', error: { code: 'clearance.invalid' } });
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(typesOf(station).filter((type) => type === 'release.withdrawn')).toHaveLength(1);
    await approved(rig, station, hopId, { by: 'nils' });
    expect(await endOf(rig, station, hopId)).toBe('released released');
  });
});

describe('a clock that is set back', () => {
  const LATER = 3 * 3_600_000;

  test('revives no clearance that has expired', async () => {
    const hopId = await waitingHop(rig, station);
    const clearance = await clearanceOf(rig, station, hopId, { lifetimeMs: 3_600_000 });
    rig.clock.ms += LATER;
    await expect(decideOn(station, hopId, clearance)).rejects.toMatchObject({ code: 'clearance.expired' });
    station.store.log.saw(rig.clock.ms);
    rig.clock.ms = NOW;
    await expect(decideOn(station, hopId, clearance)).rejects.toMatchObject({ code: 'clock.untrusted' });
    expect(lastCounted(station)).toBe('clearance clock.untrusted');
    expect(await station.visit(hopId)).toMatchObject({ is: 'later', error: { code: 'clock.untrusted' } });
    expect(rig.executor.runs).toEqual([]);
  });

  test('nor a standing one, for a train that comes then', async () => {
    const first = await waitingHop(rig, station);
    await decideOn(station, first, await standingOf(rig, station, first, { days: 1, runs: 9 }));
    expect(await endOf(rig, station, first)).toBe('released released');
    rig.clock.ms = NOW + DAY_MS;
    await waitingHop(rig, station, { nonce: 'a'.repeat(32) });
    rig.clock.ms = NOW;
    const hopId = await tookHop(rig, station, { nonce: 'b'.repeat(32) });
    expect(await station.visit(hopId)).toMatchObject({ is: 'later', error: { code: 'clock.untrusted' } });
    expect(rig.executor.runs).toHaveLength(1);
  });

  test('by less than the skew changes nothing', async () => {
    const hopId = await waitingHop(rig, station);
    rig.clock.ms -= SKEW_MS;
    await approved(rig, station, hopId);
    expect(await endOf(rig, station, hopId)).toBe('released released');
  });
});

describe('an approval that ran out', () => {
  test('before the station looked is as if there were none', async () => {
    const hopId = await waitingHop(rig, station);
    await approved(rig, station, hopId, { lifetimeMs: 3_600_000 });
    rig.clock.ms += 3_600_000;
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    await approved(rig, station, hopId);
    expect(await endOf(rig, station, hopId)).toBe('released released');
  });

  test('after it cleared the train and before that ran ends the train', async () => {
    const hopId = await waitingHop(rig, station);
    await approved(rig, station, hopId, { lifetimeMs: 3_600_000 });
    rig.lease = async () => {
      throw new PhtError('engine.unreachable', 'the engine is gone');
    };
    expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
    expect(stateOf(station, hopId)).toBe('cleared');
    rig.clock.ms += 3_600_000;
    expect(await endOf(rig, station, hopId)).toBe('expired clearance.expired');
  });
});

test('a rotated key of an admin leaves what was signed with the old one in force', async () => {
  const hopId = await waitingHop(rig, station);
  await approved(rig, station, hopId);
  renewed('nora', (member) => ({ ...member, keys: { ...member.keys, statement: publicOf(ed25519()) } }));
  expect(await endOf(rig, station, hopId)).toBe('released released');
});

test('the key that an admin gave up signs nothing new', async () => {
  const hopId = await waitingHop(rig, station);
  renewed('nora', (member) => ({ ...member, keys: { ...member.keys, statement: publicOf(ed25519()) } }));
  await expect(approved(rig, station, hopId)).rejects.toMatchObject({ code: 'signature.invalid' });
  expect(lastCounted(station)).toBe('clearance signature.invalid');
});
