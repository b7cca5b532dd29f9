import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/adapters/store/database.ts';
import { createWitnessStore, WITNESS_TABLES } from '../../src/adapters/store/witness-store.ts';
import { ResultRequestSchema } from '../../src/gen/pht/v1/journeys_pb.ts';
import { PastHeadsRequestSchema } from '../../src/gen/pht/v1/ledger_pb.ts';
import { ListenRequestSchema } from '../../src/gen/pht/v1/witness_pb.ts';
import { createWitness } from '../../src/journey/witness/witness.ts';
import { digestOf } from '../../src/model/id.ts';
import { openCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import type { LedgerEntry } from '../../src/model/ledger/entry.ts';
import { openEntryProof, type ProvenEntry } from '../../src/model/ledger/entry-proof.ts';
import { ledgerOrigin, logKey } from '../../src/model/ledger/origin.ts';
import { parsePastHeads } from '../../src/model/ledger/past-heads.ts';
import type { SeenQuestion } from '../../src/model/ledger/seen.ts';
import type { VerifiedOrder } from '../../src/model/order.ts';
import { keysOfRule, provenAtMs, quorumRule, witnessPolicy } from '../../src/model/witnessing.ts';
import type { WitnessStore } from '../../src/ports/witness.ts';
import { logOf, makeLog } from '../fakes/dispatcher-log.ts';
import { memberIn, publicOf, signerOf } from '../fakes/network.ts';
import {
  CONFIG,
  cosigned,
  depart,
  LAYER,
  makeWorld,
  manifestFor,
  NOW_MS,
  newKey,
  pull,
  QUORUM,
  receiptEntry,
  receiptFor,
  report,
  request,
  signManifest,
  submit,
  underWay,
  upload,
  type World,
} from './desk.ts';

/** The entry precedes the message: what is handed out and what is taken comes with its place in a ledger. */

let world: World;
afterEach(() => world.close());

function opened(proof: Uint8Array, member = 'dispatcher'): ProvenEntry {
  const origin = ledgerOrigin(world.fake.network.id, member);
  const logKeys = [logKey(origin, publicOf(memberIn(world.fake, member).keys.log))];
  const witnessKeys = witnessPolicy(world.fake.network, member)?.witnesses.map(({ key }) => key) ?? [];
  return openEntryProof(proof, { origin, logKeys, witnessKeys });
}

async function orderOf(station: string): Promise<VerifiedOrder> {
  const order = (await pull(world, station)).orders[0];
  if (order === undefined) throw new Error(`no order for ${station}`);
  return order;
}

const stateOf = (order: VerifiedOrder) => world.store.stops.find(order.hopId)?.state;
const typesOf = () => world.entries().map(({ type }) => type);

async function rejectsWith(code: string, attempt: Promise<unknown>): Promise<void> {
  const before = typesOf();
  await expect(attempt).rejects.toMatchObject({ code });
  expect(typesOf()).toEqual(before);
  world.clock.ms += 60_000;
  await world.dispatcher.sweep();
  expect(world.entries().at(-1)).toMatchObject({
    type: 'rejects.counted',
    body: { count: 1, codes: [`${code} 1`] },
  });
}

describe('without a quorum', () => {
  beforeEach(async () => {
    world = await makeWorld();
  });

  it('an admission, an order and a result come with their proofs', async () => {
    const { trainId, proof } = await submit(world, signManifest(world, manifestFor(world)));
    expect(opened(proof).entry).toMatchObject({ type: 'train.admitted', trainId });
    const second = await underWay(world);
    const { orders, proofs } = await pull(world, 'north');
    const [order, orderProof] = [orders[0], proofs[0]];
    if (order === undefined || orderProof === undefined) throw new Error('no order');
    const { entry } = opened(orderProof);
    expect(entry).toMatchObject({ type: 'order.issued', trainId: second, hopId: order.hopId });
    expect(entry.body).toEqual({ station: 'north', orderDigest: order.digest });

    const sealed = receiptFor(world, order);
    const receiptProof = logOf(world.fake, 'north').prove(receiptEntry(world, order, sealed.receipt));
    await report(world, order, { ...sealed, proof: receiptProof });
    expect(world.entries().find(({ type }) => type === 'receipt.received')).toMatchObject({
      prev: opened(receiptProof, 'north').quote,
    });
    await expect.poll(() => world.ledger.published()?.size).toBe(world.store.ledgerRows.size());
    const message = request(ResultRequestSchema, { trainId: second, pageToken: '' });
    const { results = [] } = await world.dispatcher.journeys.result(message, world.as('rosa'));
    const north = results.find(({ station }) => station === 'north');
    expect(north?.receiptProof).toEqual(new Uint8Array(receiptProof));
    const refreshed = opened(north?.orderProof ?? new Uint8Array());
    expect(refreshed.entry).toEqual(entry);
    expect(refreshed.opened.checkpoint.size).toBeGreaterThan(opened(orderProof).opened.checkpoint.size);
    const south = results.find(({ station }) => station === 'south');
    expect(south?.receiptProof).toEqual(new Uint8Array());
    expect(opened(south?.orderProof ?? new Uint8Array()).entry.type).toBe('order.issued');
  });

  it('the same answer to the same key comes with a proof again', async () => {
    const [manifest, key] = [signManifest(world, manifestFor(world)), newKey()];
    const first = await submit(world, manifest, 'rosa', key);
    await world.restart();
    const again = await submit(world, manifest, 'rosa', key);
    expect(opened(again.proof).quote).toEqual(opened(first.proof).quote);
  });

  it('a report that is repeated with a younger proof is the same report', async () => {
    await underWay(world);
    const order = await orderOf('north');
    const [sealed, key] = [receiptFor(world, order), newKey()];
    await report(world, order, sealed, { key });
    await report(world, order, sealed, { key });
    expect(typesOf().filter((type) => type === 'receipt.received')).toHaveLength(1);
  });

  type Change = (entry: LedgerEntry) => LedgerEntry;
  const changed = (change: Change) => (order: VerifiedOrder, receipt: Uint8Array) =>
    logOf(world.fake, 'north').prove(change(receiptEntry(world, order, receipt)));
  it.each<[string, (order: VerifiedOrder, receipt: Uint8Array) => Uint8Array]>([
    ['no proof', () => new Uint8Array()],
    ['a proof that is none', () => Buffer.from('c2sp.org/tlog-proof@v1\nindex 0\n\n')],
    ['a proof of another type of entry', changed((entry) => ({ ...entry, type: 'result.released' }))],
    ['a proof of another hop', changed((entry) => ({ ...entry, hopId: `hop_${'0'.repeat(24)}` as never }))],
    [
      'a proof of another receipt',
      changed((entry) => ({ ...entry, body: { receiptDigest: '0'.repeat(64) } })),
    ],
    ['a proof without a receipt', changed((entry) => ({ ...entry, body: {} }))],
    ["another member's entry", changed((entry) => ({ ...entry, actor: 'south' }))],
    [
      "a proof from another station's ledger",
      (order, receipt) => logOf(world.fake, 'south').prove(receiptEntry(world, order, receipt)),
    ],
    [
      'a proof with one byte changed',
      (order, receipt) => {
        const proof = Buffer.from(changed((entry) => entry)(order, receipt));
        const at = proof.indexOf('index ') + 12;
        proof[at] = proof[at] === 0x41 ? 0x42 : 0x41;
        return proof;
      },
    ],
  ])('%s is refused and counted', async (_what, proofOf) => {
    await underWay(world);
    const order = await orderOf('north');
    // So that a proof has a path at all.
    logOf(world.fake, 'north').prove({
      ...receiptEntry(world, order, receiptFor(world, order).receipt),
      body: {},
    });
    const sealed = receiptFor(world, order);
    const proof = proofOf(order, sealed.receipt);
    await rejectsWith('proof.invalid', report(world, order, { ...sealed, proof }));
    expect(stateOf(order)).toBe('ordered');
    await report(world, order, sealed);
    expect(stateOf(order)).toBe('released');
  });

  it('a station that shows two histories leaves its evidence', async () => {
    await underWay(world);
    const order = await orderOf('north');
    const sealed = receiptFor(world, order);
    const [one, other] = [makeLog(world.fake, 'north'), makeLog(world.fake, 'north')];
    const entry = receiptEntry(world, order, sealed.receipt);
    await report(world, order, { ...sealed, proof: one.prove(entry) });
    await report(world, order, { ...sealed, proof: other.prove({ ...entry, ts: entry.ts + 1 }) });
    expect(world.store.witness.unresolved('north')).toMatchObject([{ member: 'north', size: 1 }]);
    expect(typesOf()).toContain('witness.conflict');
    expect(world.notes.join()).toContain('cannot both be true');
  });
});

describe('with a quorum', () => {
  const memories = new Map<string, WitnessStore>();
  beforeEach(async () => {
    memories.clear();
    world = await makeWorld(
      {},
      { witnessing: QUORUM, publisherTimes: { coveredMs: 1200, retryMs: 50, batchMs: 5 } },
    );
  });

  /** Connects a station as a witness with a memory of its own, as long as the test lasts. */
  function listens(member: string): AbortController {
    const over = new AbortController();
    const store =
      memories.get(member) ?? createWitnessStore(openDatabase(':memory:', [WITNESS_TABLES]), null);
    memories.set(member, store);
    const witness = createWitness({
      id: member,
      network: () => world.fake.network,
      store,
      signer: signerOf(memberIn(world.fake, member).keys.witness),
      nowMs: () => NOW_MS,
    });
    const service = world.dispatcher.witnesses;
    const context = world.as(member, over.signal);
    void (async () => {
      for await (const { questionId, question } of service.listen(create(ListenRequestSchema), context)) {
        if (question?.case === 'addCheckpoint') {
          const answer = witness.addCheckpoint(question.value as Uint8Array);
          await service.answer({ questionId, ...answer, signature: new Uint8Array() } as never, context);
        } else if (question?.case === 'seen') {
          const seen = witness.seen(question.value as SeenQuestion);
          if (seen === null) throw new Error('a question about a ledger that it does not know');
          const { note: body, signature } = seen;
          await service.answer(
            { questionId, status: 200, contentType: 'text/plain', body, signature } as never,
            context,
          );
        }
      }
    })();
    return over;
  }

  it('nothing is signed or handed out before enough witnesses are there, and all of it is afterwards', async () => {
    await expect(submit(world, signManifest(world, manifestFor(world)))).rejects.toMatchObject({
      code: 'ledger.unchecked',
    });
    expect(world.ledger.checkpoint()).toBeNull();
    listens('north');
    listens('south');
    await expect(submit(world, signManifest(world, manifestFor(world)))).rejects.toMatchObject({
      code: 'ledger.unchecked',
    });
    listens('west');
    const { proof } = await submit(world, signManifest(world, manifestFor(world)));
    expect(opened(proof).entry.type).toBe('train.admitted');
    await expect.poll(() => world.ledger.published()?.size ?? 0).toBe(world.store.ledgerRows.size());
    await underWay(world);
    const size = world.store.ledgerRows.size();
    await expect.poll(() => world.ledger.published()?.size ?? 0).toBe(size);
    const { proofs } = await pull(world, 'north');
    expect(opened(proofs[0] ?? new Uint8Array()).opened.cosignatures.length).toBeGreaterThanOrEqual(3);
  });

  it('heads of its own ledger are kept, and shown to whoever audits later', async () => {
    for (const station of ['north', 'south', 'west']) listens(station);
    const ask = async (member: string, caller = 'dora'): Promise<number[]> => {
      const { ledgers } = world.dispatcher;
      const { heads } = await ledgers.pastHeads(
        request(PastHeadsRequestSchema, { member }),
        world.as(caller),
      );
      const origin = ledgerOrigin(world.fake.network.id, 'dispatcher');
      const rule = quorumRule(world.fake.network, 'dispatcher');
      const logKeys = [logKey(origin, publicOf(memberIn(world.fake, 'dispatcher').keys.log))];
      return parsePastHeads(heads ?? new Uint8Array()).flatMap((text) => {
        const head = openCheckpoint(text, { origin, logKeys, witnessKeys: keysOfRule(rule) });
        return provenAtMs(rule, head) === null ? [] : [head.checkpoint.size];
      });
    };
    await submit(world, signManifest(world, manifestFor(world)));
    const size = (): number => world.store.ledgerRows.size();
    await expect.poll(() => ask('dispatcher')).toContain(size());
    await expect(ask('dispatcher', 'stranger')).rejects.toMatchObject({ code: 'forbidden' });
    await expect(ask('nobody')).rejects.toMatchObject({ code: 'not-found' });
    const before = await ask('dispatcher');
    for (const head of world.store.pastHeads.list('dispatcher')) world.store.pastHeads.remove(head);
    await world.restart();
    // What a crash kept from being written is there again at the start.
    expect(await ask('dispatcher')).toEqual(before.slice(-1));
  });

  it('a dispatcher restored from an old copy signs nothing', async () => {
    for (const station of ['north', 'south', 'west']) listens(station);
    await submit(world, signManifest(world, manifestFor(world)));
    await expect.poll(() => world.ledger.published()?.size ?? 0).toBe(world.store.ledgerRows.size());
    const old = mkdtempSync(join(tmpdir(), 'old-'));
    cpSync(world.dir, old, { recursive: true });
    await submit(world, signManifest(world, manifestFor(world)));
    const { size } = world.ledger.published() ?? { size: 0 };
    await expect.poll(() => world.ledger.published()?.size ?? 0).toBe(world.store.ledgerRows.size());
    await world.restart(() => {
      rmSync(world.dir, { recursive: true });
      cpSync(old, world.dir, { recursive: true });
      rmSync(old, { recursive: true });
    });
    for (const station of ['north', 'south', 'west']) listens(station);
    const head = world.ledger.checkpoint();
    expect(head?.size).toBeLessThanOrEqual(size);
    await expect(submit(world, signManifest(world, manifestFor(world)))).rejects.toMatchObject({
      code: 'ledger.inconsistent',
    });
    expect(world.ledger.checkpoint()).toEqual(head);
    await expect(world.dispatcher.settle()).rejects.toMatchObject({ code: 'ledger.inconsistent' });
    world.dispatcher.settle = async () => undefined;
  });

  it('an order waits without breaking the track, and a cancellation does not', async () => {
    const stations = ['north', 'south', 'west'].map(listens);
    const { trainId } = await submit(world, signManifest(world, manifestFor(world)));
    await upload(world, trainId, digestOf(CONFIG), CONFIG);
    await upload(world, trainId, digestOf(LAYER), LAYER);
    await world.restart();
    for (const station of stations) station.abort();
    await depart(world, trainId);
    expect(await pull(world, 'north')).toEqual({ orders: [], proofs: [], cancellations: [] });
    for (const station of ['north', 'south', 'west']) listens(station);
    expect((await pull(world, 'north')).orders).toHaveLength(1);
  });

  it.each([
    ['no witness', []],
    ['too few', ['south', 'west']],
    ['its own operator', ['south', 'west', 'north']],
  ])('a release that %s has cosigned is refused', async (_what, witnesses) => {
    for (const station of ['north', 'south', 'west']) listens(station);
    await underWay(world);
    const order = await orderOf('north');
    const sealed = receiptFor(world, order);
    const bare = logOf(world.fake, 'north').prove(receiptEntry(world, order, sealed.receipt));
    await rejectsWith(
      'proof.invalid',
      report(world, order, { ...sealed, proof: cosigned(world, bare, ...witnesses) }),
    );
    expect(stateOf(order)).toBe('ordered');
    await report(world, order, { ...sealed, proof: cosigned(world, bare, 'south', 'west', 'dispatcher') });
    expect(stateOf(order)).toBe('released');
  });

  it('a cosignature that is forged spoils the proof, and a refusal needs none', async () => {
    for (const station of ['north', 'south', 'west']) listens(station);
    await underWay(world);
    const order = await orderOf('north');
    const released = receiptFor(world, order);
    const bare = logOf(world.fake, 'north').prove(receiptEntry(world, order, released.receipt));
    const text = Buffer.from(cosigned(world, bare, 'south', 'west', 'dispatcher'))
      .toString()
      .trimEnd();
    const line = text.slice(text.lastIndexOf('\n') + 1);
    const forged = `${text.slice(0, -12)}${text.at(-12) === 'A' ? 'B' : 'A'}${text.slice(-11)}\n`;
    expect(line).toContain('/witness');
    await rejectsWith('proof.invalid', report(world, order, { ...released, proof: Buffer.from(forged) }));
    const refused = receiptFor(world, order, { outcome: 'refused', jwe: null });
    await report(world, order, refused);
    expect(stateOf(order)).toBe('refused');
  });
});
