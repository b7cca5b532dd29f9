import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  CheckpointRequestSchema,
  EntriesRequestSchema,
  LogsRequestSchema,
  PublishRequestSchema,
} from '../../src/gen/pht/v1/ledger_pb.ts';
import { openCheckpoint, signCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { encodeEntry } from '../../src/model/ledger/entry.ts';
import { leafHash, rootOfLeaves } from '../../src/model/ledger/merkle.ts';
import { ledgerOrigin, logKey } from '../../src/model/ledger/origin.ts';
import { memberIn, publicOf, signerOf } from '../fakes/network.ts';
import { makeWorld, request, underWay, type World } from './desk.ts';

let world: World;
beforeEach(async () => {
  world = await makeWorld();
});
afterEach(() => world.close());

const entry = (count: number, actor = 'north'): Uint8Array =>
  encodeEntry({
    v: 1,
    ts: 1,
    type: 'rejects.counted',
    trainId: null,
    hopId: null,
    attempt: null,
    epoch: null,
    manifestDigest: null,
    actor,
    prev: null,
    body: { count },
  });

const entriesOf = (count: number): Uint8Array[] => Array.from({ length: count }, (_, at) => entry(at));

function checkpointOf(entries: readonly Uint8Array[], station = 'north', signer = station): Uint8Array {
  const origin = ledgerOrigin(world.fake.network.id, station);
  const { log } = memberIn(world.fake, signer).keys;
  const noteSigner = { key: logKey(origin, publicOf(log)), sign: signerOf(log).sign };
  const root = rootOfLeaves(entries.map(leafHash));
  return Buffer.from(signCheckpoint({ origin, size: entries.length, root, extensions: [] }, noteSigner));
}

async function publish(
  first: number,
  entries: Uint8Array[],
  checkpoint: Uint8Array = new Uint8Array(),
  caller = 'north',
) {
  const message = request(PublishRequestSchema, { firstIndex: BigInt(first), entries, checkpoint });
  return Number((await world.dispatcher.ledgers.publish(message, world.as(caller))).size);
}

async function read(member: string, first: number, end: number, caller = 'dora'): Promise<Uint8Array[]> {
  const message = request(EntriesRequestSchema, { member, firstIndex: BigInt(first), endIndex: BigInt(end) });
  const all: Uint8Array[] = [];
  for await (const { entries = [] } of world.dispatcher.ledgers.entries(message, world.as(caller)))
    all.push(...entries);
  return all;
}

async function checkpoint(member: string, caller = 'dora'): Promise<Uint8Array> {
  const message = request(CheckpointRequestSchema, { member });
  return (
    (await world.dispatcher.ledgers.checkpoint(message, world.as(caller))).checkpoint ?? new Uint8Array()
  );
}

describe("the dispatcher's own ledger", () => {
  it('is read with a checkpoint over everything up to now', async () => {
    await underWay(world);
    const jwk = publicOf(memberIn(world.fake, 'dispatcher').keys.log);
    const origin = ledgerOrigin(world.fake.network.id, 'dispatcher');
    const trust = { origin, logKeys: [logKey(origin, jwk)], witnessKeys: [] };
    const opened = openCheckpoint(await checkpoint('dispatcher'), trust).checkpoint;
    expect(opened.size).toBe(world.store.ledgerRows.size());
    const entries = await read('dispatcher', 0, opened.size);
    expect(Buffer.from(opened.root)).toEqual(Buffer.from(rootOfLeaves(entries.map(leafHash))));
    await expect(read('dispatcher', 0, opened.size + 1)).rejects.toMatchObject({ code: 'input.malformed' });
    await expect(read('dispatcher', 2, 1)).rejects.toMatchObject({ code: 'input.malformed' });
  });
});

describe('a mirror', () => {
  it('shows what a station published, once its checkpoint covers it', async () => {
    const all = entriesOf(700);
    expect(await publish(0, [])).toBe(0);
    expect(await publish(0, all.slice(0, 300))).toBe(300);
    await expect(checkpoint('north')).rejects.toMatchObject({ code: 'not-found' });
    await world.restart();
    expect(await publish(300, all.slice(300), checkpointOf(all))).toBe(700);
    expect(await checkpoint('north')).toEqual(new Uint8Array(checkpointOf(all)));
    expect((await read('north', 0, 700)).map(Buffer.from)).toEqual(all.map(Buffer.from));
    expect(await read('north', 650, 700)).toHaveLength(50);
    const { members } = await world.dispatcher.ledgers.logs(request(LogsRequestSchema, {}), world.as('dora'));
    expect(members).toEqual(['dispatcher', 'north']);
    // The same again, as after a lost answer.
    expect(await publish(300, all.slice(300), checkpointOf(all))).toBe(700);
    const more = [...all, entry(700)];
    expect(await publish(700, more.slice(700), checkpointOf(more))).toBe(701);
  });

  it('keeps entries in any split of the publication', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(20), fc.boolean(), fc.nat(3)), { maxLength: 8 }),
        async (steps) => {
          world.store.mirrors.drop('west');
          world.store.mirrors.save({
            member: 'west',
            verified: { size: 0, peaks: [] },
            stored: { size: 0, peaks: [] },
            pendingBytes: 0,
            checkpoint: null,
          });
          let held = 0;
          let verified = 0;
          const all = Array.from({ length: 200 }, (_, at) => entry(at, 'west'));
          for (const [count, sign, overlap] of steps) {
            const first = Math.max(0, held - overlap);
            const end = held + count;
            if (first === end && !sign) continue;
            const signed = sign ? checkpointOf(all.slice(0, end), 'west') : new Uint8Array();
            expect(await publish(first, all.slice(first, end), signed, 'west')).toBe(end);
            held = end;
            if (sign) verified = end;
          }
          if (verified > 0)
            expect((await read('west', 0, verified)).map(Buffer.from)).toEqual(
              all.slice(0, verified).map(Buffer.from),
            );
        },
      ),
      { numRuns: 30 },
    );
  });

  it.each([
    ['a gap', () => publish(11, [entry(11)]), 'ledger.invalid'],
    ['an entry that is none', () => publish(10, [Buffer.from('{}')]), 'ledger.invalid'],
    ["another member's entry", () => publish(10, [entry(10, 'south')]), 'ledger.invalid'],
    ['an entry that changed', () => publish(9, [entry(99)]), 'ledger.inconsistent'],
    ['a checkpoint over more', () => publish(10, [entry(10)], checkpointOf(entriesOf(12))), 'ledger.invalid'],
    [
      'a checkpoint over others',
      () => publish(10, [entry(10)], checkpointOf([...entriesOf(10), entry(77)])),
      'ledger.invalid',
    ],
    [
      'a checkpoint of another key',
      () => publish(10, [entry(10)], checkpointOf(entriesOf(11), 'north', 'south')),
      'signer.unknown',
    ],
    [
      'a checkpoint of another ledger',
      () => publish(10, [entry(10)], checkpointOf(entriesOf(11), 'south')),
      'signer.unknown',
    ],
    ['a checkpoint that is none', () => publish(10, [entry(10)], Buffer.from('x')), 'ledger.invalid'],
    [
      'two roots for one size',
      () => publish(10, [], checkpointOf([...entriesOf(9), entry(99)])),
      'ledger.inconsistent',
    ],
    [
      'an old checkpoint over new entries',
      () => publish(10, [entry(10)], checkpointOf(entriesOf(10))),
      'ledger.invalid',
    ],
    ['too many entries at once', () => publish(10, Array(4097).fill(entry(1))), 'ledger.invalid'],
  ])('refuses %s and stays as it was', async (_what, attempt, code) => {
    const all = entriesOf(10);
    await publish(0, all, checkpointOf(all));
    await expect(attempt()).rejects.toMatchObject({ code });
    expect(await checkpoint('north')).toEqual(new Uint8Array(checkpointOf(all)));
    expect(await read('north', 0, 10)).toHaveLength(10);
    const more = entriesOf(12);
    expect(await publish(10, more.slice(10), checkpointOf(more))).toBe(12);
  });

  it('is written by its station alone and read by members', async () => {
    const all = entriesOf(3);
    await expect(publish(0, all, checkpointOf(all), 'south')).rejects.toMatchObject({
      code: 'ledger.invalid',
    });
    await expect(publish(0, all, checkpointOf(all), 'rosa')).rejects.toMatchObject({ code: 'forbidden' });
    await publish(0, all, checkpointOf(all));
    expect(await read('north', 0, 3, 'rosa')).toHaveLength(3);
    await expect(read('north', 0, 3, 'nobody')).rejects.toMatchObject({ code: 'forbidden' });
    await expect(read('south', 0, 0)).rejects.toMatchObject({ code: 'not-found' });
  });
});
