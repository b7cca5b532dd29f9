import { describe, expect, it } from 'vitest';
import { encodeEnvelope } from '../../src/model/dsse.ts';
import { type FakeNetwork, makeNetwork, memberIn } from '../fakes/network.ts';
import { until } from '../journey/processes.ts';
import { everywhere, type Scene } from './rig.ts';
import { forged, type Ordered } from './trains.ts';

type Lie = (station: string) => Promise<Pick<Ordered, 'order' | 'manifest' | 'proof'>>;

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
    [
      'a changed epoch',
      'signature.invalid',
      async (station) => {
        const ordered = scene().rig.order(station, scene().hello, { epoch: 7 });
        return { ...ordered, order: forged(trainless(ordered), '"epoch":7', '"epoch":8') };
      },
    ],
    [
      "another network's order",
      'network.mismatch',
      async (station) => {
        const theirs = await another();
        const { signer } = memberIn(theirs, 'dispatcher');
        return scene().rig.order(station, scene().hello, { networkId: theirs.network.id, signer });
      },
    ],
    [
      "another network's name under this one's signature",
      'network.mismatch',
      async (station) =>
        scene().rig.order(station, scene().hello, { networkId: (await another()).network.id }),
    ],
    ['an order for another station', 'order.audience', async (station) => honest(neighbour(station))],
    ["an order with a researcher's signature", 'signature.invalid', signedBy(() => 'lee')],
    ["an order with another station's signature", 'signature.invalid', signedBy(neighbour)],
    ["an order with the station's own signature", 'signature.invalid', signedBy((station) => station)],
    ['a researcher who says he is a dispatcher', 'signer.unknown', issuedBy(() => 'lee')],
    ['a station that says it is a dispatcher', 'signer.unknown', issuedBy(neighbour)],
    [
      'a manifest for an order',
      'statement.type',
      async () => ({
        order: scene().hello.manifest,
        manifest: scene().hello.manifest,
        proof: new Uint8Array(),
      }),
    ],
    [
      'an order that stands in no ledger',
      'proof.invalid',
      async (station) => ({ ...honest(station), proof: new Uint8Array() }),
    ],
    [
      'an order with the place of another one',
      'proof.invalid',
      async (station) => ({ ...honest(station), proof: honest(neighbour(station)).proof }),
    ],
    ['nothing', 'input.malformed', bytes(() => new Uint8Array())],
    ['half an order', 'input.malformed', bytes((order) => order.subarray(0, order.byteLength / 2))],
    ['two MiB', 'input.too-large', bytes(() => Buffer.alloc(2 * 1024 * 1024, ' '))],
    ['what is no text', 'input.malformed', bytes(() => Buffer.alloc(1024, 0xff))],
    ['brackets without end', 'input.malformed', bytes(() => Buffer.alloc(500_000, '['))],
    [
      'a member twice in the envelope',
      'input.malformed',
      bytes((order) => Buffer.from(Buffer.from(order).toString().replace('{', '{"payload":"e30=",'))),
    ],
    [
      'a member twice in the payload',
      'input.malformed',
      async (station) => ({
        ...honest(station),
        order: forged(trainless(honest(station)), '"step":"run"', '"step":"run","step":"run"'),
      }),
    ],
    [
      'another type of payload',
      'statement.type',
      bytes((order) => {
        const envelope = JSON.parse(Buffer.from(order).toString()) as Parameters<typeof encodeEnvelope>[0];
        return encodeEnvelope({ ...envelope, payloadType: 'text/plain' });
      }),
    ],
  ];

  describe('what is no order becomes no hop', () => {
    it.each(lies)('%s: %s', async (_name, code, lie) => {
      const { rig } = scene();
      await everywhere(async (station) => {
        const counted = (): number =>
          rig.entries(station).filter(({ type, body }) => type === 'rejects.counted' && body['code'] === code)
            .length;
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

const trainless = ({ order }: { order: Uint8Array }) => ({
  envelope: JSON.parse(Buffer.from(order).toString()) as Parameters<typeof encodeEnvelope>[0],
});
