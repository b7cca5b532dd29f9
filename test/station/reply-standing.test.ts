import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Digest, digestOf } from '../../src/model/id.ts';
import type { Reply } from '../../src/model/inquiry.ts';
import {
  ASK_TWO,
  decideOn,
  digestIn,
  endOf,
  type Standing,
  standingListed,
  standingOf,
  stateOf,
  tookHop,
  type Wanted,
  waitingHop,
  withdrawalOf,
  withdrawWith,
} from '../fakes/approvals.ts';
import { makeInquiry } from '../fakes/inquiries.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { makeReplies, openedReply } from '../fakes/replies.ts';
import { ASK, makeStation, PERMIT, type Process, type Rig } from '../fakes/station.ts';
import { makeImage, makeTrain } from '../fakes/trains.ts';

/** A researcher hears beforehand of a standing clearance for his train: what `clear` will do, and of nobody else's. */

const NOW = Date.UTC(2026, 5, 1, 12);
const DAY_MS = 86_400_000;

let fake: FakeNetwork;
let rig: Rig;
let station: Process;
let trains = 0;

beforeEach(async () => {
  fake = await makeNetwork({
    admins: { nora: 'north', nils: 'north' },
    researchers: ['rosa', 'rolf'],
    auditors: ['carla'],
    nowMs: NOW,
  });
  rig = makeStation(fake, NOW);
  rig.policy(ASK);
  station = rig.start();
});
afterEach(() => rig.close());

const another = (wanted: Wanted = {}): Wanted => ({
  nonce: (++trains).toString(16).padStart(32, '0'),
  ...wanted,
});

async function stood(standing: Standing = { runs: 5 }, wanted: Wanted = {}): Promise<Digest> {
  const first = await waitingHop(rig, station, another(wanted));
  const statement = await standingOf(rig, station, first, standing);
  await decideOn(station, first, statement);
  expect(await endOf(rig, station, first)).toBe('released released');
  return digestIn(statement);
}

async function asked(wanted: Wanted = {}): Promise<Reply> {
  const { image = rig.image.image, signedBy = 'rosa', ...changed } = wanted;
  const train = makeTrain(fake, image, rig.clock.ms, { signedBy, ...changed });
  const inquiry = makeInquiry(fake, train, rig.clock.ms, { signedBy });
  return openedReply(rig.settings, inquiry, await makeReplies(rig, station).answer(inquiry.inquiry));
}

test('one that covers it is told, with what the policy says, and no run of it is used', async () => {
  expect(await asked(another())).toMatchObject({ verdict: 'ask', approvals: 1, standing: 'none' });
  await stood({ runs: 3 });
  for (let at = 0; at < 5; at++)
    expect(await asked(another())).toMatchObject({ verdict: 'ask', approvals: 1, standing: 'covers' });
  expect(await standingListed(station)).toEqual(['in-force 1']);
  rig.policy(PERMIT);
  expect(await asked(another())).toMatchObject({ verdict: 'permit', standing: 'none' });
});

test('of one over code it stays certain however often others run the same image', async () => {
  await stood({ runs: 5, scope: 'code' });
  const theirs: Wanted = { signedBy: 'rolf', recipients: [{ member: 'rolf' }] };
  const hopId = await waitingHop(rig, station, another(theirs));
  await decideOn(station, hopId, await standingOf(rig, station, hopId, { runs: 50 }));
  await station.visit(hopId);
  for (let at = 0; at < 20; at++) await tookHop(rig, station, another(theirs));
  expect((await asked(another())).standing).toBe('covers');
});

describe('what is foretold is what comes', () => {
  const image = makeImage(['/other']);
  const smaller = { memoryBytesMax: 32 * 1024 * 1024, cpuMillis: 1000, pidsMax: 16, wallMsMax: 10_000 };
  const limits = { ...smaller, outputBytesMax: 16 * 1024, scratchBytesMax: 1024 * 1024 };
  test.each<[string, Wanted, Reply['standing']]>([
    ['the same again', {}, 'covers'],
    ['less of everything', { limits, title: 'Smaller', parameters: {} }, 'covers'],
    ['another image', { image: image.image }, 'none'],
    ['another reader', { recipients: [{ member: 'rosa' }, { member: 'carla' }] }, 'none'],
    ['another use', { purpose: { text: 'Count the rows of a dataset.', duo: ['DUO:0000042'] } }, 'none'],
    ['more memory', { limits: { ...limits, memoryBytesMax: 65 * 1024 * 1024 } }, 'none'],
    [
      'another smallest count',
      { outputs: { schema: 'pht-result/v1', kinds: ['Frequencies'], minCellCount: 6 } },
      'none',
    ],
    ['another researcher', { signedBy: 'rolf', recipients: [{ member: 'rolf' }] }, 'none'],
  ])('%s', async (_name, wanted, standing) => {
    for (const [digest, bytes] of image.blobs) rig.blobs.set(digest, bytes);
    await stood();
    const train = another(wanted);
    expect((await asked(train)).standing).toBe(standing);
    const state = stateOf(station, await tookHop(rig, station, train));
    expect(state).toBe(standing === 'covers' ? 'sealed' : 'awaiting-clearance');
  });

  test('one whose runs are used up covers nothing but the trains that used them', async () => {
    const first = another();
    const hopId = await waitingHop(rig, station, first);
    await decideOn(station, hopId, await standingOf(rig, station, hopId, { runs: 1 }));
    rig.executor.outcome = () => ({ ended: 'exit', wallMs: 1, detail: '1' });
    expect(await endOf(rig, station, hopId)).toBe('failed run.failed');
    expect((await asked(another())).standing).toBe('none');
    expect((await asked(first)).standing).toBe('covers');
    expect(stateOf(station, await tookHop(rig, station, { ...first, attempt: 2 }))).toBe('sealed');
  });

  test('nor does one that has ended, whose admin left, or is of another policy or other settings', async () => {
    await stood({ runs: 5, days: 2 });
    rig.policy(`${ASK}\n// edited`);
    expect((await asked(another())).standing).toBe('none');
    rig.policy(ASK);
    rig.settings.disclosure = { ...rig.settings.disclosure, threshold: 20 };
    expect((await asked(another())).standing).toBe('none');
    rig.settings.disclosure = { ...rig.settings.disclosure, threshold: 10 };
    expect((await asked(another())).standing).toBe('covers');
    rig.settings.network = fake.without('nora').network;
    expect((await asked(another())).standing).toBe('none');
    rig.settings.network = fake.network;
    rig.clock.ms = NOW - (NOW % DAY_MS) + 2 * DAY_MS;
    expect((await asked(another())).standing).toBe('none');
  });

  test('one for a train that tightens the gate covers such trains, and no others', async () => {
    const outputs = { schema: 'pht-result/v1', kinds: ['Frequencies'], minCellCount: 20 } as const;
    const wanted = { outputs: { ...outputs, kinds: [...outputs.kinds] } };
    await stood({ runs: 5 }, wanted);
    expect((await asked(another(wanted))).standing).toBe('covers');
    expect((await asked(another())).standing).toBe('none');
  });

  test('nor one that was taken back', async () => {
    const digest = await stood();
    await withdrawWith(station, withdrawalOf(rig, digest));
    expect((await asked(another())).standing).toBe('none');
  });

  test('where two persons have to agree, one is none', async () => {
    rig.policy(ASK_TWO);
    const first = await waitingHop(rig, station, another());
    await decideOn(station, first, await standingOf(rig, station, first, { runs: 5 }));
    expect(await asked(another())).toMatchObject({ approvals: 2, standing: 'none' });
    await decideOn(station, first, await standingOf(rig, station, first, { runs: 5, by: 'nils' }));
    expect(await asked(another())).toMatchObject({ approvals: 2, standing: 'covers' });
  });
});

describe('one over the code of a train', () => {
  function rebuilt(layers = rig.image.image.layers) {
    const { image, blobs } = rig.image;
    const config = JSON.parse(Buffer.from(blobs.get(image.configDigest) ?? '').toString()) as object;
    const rootfs = { type: 'layers', diff_ids: layers.map(({ diffId }) => `sha256:${diffId}`) };
    const bytes = Buffer.from(JSON.stringify({ ...config, created: '2026-05-01T00:00:00Z', rootfs }));
    const configDigest = digestOf(bytes);
    rig.blobs.set(configDigest, bytes);
    return { ...image, layers, configDigest, configBytes: bytes.byteLength };
  }

  test('covers the very image that ran on it, and may cover one built anew', async () => {
    await stood({ runs: 5, scope: 'code' });
    expect((await asked(another())).standing).toBe('covers');
    const image = rebuilt();
    expect((await asked(another({ image }))).standing).toBe('may-cover');
    expect(stateOf(station, await tookHop(rig, station, another({ image })))).toBe('sealed');
    expect((await asked(another({ image }))).standing).toBe('covers');
  });

  test('says nothing of an image that is here for somebody else', async () => {
    await stood({ runs: 5, scope: 'code' });
    const image = rebuilt();
    await waitingHop(rig, station, another({ image, signedBy: 'rolf', recipients: [{ member: 'rolf' }] }));
    expect((await asked(another({ image }))).standing).toBe('may-cover');
  });

  test('covers none with other layers below', async () => {
    await stood({ runs: 5, scope: 'code' });
    const under = { diffId: digestOf('another libc'), bytes: 12 };
    const image = rebuilt([under, ...rig.image.image.layers]);
    expect((await asked(another({ image }))).standing).toBe('none');
  });
});
