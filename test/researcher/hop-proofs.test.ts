import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Shown, verifyStation } from '../../src/journey/researcher/verify-station.ts';
import type { StationAccount } from '../../src/model/account.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { makeOrder } from '../fakes/trains.ts';
import { cosigned } from './proofs.ts';
import { COUNT, NOW_MS, openerFor, type Packed, packTrain, refused, released } from './rig.ts';

/** What a station's order and receipt are worth without their ledgers: nothing. */

let fake: FakeNetwork;
let packed: Packed;
beforeAll(async () => {
  fake = await makeNetwork({ nowMs: NOW_MS });
  packed = packTrain(fake, ['north']);
});

const verified = (shown: Shown): Promise<StationAccount> =>
  verifyStation(shown, packed.manifest, fake.network, openerFor(packed));

describe('a hop without its proofs counts for nothing', () => {
  const swaps: [string, (shown: Shown, other: Shown) => Partial<Shown>, string][] = [
    ['an order without a proof', () => ({ orderProof: new Uint8Array() }), 'the order came without'],
    ['a receipt without a proof', () => ({ receiptProof: new Uint8Array() }), 'the receipt came without'],
    ['the proof of another order', (_, other) => ({ orderProof: other.orderProof }), 'of another order'],
    [
      'the proof of another receipt',
      (_, other) => ({ receiptProof: other.receiptProof }),
      'of another receipt',
    ],
    [
      'proofs the wrong way round',
      ({ orderProof, receiptProof }) => ({ orderProof: receiptProof, receiptProof: orderProof }),
      'the order: ',
    ],
    [
      'a proof cut short',
      ({ receiptProof }) => ({ receiptProof: receiptProof.subarray(0, 200) }),
      'the receipt: ',
    ],
    ['what is no proof', () => ({ orderProof: Buffer.from('<html>') }), 'the order: '],
    ['a megabyte too many', () => ({ receiptProof: Buffer.alloc(1024 * 1024 + 1, 'a') }), 'the receipt: '],
  ];
  test.each(swaps)('%s', async (_, change, words) => {
    const shown = await released(fake, packed, 'north');
    // The same train again, so that no digest but that of the statement differs.
    const other = await released(fake, packed, 'north', {
      order: { attempt: 2 },
      receipt: { attempt: 2 },
      result: { attempt: 2 },
    });
    const account = await verified({ ...shown, ...change(shown, other) });
    expect(account).toMatchObject({ word: 'unverified', code: 'proof.invalid', result: null, proofs: null });
    expect(account.text).toContain(words);
  });

  test('a refusal needs its proof as much as a release', async () => {
    const shown = await refused(fake, packed, 'north');
    const account = await verified({ ...shown, receiptProof: new Uint8Array() });
    expect(account).toMatchObject({ word: 'unverified', code: 'proof.invalid', reasons: [] });
  });

  test("a receipt in another member's ledger", async () => {
    const account = await verified(await released(fake, packed, 'north', { receiptLog: 'south' }));
    expect(account).toMatchObject({ word: 'unverified', code: 'proof.invalid' });
  });

  test("an order in another dispatcher's ledger", async () => {
    const shown = await released(fake, packed, 'north');
    const { proof } = makeOrder(fake, packed.manifest.digest, NOW_MS, { signedBy: 'south' });
    expect(await verified({ ...shown, orderProof: proof })).toMatchObject({
      word: 'unverified',
      code: 'proof.invalid',
    });
  });

  test('any byte of a proof changed is found, or leaves what it proves as it was', async () => {
    const shown = await released(fake, packed, 'north');
    const whole = await verified(shown);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(shown.receiptProof.length - 1),
        fc.integer({ min: 1, max: 255 }),
        async (at, xor) => {
          const receiptProof = Uint8Array.from(shown.receiptProof, (byte, here) =>
            here === at ? byte ^ xor : byte,
          );
          const account = await verified({ ...shown, receiptProof });
          if (account.word === 'attested') expect(account).toEqual(whole);
          else expect(account.code).toBe('proof.invalid');
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('in a network with witnesses', () => {
  const WITNESSES = ['dispatcher', 'south', 'west'];
  let watched: FakeNetwork;
  let train: Packed;
  beforeAll(async () => {
    const stations = ['north', 'south', 'west'];
    const witnessing = { quorum: 3, faulty: 1, witnesses: ['dispatcher', ...stations] };
    watched = await makeNetwork({ nowMs: NOW_MS, stations, witnessing });
    train = packTrain(watched, ['north']);
  });
  const seen = (shown: Shown) => verifyStation(shown, train.manifest, watched.network, openerFor(train));

  test('a release counts under a head that enough of them cosigned, and the account names them', async () => {
    const account = await seen(await released(watched, train, 'north', { witnesses: WITNESSES }));
    expect(account).toMatchObject({ word: 'attested', result: COUNT });
    expect(account.proofs?.receipt.witnesses).toEqual(WITNESSES);
    expect(account.proofs?.order.witnesses).toEqual([]);
  });

  const few: [string, string[]][] = [
    ['by nobody', []],
    ['by one too few', ['dispatcher', 'south']],
    ['by its own station in place of another', ['dispatcher', 'south', 'north']],
    ['by one who is no witness', ['dispatcher', 'south', 'rosa']],
  ];
  test.each(few)('a release that is cosigned %s is not used', async (_, witnesses) => {
    const account = await seen(await released(watched, train, 'north', { witnesses }));
    expect(account).toMatchObject({ word: 'unverified', code: 'proof.invalid', result: null });
    expect(account.text).toMatch(/only [02] witnesses/);
  });

  test('one cosignature twice counts once', async () => {
    const shown = await released(watched, train, 'north', { witnesses: ['dispatcher', 'south'] });
    const repeated = Buffer.from(shown.receiptProof).toString('utf8').trimEnd().split('\n');
    const receiptProof = Buffer.from([...repeated, repeated.at(-1), ''].join('\n'));
    expect(await seen({ ...shown, receiptProof })).toMatchObject({
      word: 'unverified',
      code: 'proof.invalid',
    });
  });

  test('a cosignature of another checkpoint', async () => {
    const shown = await released(watched, train, 'north');
    const later = cosigned(watched, (await released(watched, train, 'north')).receiptProof, WITNESSES);
    const lines = Buffer.from(later).toString('utf8').trimEnd().split('\n').slice(-3);
    const receiptProof = Buffer.from(
      `${Buffer.from(shown.receiptProof).toString('utf8')}${lines.join('\n')}\n`,
    );
    expect(await seen({ ...shown, receiptProof })).toMatchObject({
      word: 'unverified',
      code: 'proof.invalid',
    });
  });

  test('a refusal needs none of them: nothing has left', async () => {
    expect(await seen(await refused(watched, train, 'north'))).toMatchObject({
      word: 'attested',
      state: 'refused',
    });
  });

  test('witnesses who could not be reached are told as what they are', async () => {
    const code = 'witness.unreachable' as const;
    const nothing = { jweDigest: null, commitment: null };
    const shown = await refused(watched, train, 'north', {
      receipt: { outcome: 'withheld', code, ...nothing },
      jwe: () => new Uint8Array(),
    });
    expect(await seen(shown)).toMatchObject({ word: 'attested', state: 'withheld', code });
  });
});
