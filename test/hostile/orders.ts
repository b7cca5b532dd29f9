import { describe, expect, it } from 'vitest';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import { encodeEnvelope } from '../../src/model/dsse.ts';
import { type FakeNetwork, ed25519, makeNetwork, memberIn } from '../fakes/network.ts';
import { until } from '../journey/processes.ts';
import { everywhere, type Scene } from './rig.ts';
import { forged, type Ordered, signedTrain, trainOf } from './trains.ts';

const DAY_MS = 86_400_000;

type Lie = (station: string) => Promise<Pick<Ordered, 'order' | 'manifest'>>;

/** What is no order of this network for this station: no hop, no receipt, one line in the station's ledger. */
export function noOrders(scene: () => Scene): void {
  const honest = (station: string): Ordered => scene().rig.order(station, scene().hello);
  const signedBy =
    (member: (station: string) => string): Lie =>
    async (station) => {
      const { rig, hello } = scene();
      return rig.order(station, hello, { signer: await rig.signer(member(station)) });
    };
  const issuedBy =
    (member: (station: string) => string): Lie =>
    async (station) => {
      const { rig, hello } = scene();
      const issuer = member(station);
      return rig.order(station, hello, { issuer, signer: await rig.signer(issuer) });
    };
  const bytes =
    (make: (order: Uint8Array) => Uint8Array): Lie =>
    async (station) => ({ ...honest(station), order: make(honest(station).order) });
  let other: Promise<FakeNetwork> | undefined;
  const another = (): Promise<FakeNetwork> => {
    other ??= makeNetwork({ stations: ['north', 'south', 'east'], researchers: ['lee'] });
    return other;
  };
  const neighbour = (station: string): string => (station === 'north' ? 'south' : 'north');

  const lies: [string, string, Lie][] = [
    ['a changed epoch', 'signature.invalid', async (station) => {
      const ordered = scene().rig.order(station, scene().hello, { epoch: 7 });
      return { ...ordered, order: forged(trainless(ordered), '"epoch":7', '"epoch":8') };
    }],
    ["another network's order", 'signature.invalid', async (station) => {
      const theirs = await another();
      const { signer } = memberIn(theirs, 'dispatcher');
      return scene().rig.order(station, scene().hello, { networkId: theirs.network.id, signer });
    }],
    ["another network's name under this one's signature", 'network.mismatch', async (station) =>
      scene().rig.order(station, scene().hello, { networkId: (await another()).network.id })],
    ['an order for another station', 'order.audience', async (station) => honest(neighbour(station))],
    ["an order with a researcher's signature", 'signature.invalid', signedBy(() => 'lee')],
    ["an order with another station's signature", 'signature.invalid', signedBy(neighbour)],
    ["an order with the station's own signature", 'signature.invalid', signedBy((station) => station)],
    ['a researcher who says he is a dispatcher', 'signer.unknown', issuedBy(() => 'lee')],
    ['a station that says it is a dispatcher', 'signer.unknown', issuedBy(neighbour)],
    ['a manifest for an order', 'statement.type', async () => ({
      order: scene().hello.manifest,
      manifest: scene().hello.manifest,
    })],
    ['nothing', 'input.malformed', bytes(() => new Uint8Array())],
    ['half an order', 'input.malformed', bytes((order) => order.subarray(0, order.byteLength / 2))],
    ['two MiB', 'input.too-large', bytes(() => Buffer.alloc(2 * 1024 * 1024, ' '))],
    ['what is no text', 'input.malformed', bytes(() => Buffer.alloc(1024, 0xff))],
    ['brackets without end', 'input.malformed', bytes(() => Buffer.alloc(500_000, '['))],
    ['a member twice in the envelope', 'input.malformed', bytes((order) =>
      Buffer.from(Buffer.from(order).toString().replace('{', '{"payload":"e30=",')))],
    ['a member twice in the payload', 'input.malformed', async (station) => ({
      ...honest(station),
      order: forged(trainless(honest(station)), '"step":"run"', '"step":"run","step":"run"'),
    })],
    ['another type of payload', 'statement.type', bytes((order) => {
      const envelope = JSON.parse(Buffer.from(order).toString()) as Parameters<typeof encodeEnvelope>[0];
      return encodeEnvelope({ ...envelope, payloadType: 'text/plain' });
    })],
  ];

  describe('what is no order becomes no hop', () => {
    it.each(lies)('%s: %s', async (_name, code, lie) => {
      const { rig } = scene();
      await everywhere(async (station) => {
        const counted = (): number =>
          rig.entries(station).filter(({ type, body }) => type === 'rejects.counted' && body['code'] === code).length;
        const hops = (): unknown => rig.rows(station, 'SELECT hop_id, state FROM hops ORDER BY hop_id');
        const before = { counted: counted(), hops: hops(), reports: rig.liar.reports(station).length };
        rig.send(station, await lie(station));
        await until(`${station} counts the reject`, async () => counted() > before.counted);
        expect(counted()).toBe(before.counted + 1);
        expect(hops()).toEqual(before.hops);
        expect(rig.liar.reports(station)).toHaveLength(before.reports);
      });
    });
  });
}

/** The order is the dispatcher's own; what it carries or says is not so. One receipt with the reason; nothing runs. */
export function wrongOrders(scene: () => Scene): void {
  const order =
    (lies: Parameters<Scene['rig']['order']>[2]) =>
    async (station: string): Promise<Ordered> =>
      scene().rig.order(station, signedTrain(scene().hello, scene().lee), lies);
  /** The digest that is ordered is that of the forged text. */
  const changed = (from: string, to: string) => async (station: string) =>
    scene().rig.order(station, trainOf(forged(signedTrain(scene().hello, scene().lee), from, to)));
  /** The digest that is ordered is the one that was signed. */
  const slipped = (from: string, to: string) => async (station: string) => {
    const train = signedTrain(scene().hello, scene().lee);
    return { ...scene().rig.order(station, train), manifest: forged(train, from, to) };
  };
  const signed = (member: string, changes: object) => async (station: string) => {
    const { rig, hello } = scene();
    return rig.order(station, signedTrain(hello, await rig.signer(member), changes));
  };
  const spy = (): [string, string] => {
    const { recipients } = scene().hello.predicate;
    const mine = recipients[0]?.jwk?.x ?? '';
    return [mine, ed25519().x];
  };
  const lies: [string, string, (station: string) => Promise<Ordered>][] = [
    ['swapped recipient key', 'refused signature.invalid', (station) => changed(...spy())(station)],
    ['swapped recipient', 'refused signature.invalid', changed('"recipients":[{"member":"lee"', '"recipients":[{"member":"dispatcher"')],
    ['swapped recipient under the digest that was signed', 'refused signature.invalid', (station) => slipped(...spy())(station)],
    ['a changed parameter', 'refused signature.invalid', changed('"parameters":{}', '"parameters":{"arm":"a"}')],
    ['a changed parameter under the digest that was signed', 'refused signature.invalid', slipped('"parameters":{}', '"parameters":{"arm":"a"}')],
    ['a changed limit', 'refused signature.invalid', changed('"memoryBytesMax":67108864', '"memoryBytesMax":134217728')],
    ['a manifest that the dispatcher signed anew', 'refused signature.invalid', signed('dispatcher', {})],
    ['a manifest that the dispatcher wrote', 'refused signer.unknown', signed('dispatcher', { issuer: 'dispatcher' })],
    ["a manifest with an admin's signature", 'refused signature.invalid', signed('north-admin', {})],
    ['a manifest of an admin', 'refused signer.unknown', signed('north-admin', { issuer: 'north-admin' })],
    ['a manifest of nobody', 'refused signer.unknown', async (station) => {
      const stranger = createSigner(ed25519());
      return scene().rig.order(station, signedTrain(scene().hello, stranger, { issuer: 'mallory' }));
    }],
    ["a stranger's signature under a member's name", 'refused signature.invalid', async (station) =>
      scene().rig.order(station, signedTrain(scene().hello, createSigner(ed25519())))],
    ["another network's manifest", 'refused network.mismatch', signed('lee', { networkId: 'ab'.repeat(32) })],
    ['a manifest that has expired', 'expired manifest.expired', signed('lee', { issuedAtMs: Date.now() - DAY_MS, expiresMs: Date.now() - 1 })],
    ["another train's manifest", 'refused order.invalid', async (station) => ({
      ...(await order({})(station)),
      manifest: signedTrain(scene().hello, scene().lee).manifest,
    })],
    ['no manifest', 'refused input.malformed', async (station) => ({ ...(await order({})(station)), manifest: new Uint8Array() })],
    ['a manifest of two MiB', 'refused input.malformed', async (station) => ({ ...(await order({})(station)), manifest: Buffer.alloc(2 * 1024 * 1024, ' ') })],
    ['an order that has expired', 'expired order.expired', order({ expiresMs: Date.now() - 1 })],
    ['an order before its time', 'refused order.invalid', (station) => order({ notBeforeMs: Date.now() + DAY_MS, expiresMs: Date.now() + 2 * DAY_MS })(station)],
    ['a station that is no stop', 'refused order.invalid', async (station) => {
      const stops = ['north', 'south', 'east'].filter((stop) => stop !== station);
      const route = { ...scene().hello.predicate.route, stops };
      return scene().rig.order(station, signedTrain(scene().hello, scene().lee, { route }));
    }],
  ];

  describe('what is wrong ends in one receipt and runs nothing', () => {
    it.each(lies)('%s: %s', async (_name, end, lie) => {
      const { rig } = scene();
      await everywhere(async (station) => {
        const runs = await rig.journey.runs(station);
        const ordered = await lie(station);
        rig.send(station, ordered);
        expect(`${station}: ${(await rig.heard(station, ordered)).end}`).toBe(`${station}: ${end}`);
        expect(await rig.journey.runs(station)).toBe(runs);
      });
    });
  });
}

const trainless = ({ order }: { order: Uint8Array }) => ({
  envelope: JSON.parse(Buffer.from(order).toString()) as Parameters<typeof encodeEnvelope>[0],
});
