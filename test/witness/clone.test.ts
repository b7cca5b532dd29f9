import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import { createGatherer } from '../../src/journey/witness/gather.ts';
import { createStartCheck } from '../../src/journey/witness/start.ts';
import { createVouched, onceVouched, type Vouched } from '../../src/journey/witness/vouched.ts';
import { formatAddCheckpoint } from '../../src/model/ledger/add-checkpoint.ts';
import { memberIn } from '../fakes/network.ts';
import { type Home, inventedHead, makeRig, type Rig } from './rig.ts';

/** One home that runs twice, on two machines that know nothing of each other. */

const never = new AbortController().signal;
let rig: Rig;
beforeEach(async () => {
  rig = await makeRig();
});
afterEach(() => rig.close());

type Running = { home: Home; vouched: Vouched; round: () => Promise<void> };

/** Later ones of the rig take the place of earlier ones under their id, so that each keeps its own home. */
function running(copyOf?: string): Running {
  const network = () => rig.network;
  const relay = rig.relay('north');
  const note = (): void => undefined;
  const vouched = createVouched({
    check: createStartCheck({
      ...{ member: 'north', network, relay, signal: never, note },
      publicJwk: createSigner(memberIn(rig.fake, 'north').keys.log).publicJwk,
    }),
    own: () => ({ ...home.ledger.tree, size: home.ledger.checkpoint()?.size ?? 0 }),
    note,
  });
  const home = rig.open('north', {
    ...(copyOf === undefined ? {} : { copyOf }),
    ledger: { beforeSigning: vouched.beforeSigning, isVouchedFor: vouched.is },
  });
  const gatherer = createGatherer({
    ...{ member: 'north', network, ledger: home.ledger, relay, note, contradicted: vouched.doubt },
  });
  return { home, vouched, round: () => gatherer.round(never) };
}

test('the copy that comes second signs no more once a witness has contradicted it', async () => {
  const first = running();
  await first.home.grow(3);
  await first.round();
  const copy = rig.copy(first.home);
  const second = running(copy);
  // Both are in order when they start.
  second.vouched.look();
  await expect.poll(second.vouched.is).toBe(true);
  await first.home.grow(1);
  await first.round();

  await second.home.grow(1);
  await expect(second.round()).rejects.toMatchObject({ code: 'witness.unreachable' });
  expect(second.vouched.is()).toBe(false);
  await expect(second.home.grow(1)).rejects.toMatchObject({ code: 'ledger.inconsistent' });
  expect(second.home.ledger.checkpoint()?.size).toBe(4);
  expect(second.home.ledger.published()?.size).toBe(3);
  await first.home.grow(1);
  await first.round();
  expect(first.home.ledger.published()?.size).toBe(5);
});

test('an old copy, which has forgotten what it cosigned, cosigns no roll-back of others', async () => {
  const first = running();
  const south = rig.home('south');
  await first.home.grow(3);
  await first.round();
  const old = rig.copy(first.home);
  await first.home.grow(1);
  await first.round();
  await south.grow(2);
  const { text } = south.ledger.checkpoint() ?? { text: new Uint8Array() };
  const body = formatAddCheckpoint({ sizeBefore: 0, hashes: [], checkpoint: Buffer.from(text).toString() });
  expect(onceVouched(first.home.witness, first.vouched).addCheckpoint(body).status).toBe(200);

  const second = running(old);
  const other = inventedHead(rig.fake, 'south', 2, Buffer.alloc(32, 7));
  const forked = formatAddCheckpoint({ sizeBefore: 0, hashes: [], checkpoint: other });
  expect(second.home.witness.addCheckpoint(forked).status, 'by itself it would').toBe(200);
  const witness = onceVouched(second.home.witness, second.vouched);
  for (let at = 0; at < 3; at++) {
    expect(witness.addCheckpoint(forked).status).toBe(503);
    await sleep(20);
  }
  expect(second.vouched.is()).toBe(false);
});

test('a witness that cries wolf has a ledger asked anew now and then, and stops nothing', async () => {
  let checks = 0;
  let at = 0;
  const vouched = createVouched({
    check: async () => {
      checks += 1;
    },
    own: () => ({ size: 0, rootAt: async () => new Uint8Array(32) }),
    note: () => undefined,
    doubtMs: 1000,
    nowMs: () => at,
  });
  const tree = { size: 0, rootAt: async () => new Uint8Array(32) };
  await vouched.beforeSigning(tree);
  for (; at < 2500; at += 100) {
    vouched.doubt();
    await vouched.beforeSigning(tree);
    expect(vouched.is()).toBe(true);
  }
  expect(checks).toBe(4);
});
