import { describe, expect, test } from 'vitest';
import { type Shown, verifyStation } from '../../src/journey/researcher/verify-station.ts';
import type { StationAccount } from '../../src/model/account.ts';
import type { Member, Network } from '../../src/model/network.ts';
import { ed25519, type FakeNetwork, makeNetwork, memberIn, publicOf, signerOf } from '../fakes/network.ts';
import { COUNT, NOW_MS, openerFor, type Packed, packTrain, refused, released } from './rig.ts';

/** What came from a station counts after keys were rotated, rules changed and members revoked, as far as it is proved. */

const STATIONS = ['north', 'south', 'west', 'east'];
const WITNESSES = ['dispatcher', ...STATIONS];
const HOUR_MS = 3_600_000;

async function made(): Promise<{ fake: FakeNetwork; packed: Packed; shown: Shown }> {
  const witnessing = { quorum: 3, faulty: 1, witnesses: WITNESSES };
  const fake = await makeNetwork({ nowMs: NOW_MS - 24 * HOUR_MS, stations: STATIONS, witnessing });
  const packed = packTrain(fake, ['north']);
  const witnesses = ['dispatcher', 'south', 'west'];
  return { fake, packed, shown: await released(fake, packed, 'north', { witnesses }) };
}

const by = (network: Network, { packed, shown }: { packed: Packed; shown: Shown }): Promise<StationAccount> =>
  verifyStation(shown, packed.manifest, network, openerFor(packed));

function listed(fake: FakeNetwork, id: string): Member {
  const member = fake.network.members.get(id);
  if (member === undefined) throw new Error(`no member ${id}`);
  return member;
}

const attested = { word: 'attested', state: 'released', result: COUNT };
const revokedAt = (id: string, atMs: number) => ({
  revoked: [{ id, reason: 'it left' }],
  issuedAtMs: atMs,
  witnessing: { quorum: 'none' } as const,
});

describe('a station that was revoked', () => {
  test('after its release had been witnessed: the result opens', async () => {
    const it = await made();
    const { network } = it.fake.next(revokedAt('north', NOW_MS + 1000));
    expect(await by(network, it)).toMatchObject(attested);
  });

  test.each([
    ['before', NOW_MS - HOUR_MS],
    ['in the very second', NOW_MS],
  ])('%s its release was witnessed: nothing of it is used', async (_, atMs) => {
    const it = await made();
    const { network } = it.fake.next(revokedAt('north', atMs));
    expect(await by(network, it)).toMatchObject({ word: 'unverified', code: 'signer.revoked', result: null });
  });

  test('by now, with a receipt that names the time before and was never witnessed', async () => {
    const it = await made();
    const { network } = it.fake.next(revokedAt('north', NOW_MS + HOUR_MS));
    const shown = await released(it.fake, it.packed, 'north', { witnesses: ['dispatcher', 'south'] });
    expect(await by(network, { ...it, shown })).toMatchObject({ code: 'signer.revoked' });
  });

  test('in a network without witnesses: nothing proves that it released before', async () => {
    const fake = await makeNetwork({ nowMs: NOW_MS - HOUR_MS, stations: STATIONS });
    const packed = packTrain(fake, ['north']);
    const shown = await released(fake, packed, 'north');
    const { network } = fake.next({
      revoked: [{ id: 'north', reason: 'it left' }],
      issuedAtMs: NOW_MS + HOUR_MS,
    });
    expect(await by(network, { packed, shown })).toMatchObject({ code: 'signer.revoked' });
  });

  test('does not become believable by a time that liars among the witnesses put on it', async () => {
    const it = await made();
    const { network } = it.fake.next(revokedAt('north', NOW_MS - HOUR_MS));
    // One of them may lie, and says a day earlier; the two others saw it when it was there.
    const early = await released(it.fake, it.packed, 'north', {
      witnesses: ['dispatcher', 'south'],
      early: ['west'],
    });
    expect(await by(network, { ...it, shown: early })).toMatchObject({ code: 'signer.revoked' });
  });
});

describe('keys in other hands', () => {
  const stolen = async (invalidAfterMs: number): Promise<StationAccount> => {
    const it = await made();
    const north = listed(it.fake, 'north');
    const keys = { ...north.keys, statement: publicOf(ed25519()), log: publicOf(ed25519()) };
    const renewed = [{ member: { ...north, keys }, invalidAfterMs }];
    return by(it.fake.next({ renewed, issuedAtMs: NOW_MS + 24 * HOUR_MS }).network, it);
  };

  test('leave what was witnessed before', async () => {
    expect(await stolen(NOW_MS + 1000)).toMatchObject(attested);
  });

  test('take away what was witnessed since, though the list was only changed later', async () => {
    expect(await stolen(NOW_MS - 1000)).toMatchObject({ code: 'signer.revoked', result: null });
  });
});

describe('the version that is named', () => {
  test('has the rule that counts: a quorum that was enough stays enough', async () => {
    const it = await made();
    const witnessing = { quorum: 4, faulty: 1, witnesses: WITNESSES };
    const { network } = it.fake.next({ witnessing, issuedAtMs: NOW_MS + HOUR_MS });
    expect(await by(network, it)).toMatchObject(attested);
    // Under the stricter rule three are too few.
    const receipt = { networkVersion: 2 };
    const shown = await released(it.fake, it.packed, 'north', {
      ...{ receipt, witnesses: ['dispatcher', 'south', 'west'] },
    });
    expect(await by(network, { ...it, shown })).toMatchObject({ code: 'proof.invalid' });
  });

  test('is none older than the order had: its rule may have been weaker', async () => {
    const it = await made();
    const { network } = it.fake.next({ witnessing: { quorum: 4, faulty: 1, witnesses: WITNESSES } });
    const shown = await released(it.fake, it.packed, 'north', {
      order: { networkVersion: 2 },
      witnesses: ['dispatcher', 'south', 'west'],
    });
    expect(await by(network, { ...it, shown })).toMatchObject({ code: 'receipt.invalid', result: null });
    const both = await released(it.fake, it.packed, 'north', {
      ...{ order: { networkVersion: 2 }, receipt: { networkVersion: 2 }, result: { networkVersion: 2 } },
      witnesses: ['dispatcher', 'south', 'west', 'east'],
    });
    expect(await by(network, { ...it, shown: both })).toMatchObject(attested);
  });

  test('is none that this home has not', async () => {
    const it = await made();
    const shown = await released(it.fake, it.packed, 'north', { receipt: { networkVersion: 9 } });
    expect(await by(it.fake.network, { ...it, shown })).toMatchObject({ code: 'network.behind' });
  });
});

describe('witnesses that changed', () => {
  test('a rotated key still vouches for what it cosigned, and one that was revoked for what is older', async () => {
    const it = await made();
    const south = listed(it.fake, 'south');
    const keys = { ...south.keys, witness: publicOf(ed25519()) };
    it.fake.next({ renewed: [{ member: { ...south, keys } }], issuedAtMs: NOW_MS - HOUR_MS });
    const rest = { quorum: 3, faulty: 1, witnesses: ['dispatcher', 'north', 'south', 'east'] };
    const after = it.fake.next({
      revoked: [{ id: 'west', reason: 'it left' }],
      witnessing: rest,
      issuedAtMs: NOW_MS + 1000,
    });
    expect(await by(after.network, it)).toMatchObject(attested);
    expect((await by(after.network, it)).proofs?.receipt.witnesses).toEqual(['dispatcher', 'south', 'west']);
  });

  test('one that was revoked before it cosigned does not count', async () => {
    const it = await made();
    const rest = { quorum: 3, faulty: 1, witnesses: ['dispatcher', 'north', 'south', 'east'] };
    const { network } = it.fake.next({
      revoked: [{ id: 'west', reason: 'it left' }],
      witnessing: rest,
      issuedAtMs: NOW_MS - 1000,
    });
    const account = await by(network, it);
    expect(account).toMatchObject({ word: 'unverified', code: 'proof.invalid' });
    expect(account.text).toContain('only 2 witnesses');
  });

  test('two keys of one witness are one witness', async () => {
    const it = await made();
    const south = listed(it.fake, 'south');
    const next = ed25519();
    const keys = { ...south.keys, witness: publicOf(next) };
    const { network } = it.fake.next({ renewed: [{ member: { ...south, keys } }] });
    const shown = await released(it.fake, it.packed, 'north', {
      witnesses: ['dispatcher', 'south'],
      cosigners: [{ id: 'south', signer: signerOf(next) }],
    });
    expect((await by(network, { ...it, shown })).text).toContain('only 2 witnesses');
  });
});

describe('a log key that was rotated', () => {
  test('still vouches for what was proved with it, without a quorum too', async () => {
    const fake = await makeNetwork({ nowMs: NOW_MS - HOUR_MS, stations: STATIONS });
    const packed = packTrain(fake, ['north']);
    const shown = await refused(fake, packed, 'north');
    const north = listed(fake, 'north');
    const keys = { ...north.keys, log: publicOf(ed25519()) };
    const { network } = fake.next({ renewed: [{ member: { ...north, keys } }] });
    expect(await by(network, { packed, shown })).toMatchObject({ word: 'attested', state: 'refused' });
    expect(memberIn(fake, 'north').keys.log.x).not.toBe(keys.log.x);
  });
});
