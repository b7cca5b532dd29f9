import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PhtError } from '../../src/model/error.ts';
import { verifyExplanation, verifyResult } from '../../src/model/receipt.ts';
import type { Ledger } from '../../src/ports/ledger.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import {
  cosignedBy,
  makeStation,
  openSealed,
  PERMIT,
  type Process,
  type Rig,
  receiptsOf,
} from '../fakes/station.ts';
import { makeOrder, makeTrain } from '../fakes/trains.ts';

/** Promise 8: nothing is released before its entries are in a checkpoint that the witnesses have cosigned. */

const NOW = Date.UTC(2026, 5, 1, 12);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

beforeAll(async () => {
  fake = await makeNetwork({
    nowMs: NOW,
    witnessing: { quorum: 2, faulty: 1, witnesses: ['dispatcher', 'north', 'south'] },
  });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  station = rig.start();
});
afterEach(() => rig.close());

const unreachable: Rig['cosign'] = async () => {
  throw new PhtError('witness.unreachable', 'waits for the witnesses dispatcher, south');
};

function ordered(title = 'Hello') {
  const { digest, manifest } = makeTrain(fake, rig.image.image, NOW, { title });
  return { ...makeOrder(fake, digest, NOW), manifest };
}

const types = (): string[] => station.entries().map(({ type }) => type);
const stateOf = (hopId: string) => station.store.hops.find(hopId)?.state;

test('a result leaves with a receipt whose entry the quorum has cosigned', async () => {
  rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
  const hopId = station.accept(ordered()) ?? '';
  expect(await station.visit(hopId)).toMatchObject({ is: 'sealed' });
  await station.post();
  // The fake dispatcher verifies the proof, its cosignatures included.
  expect(receiptsOf(rig, hopId)).toMatchObject([{ outcome: 'released' }]);
  expect(types().slice(-2)).toEqual(['result.released', 'receipt.issued']);
});

describe('while the witnesses cannot be reached', () => {
  test('the result waits, sealed, through a restart, and leaves once they are back', async () => {
    rig.cosign = unreachable;
    const hopId = station.accept(ordered()) ?? '';
    const ended = await station.visit(hopId);
    expect(ended).toMatchObject({ is: 'later', problem: 'waits for the witnesses dispatcher, south' });
    expect(stateOf(hopId)).toBe('awaiting-witness');
    await station.post();
    expect(receiptsOf(rig)).toEqual([]);
    expect(types()).not.toContain('receipt.issued');

    // A weekend.
    rig.clock.ms = NOW + 3 * DAY_MS;
    station = rig.start();
    expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
    rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
    expect(await station.visit(hopId)).toMatchObject({ is: 'sealed' });
    await station.post();
    const [receipt] = receiptsOf(rig, hopId);
    expect(receipt?.outcome).toBe('released');
    const opened = await openSealed(rig, receipt?.jwe ?? new Uint8Array());
    expect(verifyResult(opened, fake.network, 'north').predicate.result.outputs).toHaveLength(1);
    // It ran once.
    expect(rig.executor.runs).toHaveLength(1);
  });

  test('a second release waits in the outbox without holding up a refusal behind it', async () => {
    rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
    const released = station.accept(ordered()) ?? '';
    await station.visit(released);
    rig.cosign = unreachable;
    rig.policy('// nothing\n');
    const refused = station.accept(ordered('Refused')) ?? '';
    await station.visit(refused);
    await expect(station.post()).rejects.toMatchObject({ code: 'witness.unreachable' });
    expect(receiptsOf(rig)).toMatchObject([{ outcome: 'refused', code: 'policy.denied' }]);
    rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
    await station.post();
    expect(receiptsOf(rig, released)).toMatchObject([{ outcome: 'released' }]);
  });

  test('however many wait in the outbox, the witnesses are asked once for all of them', async () => {
    rig.cosign = unreachable;
    const hops = ['One', 'Two', 'Three'].map((title) => station.accept(ordered(title)) ?? '');
    for (const hopId of hops) await station.visit(hopId);
    rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
    for (const hopId of hops) expect(await station.visit(hopId)).toMatchObject({ is: 'sealed' });
    let rounds = 0;
    rig.cosign = async () => {
      rounds += 1;
      throw new PhtError('witness.unreachable', 'each round takes ten seconds');
    };
    await expect(station.post()).rejects.toMatchObject({ code: 'witness.unreachable' });
    expect(receiptsOf(rig)).toEqual([]);
    expect(rounds).toBe(1);
    rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
    await station.post();
    expect(receiptsOf(rig)).toHaveLength(3);
  });

  test('until the order expires: then it is withheld, withdrawn on record, and says why', async () => {
    rig.cosign = unreachable;
    const hopId = station.accept(ordered()) ?? '';
    await station.visit(hopId);
    rig.clock.ms = NOW + 7 * DAY_MS - 1;
    expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
    rig.clock.ms = NOW + 7 * DAY_MS;
    expect(await station.visit(hopId)).toMatchObject({ is: 'sealed' });
    await station.post();
    const [receipt] = receiptsOf(rig, hopId);
    expect(receipt).toMatchObject({ outcome: 'withheld', code: 'witness.unreachable' });
    const opened = await openSealed(rig, receipt?.jwe ?? new Uint8Array());
    expect(verifyExplanation(opened, fake.network, 'north').predicate.text).toContain('witnesses');
    expect(types().slice(-3)).toEqual(['result.released', 'release.withdrawn', 'receipt.issued']);
  });

  test('a cosignature that comes after the expiry releases nothing either', async () => {
    const hopId = station.accept(ordered()) ?? '';
    rig.cosign = async (ledger, signal) => {
      rig.clock.ms = NOW + 7 * DAY_MS;
      await cosignedBy(() => rig, 'dispatcher', 'south')(ledger, signal);
    };
    await station.visit(hopId);
    await station.post();
    expect(receiptsOf(rig, hopId)).toMatchObject([{ outcome: 'withheld', code: 'witness.unreachable' }]);
  });

  test('an order that expires while the case is looked at once more releases nothing', async () => {
    rig.cosign = unreachable;
    const hopId = station.accept(ordered()) ?? '';
    await station.visit(hopId);
    rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
    const open = rig.datasets.open.bind(rig.datasets);
    rig.datasets.open = async (dataset) => {
      rig.clock.ms = NOW + 7 * DAY_MS;
      return open(dataset);
    };
    await station.visit(hopId);
    await station.post();
    expect(receiptsOf(rig, hopId)).toMatchObject([{ outcome: 'withheld', code: 'witness.unreachable' }]);
  });

  test('a cancellation ends it, and the visit may be ordered again', async () => {
    rig.cosign = unreachable;
    const train = makeTrain(fake, rig.image.image, NOW);
    const first = { ...makeOrder(fake, train.digest, NOW), manifest: train.manifest };
    const hopId = station.accept(first) ?? '';
    await station.visit(hopId);
    const reason = new PhtError('cancelled', 'the researcher cancelled the train');
    await station.visit(hopId, AbortSignal.abort(reason));
    expect(types().slice(-2)).toEqual(['release.withdrawn', 'receipt.issued']);
    rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
    const second = makeOrder(fake, train.digest, NOW, { attempt: 2, epoch: 2 });
    const again = station.accept({ ...second, manifest: train.manifest }) ?? '';
    await station.visit(again);
    await station.post();
    expect(receiptsOf(rig, hopId)).toMatchObject([{ outcome: 'cancelled' }]);
    expect(receiptsOf(rig, again)).toMatchObject([{ outcome: 'released' }]);
  });
});

test('a case that changes while the result waits is decided anew, and what was held is forgotten', async () => {
  rig.cosign = unreachable;
  const hopId = station.accept(ordered()) ?? '';
  await station.visit(hopId);
  rig.policy(`${PERMIT} // another text\n`);
  rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
  expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
  expect(station.store.hops.find(hopId)).toMatchObject({ state: 'cleared', held: null });
  expect(types().at(-1)).toBe('release.withdrawn');
  expect(await station.visit(hopId)).toMatchObject({ is: 'sealed' });
  await station.post();
  expect(receiptsOf(rig, hopId)).toMatchObject([{ outcome: 'released' }]);
  expect(rig.executor.runs).toHaveLength(2);
});

describe('a result that is held outlives what is wrong with this station itself', () => {
  test.each<[string, () => Error, string]>([
    [
      'a full disk',
      () => Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }),
      'internal',
    ],
    [
      'a ledger that may not sign',
      () => new PhtError('ledger.inconsistent', 'an old copy'),
      'ledger.inconsistent',
    ],
    ['a tile that is gone', () => new PhtError('ledger.invalid', 'missing'), 'ledger.invalid'],
  ])('%s', async (_name, failure, code) => {
    rig.cosign = async () => {
      throw failure();
    };
    const hopId = station.accept(ordered()) ?? '';
    expect(await station.visit(hopId)).toMatchObject({ is: 'later', error: { code } });
    rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
    expect(await station.visit(hopId)).toMatchObject({ is: 'sealed' });
    await station.post();
    expect(receiptsOf(rig, hopId)).toMatchObject([{ outcome: 'released' }]);
    expect(rig.executor.runs).toHaveLength(1);
  });

  test('a network file with another log key, until the right one is back', async () => {
    rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
    await station.visit(station.accept(ordered()) ?? '');
    await station.post();
    const north = fake.network.members.get('north');
    const south = fake.network.members.get('south');
    if (north === undefined || south === undefined) throw new Error('no such members');
    const keys = { ...north.keys, log: south.keys.log };
    const members = new Map(fake.network.members).set('north', { ...north, keys });
    const other = {
      ...fake.network,
      members,
      version: 2,
      digest: 'f'.repeat(64) as typeof fake.network.digest,
    };
    rig.cosign = async () => {
      rig.settings.network = other;
      throw new PhtError('witness.unreachable', 'they know another key');
    };
    const hopId = station.accept(ordered('Second')) ?? '';
    await station.visit(hopId);
    expect(stateOf(hopId)).toBe('awaiting-witness');
    expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
    rig.settings.network = fake.network;
    rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
    expect(await station.visit(hopId)).toMatchObject({ is: 'sealed' });
  });
});

test('cosignatures of too few release nothing', async () => {
  rig.cosign = async () => undefined;
  const hopId = station.accept(ordered()) ?? '';
  await station.visit(hopId);
  expect(stateOf(hopId)).toBe('awaiting-witness');
});

test('the word of one witness on the time moves nothing; that of more than may lie does', async () => {
  const south = cosignedBy(() => rig, 'south');
  const honest = rig.clock.ms;
  rig.cosign = async (ledger, signal) => {
    // South alone lives in another year, and cosigns first.
    rig.clock.ms = honest + 365 * DAY_MS;
    const lines: Parameters<Ledger['publish']>[1][] = [];
    await south({ ...ledger, publish: async (_size, given) => void lines.push(given) }, signal);
    rig.clock.ms = honest;
    const both = {
      ...ledger,
      publish: (size: number, given: Parameters<Ledger['publish']>[1]) =>
        ledger.publish(size, [...given, ...lines.flat()]),
    };
    await cosignedBy(() => rig, 'dispatcher')(both, signal);
  };
  const hopId = station.accept(ordered()) ?? '';
  await station.visit(hopId);
  expect(stateOf(hopId)).toBe('sealed');
  expect(station.store.log.highestMs()).toBe(honest);

  rig.clock.ms = honest + DAY_MS;
  rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
  await station.post();
  rig.clock.ms = honest;
  const late = station.accept(ordered('Late')) ?? '';
  expect(await station.visit(late)).toMatchObject({ is: 'later' });
  expect(rig.executor.runs).toHaveLength(1);
});
