import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeEnvelope } from '../../src/model/dsse.ts';
import { type Digest, digestOf } from '../../src/model/id.ts';
import { verifyExplanation, verifyResult } from '../../src/model/receipt.ts';
import type { Manifest } from '../../src/model/train.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { makeStation, openSealed, type Process, type Rig, receiptsOf } from '../fakes/station.ts';
import { type FakeTrain, forge, makeImage, makeOrder, makeTrain } from '../fakes/trains.ts';

/** A station behind a dispatcher that lies: what it is sent, and what exactly it says to that. */

const NOW = Date.UTC(2026, 5, 1, 12);
const DAY_MS = 86_400_000;

let fake: FakeNetwork;
let other: FakeNetwork;
let rig: Rig;
let station: Process;

beforeAll(async () => {
  const admins = { nora: 'north', sven: 'south' };
  fake = await makeNetwork({ admins, researchers: ['rosa', 'rita'], nowMs: NOW });
  other = await makeNetwork({ admins, researchers: ['rosa', 'zoe'], nowMs: NOW });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  station = rig.start();
});
afterEach(() => rig.close());

const train = (overrides: Partial<Manifest> & { signedBy?: string } = {}): FakeTrain =>
  makeTrain(fake, rig.image.image, rig.clock.ms, overrides);

type OrderOverrides = Parameters<typeof makeOrder>[3];

function orderFor(
  { digest, manifest }: { digest: Digest; manifest: Uint8Array },
  overrides: OrderOverrides = {},
) {
  return { ...makeOrder(fake, digest, rig.clock.ms, overrides), manifest };
}

/** Accepts, visits once, posts, and says how the hop ended. */
async function sent(pulled: Parameters<Process['accept']>[0]) {
  const hopId = station.accept(pulled);
  if (hopId === null) return null;
  await station.visit(hopId);
  await station.post();
  const [receipt, ...more] = receiptsOf(rig, hopId);
  expect(more).toEqual([]);
  return receipt === undefined ? null : { hopId, receipt, end: `${receipt.outcome} ${receipt.code}` };
}

const endOf = async (pulled: Parameters<Process['accept']>[0]) => (await sent(pulled))?.end;

test('an honest order ends in a release that the recipient alone reads', async () => {
  const ended = await sent(orderFor(train()));
  expect(ended?.end).toBe('released released');
  const result = verifyResult(
    await openSealed(rig, ended?.receipt.jwe ?? new Uint8Array()),
    fake.network,
    'north',
  );
  expect(result.predicate.result.outputs).toMatchObject([{ kind: 'Frequencies', cells: [{ n: 130 }] }]);
  await expect(openSealed(rig, ended?.receipt.jwe ?? new Uint8Array(), 'rita')).rejects.toMatchObject({
    code: 'envelope.invalid',
  });
  expect(station.entries().map(({ type }) => type)).toEqual([
    'order.received',
    'manifest.verified',
    'policy.decided',
    'clearance.recorded',
    'image.verified',
    'run.started',
    'run.ended',
    'output.screened',
    'result.released',
    'receipt.issued',
  ]);
  expect(rig.executor.runs[0]).toMatchObject({ runAs: '65534:65534', entrypoint: ['/count'], epoch: 1 });
});

describe('what is no order of this network for this station is counted and gets no receipt', () => {
  const cases: [string, string, () => Uint8Array][] = [
    [
      'a changed order',
      'signature.invalid',
      () => forge(orderFor(train(), { epoch: 7 }).envelope, '"epoch":7', '"epoch":8'),
    ],
    ['another audience', 'order.audience', () => orderFor(train(), { audience: 'south' }).order],
    ['another network', 'network.mismatch', () => orderFor(train(), { networkId: other.network.id }).order],
    [
      "another network's dispatcher",
      'signature.invalid',
      () =>
        makeOrder(other, train().digest, NOW, {
          networkId: fake.network.id,
        }).order,
    ],
    ['an unknown dispatcher', 'signer.unknown', () => orderFor(train(), { issuer: 'dispenser' }).order],
    ['a researcher as dispatcher', 'signer.unknown', () => orderFor(train(), { signedBy: 'rosa' }).order],
    ['a manifest as order', 'statement.type', () => train().manifest],
    ['an empty message', 'input.malformed', () => new Uint8Array()],
    ['an oversized message', 'input.too-large', () => Buffer.alloc(2 * 1024 * 1024, ' ')],
    [
      'an unknown member in the order',
      'statement.malformed',
      () => orderFor(train(), { ...({ priority: 1 } as object) }).order,
    ],
  ];
  test.each(cases)('%s: %s', async (_name, code, order) => {
    expect(
      station.accept({ order: order(), manifest: train().manifest, proof: new Uint8Array() }),
    ).toBeNull();
    expect(station.entries().map(({ type, body }) => [type, body])).toEqual([
      ['rejects.counted', { what: 'order', code, count: 1 }],
    ]);
    await station.post();
    expect(rig.handed.size).toBe(0);
    expect(station.store.hops.list({ newest: 10 })).toEqual([]);
  });
});

describe('what is authentic but wrong ends in one receipt with its reason, and runs nothing', () => {
  const forged = (signed: FakeTrain, from: string, to: string) => {
    const manifest = forge(signed.envelope, from, to);
    return {
      manifest,
      digest: digestOf(Buffer.from(JSON.parse(Buffer.from(manifest).toString()).payload, 'base64')),
    };
  };
  const cases: [string, string, () => Parameters<Process['accept']>[0]][] = [
    [
      'a changed parameter',
      'refused signature.invalid',
      () => orderFor(forged(train(), '"column":"status"', '"column":"stratum"')),
    ],
    [
      'a changed parameter under the digest that was signed',
      'refused signature.invalid',
      () => {
        const signed = train();
        return { ...orderFor(signed), manifest: forge(signed.envelope, '"column":"status"', '"column":"x"') };
      },
    ],
    [
      'swapped recipients',
      'refused signature.invalid',
      () => orderFor(forged(train(), '[{"member":"rosa"}]', '[{"member":"rita"}]')),
    ],
    [
      "another train's manifest",
      'refused order.invalid',
      () => ({
        ...orderFor(train()),
        manifest: train({ title: 'Another' }).manifest,
      }),
    ],
    [
      'no manifest at all',
      'refused input.malformed',
      () => ({ ...orderFor(train()), manifest: new Uint8Array() }),
    ],
    [
      'a manifest beyond any size',
      'refused input.malformed',
      () => ({
        ...orderFor(train()),
        manifest: Buffer.alloc(1024 * 1024 + 1, ' '),
      }),
    ],
    [
      'an unknown researcher',
      'refused signer.unknown',
      () => orderFor(makeTrain(other, rig.image.image, NOW, { signedBy: 'zoe', networkId: fake.network.id })),
    ],
    [
      "another network's train",
      'refused network.mismatch',
      () => orderFor(train({ networkId: other.network.id })),
    ],
    [
      'a manifest of the future',
      'refused manifest.invalid',
      () => orderFor(train({ issuedAtMs: NOW + 6 * 60_000, expiresMs: NOW + DAY_MS })),
    ],
    ['an expired order', 'expired order.expired', () => orderFor(train(), { expiresMs: NOW })],
    [
      'an order before its time',
      'refused order.invalid',
      () => orderFor(train(), { notBeforeMs: NOW + 6 * 60_000 }),
    ],
    [
      'an expired manifest',
      'expired manifest.expired',
      () => orderFor(train({ issuedAtMs: NOW - DAY_MS, expiresMs: NOW })),
    ],
    [
      'a manifest that lives too long',
      'refused manifest.too-long',
      () => orderFor(train({ expiresMs: NOW + 31 * DAY_MS })),
    ],
    [
      'a station that is no stop',
      'refused order.invalid',
      () =>
        orderFor(
          train({ route: { pattern: 'parallel', stops: ['south'], minStations: 1, deadlineMs: DAY_MS } }),
        ),
    ],
    [
      'a recipient who is no member',
      'refused recipient.unknown',
      () => orderFor(train({ recipients: [{ member: 'rosa' }, { member: 'spy' }] })),
    ],
    [
      'more memory than the station gives',
      'refused quota.exceeded',
      () => orderFor(train({ limits: { ...LIMITS, memoryBytesMax: 2 * 1024 ** 3 } })),
    ],
    ['an unknown dataset', 'refused dataset.unknown', () => orderFor(train({ dataset: 'secrets' }))],
  ];
  test.each(cases)('%s: %s', async (_name, end, pulled) => {
    expect(await endOf(pulled())).toBe(end);
    expect(rig.executor.runs).toEqual([]);
    expect(station.entries().at(-1)).toMatchObject({ type: 'receipt.issued' });
  });

  const LIMITS = {
    memoryBytesMax: 64 * 1024 * 1024,
    cpuMillis: 1000,
    pidsMax: 16,
    wallMsMax: 30_000,
    outputBytesMax: 16 * 1024,
    scratchBytesMax: 1024 * 1024,
  };

  test('an expired manifest still says why to its recipients', async () => {
    const ended = await sent(orderFor(train({ issuedAtMs: NOW - DAY_MS, expiresMs: NOW })));
    const sealed = await openSealed(rig, ended?.receipt.jwe ?? new Uint8Array());
    const { predicate } = verifyExplanation(sealed, fake.network, 'north');
    expect(predicate).toMatchObject({ code: 'manifest.expired', text: 'the manifest has expired' });
  });

  test("another train's recipients are told nothing", async () => {
    const ended = await sent({
      ...orderFor(train()),
      manifest: train({ recipients: [{ member: 'rita' }], issuer: 'rosa' }).manifest,
    });
    expect(ended?.end).toBe('refused order.invalid');
    expect(ended?.receipt.jweDigest).toBeNull();
  });
});

describe('images', () => {
  test("another image's config under the signed digest", async () => {
    const wrong = makeImage(['/spied']);
    rig.blobs.set(
      rig.image.image.configDigest,
      wrong.blobs.get(wrong.image.configDigest) ?? new Uint8Array(),
    );
    expect(await endOf(orderFor(train()))).toBe('refused image.mismatch');
  });

  test('a config with layers that were not signed', async () => {
    const wrong = makeImage(['/spy']);
    for (const [digest, bytes] of wrong.blobs) rig.blobs.set(digest, bytes);
    const image = { ...wrong.image, layers: rig.image.image.layers };
    expect(await endOf(orderFor(makeTrain(fake, image, NOW)))).toBe('refused image.mismatch');
  });

  test('a layer with other bytes', async () => {
    const [layer] = rig.image.image.layers;
    if (layer === undefined) throw new Error('the image has no layer');
    rig.blobs.set(layer.diffId, Buffer.alloc(layer.bytes));
    expect(await endOf(orderFor(train()))).toBe('refused image.mismatch');
    expect(rig.executor.runs).toEqual([]);
  });
});

describe('replays', () => {
  test('the same order again hands out the same receipt and the same sealed bytes', async () => {
    const pulled = orderFor(train());
    const first = await sent(pulled);
    const [before] = [...rig.handed.values()].filter(({ receipt }) => receipt !== undefined);
    rig.handed.clear();
    expect(station.store.hops.find(first?.hopId ?? '')?.state).toBe('delivered');
    const again = await sent(pulled);
    expect(again?.hopId).toBe(first?.hopId);
    expect([...rig.handed.values()]).toEqual([before]);
    expect(rig.executor.runs).toHaveLength(1);
  });

  test('another order after the release is refused, and quotes the receipt of it', async () => {
    const signed = train();
    const first = await sent(orderFor(signed));
    const released = station.store.hops.find(first?.hopId ?? '')?.sealed;
    const second = await sent(orderFor(signed, { attempt: 2, epoch: 2 }));
    expect(second?.end).toBe('refused replayed');
    expect(second?.receipt.quotes).toBe(released?.receiptDigest);
    expect(rig.executor.runs).toHaveLength(1);
  });

  test('attempts that are minted while one is open are refused; the first goes on', async () => {
    const { ASK, PERMIT } = await import('../fakes/station.ts');
    rig.policy(ASK);
    const signed = train();
    const first = station.accept(orderFor(signed)) ?? '';
    expect(await station.visit(first)).toMatchObject({ is: 'waiting' });
    const second = await sent(orderFor(signed, { attempt: 2, epoch: 2 }));
    expect(second?.end).toBe('refused replayed');
    expect(second?.receipt.quotes).toBeNull();
    rig.policy(PERMIT);
    await station.visit(first);
    await station.post();
    expect(receiptsOf(rig, first)).toMatchObject([{ outcome: 'released' }]);
  });

  test('an attempt that did not release may be tried again, but only by a newer epoch', async () => {
    const signed = train();
    rig.executor.outcome = () => ({ ended: 'exit', wallMs: 1, detail: '1' });
    expect(await endOf(orderFor(signed, { attempt: 2, epoch: 2 }))).toBe('failed run.failed');
    expect(await endOf(orderFor(signed, { attempt: 1, epoch: 1 }))).toBe('refused stale.epoch');
    expect(await endOf(orderFor(signed, { attempt: 3, epoch: 2 }))).toBe('refused stale.epoch');
    expect(rig.executor.runs).toHaveLength(1);
    const { createFakeExecutor } = await import('../fakes/executor.ts');
    rig.executor.outcome = createFakeExecutor().outcome;
    expect(await endOf(orderFor(signed, { attempt: 3, epoch: 3 }))).toBe('released released');
  });

  test('unknown members of the envelope make no other order', async () => {
    const pulled = orderFor(train());
    const first = await sent(pulled);
    const noisy = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(pulled.order).toString()), note: 'x' }),
    );
    expect((await sent({ ...pulled, order: noisy }))?.hopId).toBe(first?.hopId);
    expect(encodeEnvelope(pulled.envelope)).toEqual(pulled.order);
  });
});
