import { describe, expect, it } from 'vitest';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import { ed25519 } from '../fakes/network.ts';
import { everywhere, type Scene } from './rig.ts';
import { forged, type Ordered, signedTrain, trainOf } from './trains.ts';

const DAY_MS = 86_400_000;

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
    [
      'swapped recipient',
      'refused signature.invalid',
      changed('"recipients":[{"member":"lee"', '"recipients":[{"member":"dispatcher"'),
    ],
    [
      'swapped recipient under the digest that was signed',
      'refused signature.invalid',
      (station) => slipped(...spy())(station),
    ],
    [
      'a changed parameter',
      'refused signature.invalid',
      changed('"parameters":{}', '"parameters":{"arm":"a"}'),
    ],
    [
      'a changed parameter under the digest that was signed',
      'refused signature.invalid',
      slipped('"parameters":{}', '"parameters":{"arm":"a"}'),
    ],
    [
      'a changed limit',
      'refused signature.invalid',
      changed('"memoryBytesMax":67108864', '"memoryBytesMax":134217728'),
    ],
    ['a manifest that the dispatcher signed anew', 'refused signature.invalid', signed('dispatcher', {})],
    [
      'a manifest that the dispatcher wrote',
      'refused signer.unknown',
      signed('dispatcher', { issuer: 'dispatcher' }),
    ],
    ["a manifest with an admin's signature", 'refused signature.invalid', signed('north-admin', {})],
    ['a manifest of an admin', 'refused signer.unknown', signed('north-admin', { issuer: 'north-admin' })],
    [
      'a manifest of nobody',
      'refused signer.unknown',
      async (station) => {
        const stranger = createSigner(ed25519());
        return scene().rig.order(station, signedTrain(scene().hello, stranger, { issuer: 'mallory' }));
      },
    ],
    [
      "a stranger's signature under a member's name",
      'refused signature.invalid',
      async (station) => scene().rig.order(station, signedTrain(scene().hello, createSigner(ed25519()))),
    ],
    ["another network's manifest", 'refused network.mismatch', signed('lee', { networkId: 'ab'.repeat(32) })],
    [
      'a manifest that has expired',
      'expired manifest.expired',
      signed('lee', { issuedAtMs: Date.now() - DAY_MS, expiresMs: Date.now() - 1 }),
    ],
    [
      "another train's manifest",
      'refused order.invalid',
      async (station) => ({
        ...(await order({})(station)),
        manifest: signedTrain(scene().hello, scene().lee).manifest,
      }),
    ],
    [
      'no manifest',
      'refused input.malformed',
      async (station) => ({ ...(await order({})(station)), manifest: new Uint8Array() }),
    ],
    [
      'a manifest of two MiB',
      'refused input.malformed',
      async (station) => ({ ...(await order({})(station)), manifest: Buffer.alloc(2 * 1024 * 1024, ' ') }),
    ],
    ['an order that has expired', 'expired order.expired', order({ expiresMs: Date.now() - 1 })],
    [
      'an order before its time',
      'refused order.invalid',
      (station) => order({ notBeforeMs: Date.now() + DAY_MS, expiresMs: Date.now() + 2 * DAY_MS })(station),
    ],
    [
      'a station that is no stop',
      'refused order.invalid',
      async (station) => {
        const stops = ['north', 'south', 'east'].filter((stop) => stop !== station);
        const route = { ...scene().hello.predicate.route, stops };
        return scene().rig.order(station, signedTrain(scene().hello, scene().lee, { route }));
      },
    ],
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
