import { beforeEach, describe, expect, it } from 'vitest';
import { type FakeNetwork, makeNetwork } from '../../../test/fakes/network.ts';
import { PhtError } from '../../model/error.ts';
import type { Network } from '../../model/network.ts';
import { witnessKeysOf } from '../../model/past-keys.ts';
import { type DatedHead, judgeSigner, lastVersionOf, type Recorded } from './on-record.ts';

const T_S = 1_800_000_000;
const T_MS = T_S * 1000;
const STATIONS = ['north', 'south', 'west'];
const WITNESSING = { quorum: 3, faulty: 1, witnesses: ['dispatcher', ...STATIONS] };

let fake: FakeNetwork;
let network: Network;
beforeEach(async () => {
  fake = await makeNetwork({
    ...{ stations: STATIONS, admins: { adam: 'north' }, witnessing: WITNESSING, nowMs: T_MS - 1000 },
  });
  network = fake.next({ revoked: [{ id: 'adam', reason: 'he left' }], issuedAtMs: T_MS }).network;
});

const issued = (networkVersion = 1, issuer = 'adam') => ({ networkId: network.id, networkVersion, issuer });
const entry: Recorded = { log: 'north', index: 4, atMs: T_MS - 5000 };

/** A head of north's, seen by each of these at a time before or after the revocation. */
function head(size: number, seen: Readonly<Record<string, number>>): DatedHead {
  const cosignatures = Object.entries(seen).flatMap(([id, seconds]) => {
    const [past] = witnessKeysOf(network, id);
    return past === undefined ? [] : [{ key: past.key, timeS: T_S + seconds }];
  });
  return { size, cosignatures };
}

const judged = (heads: DatedHead[], recorded = [entry], of = issued()): string => {
  const revoked = judgeSigner(network, of, 'admin', recorded, new Map([['north', heads]]));
  return revoked === null ? 'counts' : `${revoked.severity} ${revoked.code}`;
};

describe('what somebody signed who has left', () => {
  const before = { dispatcher: -9, south: -8, west: -7 };

  it.each<[string, () => DatedHead[], string]>([
    ['seen by all before', () => [head(5, before)], 'counts'],
    ['seen by nobody', () => [], 'error signer.revoked'],
    ['under a head that does not cover it', () => [head(4, before)], 'error signer.revoked'],
    ['seen by too few', () => [head(5, { dispatcher: -9, south: -8 })], 'error signer.revoked'],
    ['seen when it was over', () => [head(5, { dispatcher: 0, south: 0, west: 0 })], 'error signer.revoked'],
    [
      'that one liar dates back',
      () => [head(5, { dispatcher: -9, south: 1, west: 1 })],
      'error signer.revoked',
    ],
    ['that one liar dates forward', () => [head(5, { dispatcher: -9, south: -8, west: 99 })], 'counts'],
    [
      'seen by its own station',
      () => [head(5, { dispatcher: -9, south: -8, north: -7 })],
      'error signer.revoked',
    ],
    ['seen again later', () => [head(50, { dispatcher: 9, south: 9, west: 9 }), head(5, before)], 'counts'],
  ])('%s', (_, heads, expected) => {
    expect(judged(heads())).toBe(expected);
  });

  it('counts by any entry of anybody that names it, and by heads that are its own', () => {
    const elsewhere: Recorded = { log: 'south', index: 0, atMs: T_MS };
    expect(judged([head(5, before)], [elsewhere, entry])).toBe('counts');
    expect(judged([], [{ ...entry, heads: [head(5, before)] }])).toBe('counts');
    expect(judged([head(5, before)], [elsewhere])).toBe('error signer.revoked');
    expect(judged([head(5, before)], [])).toBe('error signer.revoked');
  });

  it('never counts under a version that had him no more', () => {
    expect(judged([head(5, before)], [entry], issued(2))).toBe('error signer.revoked');
  });

  it('is nothing to be lenient about for whoever never was a member', () => {
    expect(() => judged([], [entry], issued(1, 'eve'))).toThrow(PhtError);
  });
});

describe('without witnesses', () => {
  beforeEach(async () => {
    fake = await makeNetwork({ stations: STATIONS, admins: { adam: 'north' }, nowMs: T_MS - 1000 });
    network = fake.next({ revoked: [{ id: 'adam', reason: 'he left' }], issuedAtMs: T_MS }).network;
  });

  it('only the date in a log speaks for it, and that is said', () => {
    expect(judged([])).toBe('warning revocation.unproven');
    expect(judged([], [{ ...entry, atMs: T_MS }])).toBe('error signer.revoked');
  });

  it('that is over once there are some, whatever version is named', () => {
    network = fake.next({ witnessing: WITNESSING }).network;
    expect(judged([])).toBe('error signer.revoked');
  });
});

it('a log is judged by the last version that had its member', () => {
  expect([lastVersionOf(network, 'adam'), lastVersionOf(network, 'north')]).toEqual([1, 2]);
});
