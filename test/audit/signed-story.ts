import { encodeEnvelope } from '../../src/model/dsse.ts';
import { hopIdOf, type TrainId, trainIdOf } from '../../src/model/id.ts';
import { signStatement } from '../../src/model/statement.ts';
import type { Manifest } from '../../src/model/train.ts';
import { type FakeNetwork, memberIn } from '../fakes/network.ts';
import { makeImage, makeTrain } from '../fakes/trains.ts';
import { headOf, honestLines, type Lines, receiptDigestOf, START_MS } from './story.ts';

/** The honest story about a train whose manifest, orders and receipts were really signed. */

export type SignedStory = {
  trainId: TrainId;
  lines: Lines;
  manifest: Uint8Array;
  orders: Uint8Array[];
  receipts: Uint8Array[];
};

export function signedStory(fake: FakeNetwork): SignedStory {
  const { image } = makeImage();
  const route: Manifest['route'] = {
    ...{ pattern: 'parallel', stops: ['north', 'south'], minStations: 1, deadlineMs: 86_400_000 },
  };
  const train = makeTrain(fake, image, START_MS, { route });
  const manifestDigest = train.digest;
  const issued = { networkId: fake.network.id, networkVersion: fake.network.version };
  const names = new Map<string, string>();
  const { trainId, manifestDigest: toldDigest } = headOf('t', 'north');
  names.set(trainId, trainIdOf(manifestDigest)).set(toldDigest, manifestDigest);
  const statements = ['north', 'south'].map((station) => {
    const told = headOf('t', station);
    const order = signStatement(
      'order',
      { name: 'manifest', digest: manifestDigest },
      {
        ...{
          ...issued,
          issuer: 'dispatcher',
          audience: station,
          step: 'run',
          round: 1,
          attempt: 1,
          epoch: 1,
        },
        ...{ inputs: [], notBeforeMs: START_MS, expiresMs: START_MS + 86_400_000 },
      },
      memberIn(fake, 'dispatcher').signer,
    );
    const receipt = signStatement(
      'receipt',
      { name: 'order', digest: order.digest },
      {
        ...{ ...issued, issuer: station, manifestDigest, step: 'run', round: 1, attempt: 1 },
        ...{
          outcome: 'released',
          code: 'released',
          jweDigest: manifestDigest,
          commitment: null,
          quotes: null,
        },
        issuedAtMs: START_MS,
      },
      memberIn(fake, station).signer,
    );
    names.set(told.orderDigest, order.digest).set(told.hopId, hopIdOf(order.digest));
    names.set(receiptDigestOf(told), receipt.digest);
    return { order: encodeEnvelope(order.envelope), receipt: encodeEnvelope(receipt.envelope) };
  });
  let text = JSON.stringify(honestLines());
  for (const [told, real] of names) text = text.replaceAll(told, real);
  return {
    trainId: trainIdOf(manifestDigest),
    lines: JSON.parse(text) as Lines,
    manifest: train.manifest,
    orders: statements.map(({ order }) => order),
    receipts: statements.map(({ receipt }) => receipt),
  };
}
