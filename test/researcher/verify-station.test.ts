import { beforeAll, describe, expect, test } from 'vitest';
import { verifyStation } from '../../src/journey/researcher/verify-station.ts';
import { digestOf } from '../../src/model/id.ts';
import { type FakeNetwork, makeNetwork, x25519 } from '../fakes/network.ts';
import {
  COUNT,
  type Lies,
  NOW_MS,
  openerFor,
  type Packed,
  packTrain,
  refused,
  released,
  tamper,
} from './rig.ts';

let fake: FakeNetwork;
let packed: Packed;
beforeAll(async () => {
  fake = await makeNetwork({ nowMs: NOW_MS });
  packed = packTrain(fake, ['north']);
});

const verified = (shown: Awaited<ReturnType<typeof released>>) =>
  verifyStation(shown, packed.manifest, fake.network, openerFor(packed));

test('a released result is attested by its station, with where it came from', async () => {
  const account = await verified(await released(fake, packed, 'north'));
  expect(account).toMatchObject({
    station: 'north',
    word: 'attested',
    state: 'released',
    code: 'released',
    result: COUNT,
  });
  expect(account.snapshotDigest).toBe(digestOf('data'));
});

test('a refusal comes with the reasons that the station committed to', async () => {
  const account = await verified(await refused(fake, packed, 'north'));
  expect(account).toMatchObject({
    word: 'attested',
    state: 'refused',
    code: 'policy.denied',
    text: 'no rule permits it',
    reasons: ['the purpose is not one of ours'],
    result: null,
  });
});

test('a station that tells nothing but its code', async () => {
  const shown = await refused(fake, packed, 'north', {
    receipt: { jweDigest: null, commitment: null },
    jwe: () => new Uint8Array(),
  });
  expect(await verified(shown)).toMatchObject({ word: 'attested', state: 'refused', text: '', reasons: [] });
});

const OTHER = digestOf('another');

describe('what a dispatcher or a station could forge is not used', () => {
  const lies: [string, Lies, string][] = [
    ['an order for another manifest', { orderSubject: OTHER }, 'order.invalid'],
    ['an order for another station', { order: { audience: 'south' } }, 'order.audience'],
    ['an order signed by a station', { order: { signedBy: 'south' } }, 'signer.unknown'],
    ['a receipt for another order', { receiptSubject: OTHER }, 'receipt.invalid'],
    ['a receipt for another manifest', { receipt: { manifestDigest: OTHER } }, 'receipt.invalid'],
    ['a receipt for another attempt', { receipt: { attempt: 2 } }, 'receipt.invalid'],
    ['a receipt of another station', { signer: 'south' }, 'signature.invalid'],
    ['a receipt in the name of another station', { receipt: { issuer: 'south' } }, 'signature.invalid'],
    [
      'a receipt of another station for this one',
      { receipt: { issuer: 'south' }, signer: 'south' },
      'receipt.invalid',
    ],
    ['a receipt of another network', { receipt: { networkId: OTHER } }, 'network.mismatch'],
    ['a receipt that names another envelope', { receipt: { jweDigest: OTHER } }, 'envelope.invalid'],
    [
      'a release without an envelope',
      { receipt: { jweDigest: null }, jwe: () => new Uint8Array() },
      'receipt.invalid',
    ],
    ['an envelope that is held back', { jwe: () => new Uint8Array() }, 'envelope.invalid'],
    ['a release with the code of a refusal', { receipt: { code: 'policy.denied' } }, 'receipt.invalid'],
    ['a result for another order', { insideSubject: OTHER }, 'receipt.invalid'],
    ['a result for another manifest', { result: { manifestDigest: OTHER } }, 'receipt.invalid'],
    ['a result signed by another station', { insideSigner: 'south' }, 'signature.invalid'],
    [
      'a result of another dataset',
      { result: { dataset: { id: 'lung', snapshotDigest: OTHER } } },
      'receipt.invalid',
    ],
    ['a result meant for somebody else', { result: { recipients: [OTHER] } }, 'receipt.invalid'],
    ['a result sealed to another key', { sealedTo: x25519() }, 'envelope.invalid'],
    [
      'a result of a kind that was not asked for',
      {
        result: {
          result: {
            schema: 'pht-result/v1',
            outputs: [
              {
                id: 't',
                kind: 'StatisticalHypothesisTests',
                test: 'log-rank',
                var: 'a',
                arm: 'b',
                arms: 2,
                n: 1,
                u: 1,
                v: 1,
              },
            ],
          },
        },
      },
      'receipt.invalid',
    ],
  ];
  test.each(lies)('%s', async (_, lie, code) => {
    const account = await verified(await released(fake, packed, 'north', lie));
    expect(account).toMatchObject({
      word: 'unverified',
      state: 'unverified',
      code,
      result: null,
      receiptDigest: null,
    });
  });

  const explanations: [string, Lies][] = [
    ['an explanation that was not committed to', { explanation: { text: 'no reason' } }],
    ['an explanation of another outcome', { explanation: { outcome: 'failed' } }],
    ['an explanation of another code', { explanation: { code: 'run.failed' } }],
    ['no commitment at all', { receipt: { commitment: null } }],
  ];
  test.each(explanations)('%s', async (_, lie) => {
    const account = await verified(await refused(fake, packed, 'north', lie));
    expect(account).toMatchObject({
      word: 'unverified',
      code: 'receipt.invalid',
      text: expect.any(String),
      reasons: [],
    });
    expect(account.text).not.toContain('no rule permits it');
  });

  test.each(['order', 'receipt'] as const)('a broken signature on the %s', async (what) => {
    const shown = await released(fake, packed, 'north');
    const account = await verified({ ...shown, [what]: tamper(shown[what]) });
    expect(account).toMatchObject({ word: 'unverified', code: 'signature.invalid' });
  });

  test('a station that is no stop of the train', async () => {
    expect(await verified(await released(fake, packed, 'south'))).toMatchObject({
      word: 'unverified',
      code: 'receipt.invalid',
    });
  });

  test.each([
    ['nothing', new Uint8Array()],
    ['no JSON', Buffer.from('<html>')],
    ['a megabyte too many', Buffer.alloc(1024 * 1024 + 1, ' ')],
  ])('%s in place of a receipt', async (_, receipt) => {
    const shown = { ...(await released(fake, packed, 'north')), receipt };
    expect(await verified(shown)).toMatchObject({ word: 'unverified', result: null });
  });
});
