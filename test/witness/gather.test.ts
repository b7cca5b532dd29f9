import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createGatherer, type Gatherer, type GathererOptions } from '../../src/journey/witness/gather.ts';
import { PhtError } from '../../src/model/error.ts';
import { formatCosignatures, formatSize, parseAddCheckpoint } from '../../src/model/ledger/add-checkpoint.ts';
import { cosignCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { parseNote } from '../../src/model/ledger/note.ts';
import type { WitnessAnswer, WitnessRelay } from '../../src/ports/witness.ts';
import { cosignersOf, type Home, makeRig, type Rig, STATIONS, witnessSignerOf } from './rig.ts';

const OTHERS = ['dispatcher', 'east', 'mid', 'south', 'west'];
/** Enough for six witnesses on a machine that does other things besides. */
const CALL_MS = 1_000;

let rig: Rig;
let north: Home;
let noted: { text: string; details: Readonly<Record<string, unknown>> }[];
let asked: string[];
let unhandled: unknown[];
const onUnhandled = (reason: unknown): void => void unhandled.push(reason);

beforeEach(async () => {
  rig = await makeRig();
  north = rig.home('north');
  noted = [];
  asked = [];
  unhandled = [];
  process.on('unhandledRejection', onUnhandled);
});

afterEach(async () => {
  await sleep(5);
  process.off('unhandledRejection', onUnhandled);
  rig.close();
  expect(unhandled).toEqual([]);
});

const never = new AbortController().signal;
type Bend = (body: Uint8Array, signal: AbortSignal) => Promise<WitnessAnswer>;

/** Witnesses by name behave as said, all others as they should. */
function relayWith(bent: Record<string, Bend> = {}): WitnessRelay {
  const honest = rig.relay('north');
  return {
    ...honest,
    addCheckpoint: async (witness, body, signal) => {
      asked.push(witness);
      const bend = bent[witness];
      return bend === undefined ? honest.addCheckpoint(witness, body, signal) : bend(body, signal);
    },
  };
}

function gatherer(bent: Record<string, Bend> = {}, more: Partial<GathererOptions> = {}): Gatherer {
  return createGatherer({
    member: 'north',
    network: () => rig.network,
    ledger: north.ledger,
    relay: relayWith(bent),
    note: (text, details) => noted.push({ text, details }),
    callMs: CALL_MS,
    ...more,
  });
}

const unreachable: Bend = async () => {
  throw new PhtError('witness.unreachable', 'the witness is not connected');
};
const hangs: Bend = () => new Promise(() => undefined);
const answers =
  (status: number, body: Uint8Array = new Uint8Array()): Bend =>
  async () => ({ status, contentType: 'text/plain', body });

async function failure(promise: Promise<unknown>): Promise<PhtError> {
  const thrown: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(thrown instanceof PhtError)) throw new Error(`no PhtError but ${String(thrown)}`);
  return thrown;
}

/** The stragglers of a round as well. */
const publishedBySoon = (ids: readonly string[]) =>
  expect.poll(publishedBy, { timeout: 10_000 }).toEqual(ids);
const publishedBy = (): string[] => cosignersOf(rig.fake, north.ledger.published()?.text ?? 'nothing');

describe('a round', () => {
  test('publishes the checkpoint with cosignatures that verify, and the next one from where each witness stands', async () => {
    const gather = gatherer();
    for (const count of [3, 1, 300]) {
      asked = [];
      const size = await north.grow(count);
      expect(gather.waitingFor()).toEqual(OTHERS);
      await gather.round(never);
      expect(north.ledger.published()?.size).toBe(size);
      await publishedBySoon(OTHERS);
      expect(gather.waitingFor()).toEqual([]);
      expect(asked.toSorted(), 'each was asked once').toEqual(OTHERS);
    }
    expect(noted).toEqual([]);
  });

  test('learns from status 409 where a witness stands, as after a restart of this process', async () => {
    await north.grow(3);
    await gatherer().round(never);
    await north.grow(2);
    asked = [];
    const gather = gatherer();
    await gather.round(never);
    await publishedBySoon(OTHERS);
    expect(asked).toHaveLength(10);
  });

  test('has nothing to do without a quorum in the network or without a checkpoint', async () => {
    const gather = gatherer({}, { network: () => ({ ...rig.network, witnessing: { quorum: 'none' } }) });
    await north.grow(1);
    await gather.round(never);
    expect(gather.waitingFor()).toEqual([]);
    const empty = createGatherer({
      member: 'south',
      network: () => rig.network,
      ledger: rig.home('south').ledger,
      relay: relayWith(),
      note: () => undefined,
    });
    await empty.round(never);
    expect(empty.waitingFor()).toEqual([]);
    expect(asked).toEqual([]);
  });

  test('publishes what waited for a quorum that the network has given up', async () => {
    let { network } = rig;
    const gather = gatherer(Object.fromEntries(OTHERS.map((id) => [id, unreachable])), {
      network: () => network,
    });
    await north.grow(3);
    await failure(gather.round(never));
    expect(north.ledger.published()).toBeNull();
    network = { ...network, witnessing: { quorum: 'none' } };
    await gather.round(never);
    expect(north.ledger.published()?.size).toBe(3);
  });

  test('for a published checkpoint brings younger cosignatures, and says when it could not', async () => {
    await north.grow(1);
    let down = false;
    const gather = gatherer(
      Object.fromEntries(
        OTHERS.map((id): [string, Bend] => [
          id,
          (body, signal) =>
            down ? unreachable(body, signal) : rig.relay('north').addCheckpoint(id, body, signal),
        ]),
      ),
    );
    await gather.round(never);
    await gather.round(never);
    await publishedBySoon(OTHERS);
    await expect.poll(() => asked.length).toBe(10);
    await sleep(50);
    down = true;
    expect((await failure(gather.round(never))).code).toBe('witness.unreachable');
    expect(publishedBy(), 'what is published stays').toEqual(OTHERS);
    expect(gather.waitingFor()).toEqual([]);
  });
});

describe('witnesses that do not answer', () => {
  test('one of five is not waited for', async () => {
    await north.grow(1);
    const gather = gatherer({ mid: unreachable }, { callMs: 60_000 });
    await gather.round(never);
    await publishedBySoon(['dispatcher', 'east', 'south', 'west']);
  });

  test('a slow one holds nothing up, and its cosignature is published when it comes', async () => {
    await north.grow(1);
    let release = (): void => undefined;
    const slow: Bend = async (body, signal) => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return rig.relay('north').addCheckpoint('mid', body, signal);
    };
    const gather = gatherer({ mid: slow }, { callMs: 60_000 });
    await gather.round(never);
    expect(publishedBy()).not.toContain('mid');
    release();
    await publishedBySoon(OTHERS);
  });

  test('one that hangs for ever ends at the deadline, in the background', async () => {
    await north.grow(1);
    let gaveUp = false;
    const heard: Bend = (_, signal) => {
      signal.addEventListener('abort', () => {
        gaveUp = true;
      });
      return new Promise(() => undefined);
    };
    const gather = gatherer({ mid: heard });
    await gather.round(never);
    expect(gaveUp).toBe(false);
    await expect.poll(() => gaveUp, { timeout: 5_000 }).toBe(true);
    expect(publishedBy()).toEqual(['dispatcher', 'east', 'south', 'west']);
    expect(noted).toEqual([]);
  });

  test('two of five: nothing is published, the missing are named, and the next round needs only one of them', async () => {
    const size = await north.grow(1);
    const bent: Record<string, Bend> = { mid: unreachable, west: hangs };
    const gather = gatherer(bent);
    const error = await failure(gather.round(never));
    expect(error.code).toBe('witness.unreachable');
    expect(error.message).toMatch(/4 of 5.*: mid, west$/);
    expect(error.reasons).toEqual([
      'mid: the witness is not connected',
      'west: the witness did not answer in time',
    ]);
    expect(north.ledger.published()).toBeNull();
    expect(gather.waitingFor()).toEqual(['mid', 'west']);
    delete bent['mid'];
    bent['south'] = unreachable;
    await gather.round(never);
    expect(north.ledger.published()?.size, 'what came in before counts').toBe(size);
    expect(publishedBy()).toEqual(['dispatcher', 'east', 'mid', 'south']);
  });

  test('an abort ends the round at once', async () => {
    await north.grow(1);
    const stop = new AbortController();
    const gather = gatherer({ mid: hangs, west: hangs }, { callMs: 60_000 });
    const round = failure(gather.round(stop.signal));
    await sleep(20);
    stop.abort(new PhtError('cancelled', 'the station stops'));
    expect((await round).message).toBe('the station stops');
    expect((await failure(gather.round(stop.signal))).code).toBe('cancelled');
  });

  test('one that hangs is asked once at a time, and then about the newest only', async () => {
    const releases: (() => void)[] = [];
    const slow: Bend = async (body, signal) => {
      await new Promise<void>((resolve) => releases.push(resolve));
      return rig.relay('north').addCheckpoint('mid', body, signal);
    };
    const gather = gatherer({ mid: slow }, { callMs: 60_000 });
    const timesAsked = () => asked.filter((id) => id === 'mid').length;
    for (let round = 0; round < 5; round++) {
      await north.grow(1);
      await gather.round(never);
    }
    expect(timesAsked()).toBe(1);
    releases[0]?.();
    await expect.poll(timesAsked).toBe(2);
    releases[1]?.();
    // It cosigned the first checkpoint, which the second question takes into account.
    await publishedBySoon(OTHERS);
    expect(north.ledger.published()?.size).toBe(5);
    expect(timesAsked()).toBe(2);
  });
});

describe('witnesses that lie', () => {
  const text = (body: Uint8Array) => parseNote(parseAddCheckpoint(body).checkpoint).text;
  const signedBy =
    (id: string, over: (text: string) => string = (same) => same, timeS = 1_800_000_000): Bend =>
    async (body) => {
      const line = cosignCheckpoint(over(text(body)), witnessSignerOf(rig.fake, id), timeS);
      return { status: 200, contentType: 'text/plain', body: formatCosignatures([line]) };
    };

  test.each([
    ['signs with another witness’s key', signedBy('east'), 'its key has not signed'],
    ['signs another checkpoint', signedBy('mid', (over) => over.replace('\n1\n', '\n2\n')), /not over this/],
    ['signs at no time', signedBy('mid', (same) => same, 0), /no time/],
    ['answers garbage', answers(200, Buffer.from('garbage')), /malformed/],
    ['answers nothing', answers(200), /malformed/],
    ['does not know the ledger', answers(404), /status 404/],
    ['fails', answers(500), /status 500/],
    ['names no size', answers(409, Buffer.from('x')), /malformed/],
    ['names its size again and again', answers(409, formatSize(0)), /another size each time/],
  ])('one that %s does not count', async (_, bend, why) => {
    await north.grow(1);
    const gather = gatherer({ mid: bend, west: unreachable });
    const error = await failure(gather.round(never));
    expect(error.code).toBe('witness.unreachable');
    expect(error.reasons[0]).toMatch(why instanceof RegExp ? why : `mid: ${why}`);
    expect(gather.waitingFor()).toEqual(['mid', 'west']);
    expect(north.ledger.published()).toBeNull();
  });

  test('one that replays its old cosignature does not count', async () => {
    await north.grow(1);
    let old: WitnessAnswer | null = null;
    const replays: Bend = async (body, signal) => {
      old ??= await rig.relay('north').addCheckpoint('mid', body, signal);
      return old;
    };
    const gather = gatherer({ mid: replays });
    await gather.round(never);
    await publishedBySoon(OTHERS);
    await north.grow(1);
    await gather.round(never);
    await publishedBySoon(['dispatcher', 'east', 'south', 'west']);
    expect(north.ledger.published()?.size).toBe(2);
  });

  test('lines of strangers beside the right one are ignored', async () => {
    await north.grow(1);
    const adds: Bend = async (body, signal) => {
      const own = await rig.relay('north').addCheckpoint('mid', body, signal);
      const foreign = cosignCheckpoint(text(body), witnessSignerOf(rig.fake, 'west'), 7);
      return { ...own, body: Buffer.concat([formatCosignatures([foreign]), own.body]) };
    };
    await gatherer({ mid: adds, west: unreachable }).round(never);
    expect(publishedBy()).toEqual(['dispatcher', 'east', 'mid', 'south']);
  });

  test.each([
    ['says that it has cosigned more than there is', answers(409, formatSize(77))],
    ['says that the ledger contradicts itself', answers(422)],
  ])('one that %s is heard loudly, once, and stops nothing', async (_, bend) => {
    const gather = gatherer({ mid: bend });
    for (let round = 0; round < 3; round++) {
      await north.grow(1);
      await gather.round(never);
      await publishedBySoon(['dispatcher', 'east', 'south', 'west']);
      await expect.poll(() => asked.filter((id) => id === 'mid').length).toBe(round + 1);
      await expect.poll(() => noted.length).toBe(1);
    }
    expect(noted).toHaveLength(1);
    expect(noted[0]?.details).toMatchObject({ code: 'ledger.inconsistent', witness: 'mid' });
  });
});

describe('a witness that was revoked', () => {
  test('counts no more, also with what it cosigned before', async () => {
    await north.grow(1);
    let { network } = rig;
    const bent: Record<string, Bend> = { east: unreachable, west: unreachable };
    const gather = gatherer(bent, { network: () => network });
    await failure(gather.round(never));
    expect(gather.waitingFor()).toEqual(['east', 'west']);
    const witnesses = ['dispatcher', ...STATIONS].filter((id) => id !== 'mid');
    network = { ...network, witnessing: { quorum: 3, faulty: 1, witnesses } };
    expect((await failure(gather.round(never))).message).toMatch(/3 of 4.*: east, west$/);
    expect(north.ledger.published()).toBeNull();
    delete bent['east'];
    await gather.round(never);
    expect(publishedBy()).toEqual(['dispatcher', 'east', 'south']);
  });
});

describe('a relay that refuses', () => {
  test('is worth a line, not one in each round', async () => {
    await north.grow(1);
    const forbidden: Bend = async () => {
      throw new PhtError('forbidden', 'not for you');
    };
    const gather = gatherer({ mid: forbidden });
    await gather.round(never);
    await gather.round(never);
    await expect.poll(() => asked.filter((id) => id === 'mid').length).toBe(2);
    await sleep(20);
    expect(noted).toMatchObject([{ details: { code: 'forbidden', witness: 'mid' } }]);
  });
});

describe('a disk that fails', () => {
  test('fails the round, and the next one publishes what was gathered, whoever can be reached by then', async () => {
    const size = await north.grow(1);
    let full = true;
    const ledger = {
      ...north.ledger,
      publish: async (...head: Parameters<typeof north.ledger.publish>) => {
        if (full) throw new PhtError('internal', 'the disk is full');
        await north.ledger.publish(...head);
      },
    };
    const bent: Record<string, Bend> = {};
    const gather = gatherer(bent, { ledger });
    expect((await failure(gather.round(never))).message).toBe('the disk is full');
    await expect.poll(() => asked.length).toBe(5);
    await sleep(50);
    expect(noted[0]?.text).toMatch(/could not be published/);
    full = false;
    for (const id of OTHERS) bent[id] = unreachable;
    await gather.round(never);
    expect(north.ledger.published()?.size).toBe(size);
  });
});
