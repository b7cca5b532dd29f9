import { afterEach, beforeEach, expect, it } from 'vitest';
import { StatementsRequestSchema } from '../../src/gen/pht/v1/ledger_pb.ts';
import { makeWorld, pull, receiptFor, report, request, underWay, type World } from './desk.ts';

/** What was signed about a train, for those who audit it. */

let world: World;
beforeEach(async () => {
  world = await makeWorld();
});
afterEach(() => world.close());

const asked = (trainId: string, caller: string) =>
  world.dispatcher.ledgers.statements(request(StatementsRequestSchema, { trainId }), world.as(caller));

it('hands an auditor, and its researcher, the manifest, orders and receipts of a train as they were received', async () => {
  const trainId = await underWay(world);
  const [order] = (await pull(world, 'north')).orders;
  if (order === undefined) throw new Error('no order');
  const { receipt, jwe } = receiptFor(world, order);
  await report(world, order, { receipt, jwe });
  for (const caller of ['dora', 'rosa']) {
    const { manifest, cancellation, orders = [], receipts } = await asked(trainId, caller);
    expect(manifest).toEqual(world.store.trains.find(trainId)?.manifest);
    expect(cancellation).toEqual(new Uint8Array());
    expect(orders).toEqual(world.store.stops.list({ trainId }).map((stop) => stop.order));
    expect(receipts?.map((each) => Buffer.from(each))).toEqual([receipt]);
  }
});

it('nothing of a train to anybody else, not even whether there is one', async () => {
  const trainId = await underWay(world);
  for (const [caller, train] of [
    ['otto', trainId],
    ['dora', 'trn_000000000000000000000000'],
  ] as const)
    await expect(asked(train, caller)).rejects.toMatchObject({ code: 'not-found' });
  for (const caller of ['north', 'nobody'])
    await expect(asked(trainId, caller)).rejects.toMatchObject({ code: 'forbidden' });
  await expect(asked('../x', 'dora')).rejects.toMatchObject({ code: 'input.malformed' });
});
