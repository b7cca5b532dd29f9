import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createOpener } from '../../src/adapters/envelope/jwe.ts';
import { ResultResponseSchema } from '../../src/gen/pht/v1/journeys_pb.ts';
import { type ArrivePorts, arrive } from '../../src/journey/researcher/arrive.ts';
import type { Shown } from '../../src/journey/researcher/verify-station.ts';
import { releasedIn } from '../../src/model/account.ts';
import { PhtError } from '../../src/model/error.ts';
import { openEntryProof } from '../../src/model/ledger/entry-proof.ts';
import { trustIn } from '../../src/model/proven.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import {
  clientOf,
  type Home,
  makeHome,
  NOW_MS,
  type Packed,
  packTrain,
  refused,
  released,
  retry,
  tamper,
} from './rig.ts';

const STOPS = ['north', 'south'];
let fake: FakeNetwork;
let home: Home;
let packed: Packed;
beforeAll(async () => {
  fake = await makeNetwork({ nowMs: NOW_MS, stations: ['north', 'south', 'west'] });
});
beforeEach(() => {
  home = makeHome(fake);
  packed = packTrain(fake, STOPS, 2);
  const { trainId } = packed.manifest;
  home.trains.keep({ trainId, manifest: packed.bytes, key: packed.key, departure: null });
});
afterEach(() => home.clear());

type Told = { state?: string; stops?: Record<string, string>; results: Shown[]; manifest?: Uint8Array };

/** One result a page, as a dispatcher with large results would answer. */
function portsFor({ state = 'arrived', stops = {}, results, manifest = packed.bytes }: Told): ArrivePorts {
  const { trainId } = packed.manifest;
  const journey = {
    trainId,
    title: 'Hello',
    state,
    submittedAtMs: BigInt(NOW_MS),
    stops: STOPS.map((station) => ({
      station,
      state: stops[station] ?? 'released',
      changedAtMs: BigInt(NOW_MS),
      attempt: 1,
    })),
  };
  const client = clientOf({
    result: async ({ pageToken }: { pageToken: string }) => {
      const at = pageToken === '' ? 0 : Number(pageToken);
      const nextPageToken = at + 1 < results.length ? String(at + 1) : '';
      return create(ResultResponseSchema, {
        journey,
        manifest,
        results: results.slice(at, at + 1),
        nextPageToken,
      });
    },
  });
  const { trains, arrivals } = home;
  return { client: async () => client, trains, arrivals, retry, openerOf: createOpener };
}

const signal = new AbortController().signal;
const arriving = (told: Told) => arrive(packed.manifest.trainId, home.researcher, portsFor(told), signal);
const keyPath = (): string => join(home.dir, 'trains', packed.manifest.trainId, 'key.jwk');

describe('a journey that ended', () => {
  test('is kept once every stop is accounted for by a signature, and its key is deleted', async () => {
    const results = [await released(fake, packed, 'north'), await refused(fake, packed, 'south')];
    const { arrival } = await arriving({ state: 'failed', stops: { south: 'refused' }, results });
    expect(arrival).toMatchObject({ complete: true, minStations: 2, state: 'failed' });
    expect(arrival.stations.map(({ word, state }) => [word, state])).toEqual([
      ['attested', 'released'],
      ['attested', 'refused'],
    ]);
    // The dispatcher's own count plays no part.
    expect(releasedIn(arrival)).toHaveLength(1);
    expect(existsSync(keyPath())).toBe(false);
    const kept = readFileSync(
      join(home.dir, 'trains', packed.manifest.trainId, 'results', 'north.json'),
      'utf8',
    );
    expect(kept).toContain('"n":25');
  });

  test('is shown again without a dispatcher, and without the key', async () => {
    const results = [await released(fake, packed, 'north'), await released(fake, packed, 'south')];
    const { arrival } = await arriving({ results });
    const dead: ArrivePorts = {
      ...portsFor({ results }),
      client: () => Promise.reject(new PhtError('unreachable', 'gone')),
    };
    expect((await arrive(packed.manifest.trainId, home.researcher, dead, signal)).arrival).toEqual(arrival);
  });

  test('a crash between keeping and deleting leaves a key that the next look deletes', async () => {
    const results = [await released(fake, packed, 'north'), await released(fake, packed, 'south')];
    const key = readFileSync(keyPath());
    await arriving({ results });
    writeFileSync(keyPath(), key, { mode: 0o600 });
    await arriving({ results });
    expect(existsSync(keyPath())).toBe(false);
  });

  test('what does not verify at one station leaves the others, and the key, as they are', async () => {
    const forged = await released(fake, packed, 'south');
    const results = [await released(fake, packed, 'north'), { ...forged, receipt: tamper(forged.receipt) }];
    const { arrival } = await arriving({ results });
    expect(arrival.complete).toBe(false);
    expect(arrival.stations.map(({ station, word, code }) => [station, word, code])).toEqual([
      ['north', 'attested', 'released'],
      ['south', 'unverified', 'signature.invalid'],
    ]);
    expect(existsSync(keyPath())).toBe(true);
    expect(home.arrivals.find(packed.manifest.trainId)).toBeNull();
  });

  test('the word of the dispatcher alone is told apart, and a late receipt may still be opened', async () => {
    const results = [await released(fake, packed, 'north')];
    const { arrival } = await arriving({ state: 'failed', stops: { south: 'unheard' }, results });
    expect(arrival.stations[1]).toMatchObject({
      station: 'south',
      word: 'claimed',
      state: 'unheard',
      result: null,
    });
    expect(arrival.complete).toBe(false);
    expect(existsSync(keyPath())).toBe(true);
  });

  test('a release that the dispatcher claims and does not show is no release', async () => {
    const { arrival } = await arriving({ results: [await released(fake, packed, 'north')] });
    expect(arrival.stations[1]).toMatchObject({
      station: 'south',
      word: 'unverified',
      code: 'receipt.invalid',
    });
    expect(releasedIn(arrival)).toHaveLength(1);
  });

  test.each(['replayed', 'stale.epoch'] as const)(
    'a refusal as %s speaks of another receipt, so the key stays for it',
    async (code) => {
      const nothing = { jweDigest: null, commitment: null };
      const later = await refused(fake, packed, 'south', {
        receipt: { code, ...nothing },
        jwe: () => new Uint8Array(),
      });
      const north = await released(fake, packed, 'north');
      const { arrival } = await arriving({ stops: { south: 'refused' }, results: [north, later] });
      expect(arrival.stations[1]).toMatchObject({ station: 'south', word: 'attested', code });
      expect(arrival.complete).toBe(false);
      expect(existsSync(keyPath())).toBe(true);
      const shown = await arriving({ results: [north, await released(fake, packed, 'south')] });
      expect(releasedIn(shown.arrival)).toHaveLength(2);
      expect(existsSync(keyPath())).toBe(false);
    },
  );

  test('two receipts for one stop, and a receipt of a stranger', async () => {
    const north = await released(fake, packed, 'north');
    const twice = await arriving({ stops: { south: 'refused' }, results: [north, north] });
    expect(twice.arrival.stations[0]).toMatchObject({
      station: 'north',
      word: 'unverified',
      code: 'receipt.invalid',
    });
    const results = [north, await released(fake, packed, 'south'), await released(fake, packed, 'west')];
    const three = await arriving({ results });
    expect(three.arrival.stations[2]).toMatchObject({ station: 'west', word: 'unverified' });
    expect(three.arrival.complete).toBe(false);
  });
});

test('while it is under way nothing is kept, and what has not been heard of is claimed', async () => {
  const waiting = {
    station: 'south',
    order: new Uint8Array(),
    receipt: new Uint8Array(),
    jwe: new Uint8Array(),
    orderProof: new Uint8Array(),
    receiptProof: new Uint8Array(),
  };
  const results = [await released(fake, packed, 'north'), waiting];
  const { arrival } = await arriving({ state: 'under-way', stops: { south: 'awaiting-clearance' }, results });
  expect(arrival.stations[1]).toMatchObject({ word: 'claimed', state: 'awaiting-clearance' });
  expect(arrival.complete).toBe(false);
  expect(existsSync(keyPath())).toBe(true);
});

describe('proofs', () => {
  const kept = (name: string): Buffer =>
    readFileSync(join(home.dir, 'trains', packed.manifest.trainId, name));

  test('of every hop are kept beside the results, and the account names them', async () => {
    const results = [await released(fake, packed, 'north'), await refused(fake, packed, 'south')];
    const { arrival } = await arriving({ stops: { south: 'refused' }, results });
    expect(arrival.complete).toBe(true);
    for (const [at, { station, proofs }] of arrival.stations.entries()) {
      const folder = `trains/${packed.manifest.trainId}/results`;
      expect(proofs?.order.file).toBe(`${folder}/${station}.order.tlog-proof`);
      expect(proofs?.receipt.file).toBe(`${folder}/${station}.receipt.tlog-proof`);
      expect(kept(`results/${station}.order.tlog-proof`)).toEqual(Buffer.from(results[at]?.orderProof ?? []));
      const receipt = kept(`results/${station}.receipt.tlog-proof`);
      expect(receipt).toEqual(Buffer.from(results[at]?.receiptProof ?? []));
      const trust = trustIn(fake.network, station, 'station');
      const { entry, quote } = openEntryProof(receipt, trust);
      expect(entry.body['receiptDigest']).toBe(arrival.stations[at]?.receiptDigest);
      expect(quote).toMatchObject({ origin: proofs?.receipt.origin, index: proofs?.receipt.index });
    }
  });

  test('are kept while the journey is still under way', async () => {
    const results = [await released(fake, packed, 'north')];
    await arriving({ state: 'under-way', stops: { south: 'running' }, results });
    expect(kept('results/north.receipt.tlog-proof')).toEqual(Buffer.from(results[0]?.receiptProof ?? []));
    expect(existsSync(join(home.dir, 'trains', packed.manifest.trainId, 'results', 'north.json'))).toBe(
      false,
    );
  });

  test.each(['orderProof', 'receiptProof'] as const)(
    'a missing %s leaves its station out, keeps nothing of it, and spares the key',
    async (which) => {
      const bare = { ...(await released(fake, packed, 'south')), [which]: new Uint8Array() };
      const { arrival } = await arriving({ results: [await released(fake, packed, 'north'), bare] });
      expect(arrival.stations[1]).toMatchObject({ word: 'unverified', code: 'proof.invalid', proofs: null });
      expect(arrival.complete).toBe(false);
      expect(releasedIn(arrival).map(({ station }) => station)).toEqual(['north']);
      const folder = join(home.dir, 'trains', packed.manifest.trainId, 'results');
      expect(existsSync(join(folder, 'south.order.tlog-proof'))).toBe(false);
      expect(existsSync(join(folder, 'south.receipt.tlog-proof'))).toBe(false);
      expect(existsSync(keyPath())).toBe(true);
    },
  );

  test('of two receipts for one stop are neither kept', async () => {
    const north = await released(fake, packed, 'north');
    await arriving({ stops: { south: 'refused' }, results: [north, north] });
    expect(existsSync(join(home.dir, 'trains', packed.manifest.trainId, 'results'))).toBe(false);
  });
});

test.each([
  ['another manifest', { manifest: 'other' }, 'manifest.invalid'],
  ['a state that does not exist', { state: 'teleported' }, 'input.malformed'],
])(
  'a dispatcher that answers with %s',
  async (_, { manifest, state }: { manifest?: string; state?: string }, code) => {
    const other = manifest === undefined ? packed.bytes : packTrain(fake, STOPS).bytes;
    // The nonce of test manifests is fixed, so another key makes another manifest.
    const told = { results: [], manifest: other, ...(state === undefined ? {} : { state }) };
    await expect(arriving(told)).rejects.toMatchObject({ code });
  },
);
