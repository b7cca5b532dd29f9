import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { asPersons } from '../../test/fakes/approvals.ts';
import { type FakeNetwork, makeNetwork, memberIn } from '../../test/fakes/network.ts';
import { CLEARANCE_BYTES_MAX, type ClearancePredicate, verifyClearance } from './clearance.ts';
import { encodeEnvelope, parseEnvelope } from './dsse.ts';
import { PhtError } from './error.ts';
import { type Digest, digestOf } from './id.ts';
import { LOOKING_BACK } from './network.ts';
import { SKEW_MS } from './skew.ts';
import { signStatement } from './statement.ts';
import { verifyWithdrawal, type WithdrawalPredicate } from './withdrawal.ts';

const NOW = Date.UTC(2026, 5, 1, 12);
const HOUR_MS = 3_600_000;
const CASE = digestOf('case');

let fake: FakeNetwork;
beforeAll(async () => {
  fake = await makeNetwork({ admins: { nora: 'north', sven: 'south' }, nowMs: NOW });
});

function predicate(changes: Partial<ClearancePredicate> = {}): ClearancePredicate {
  return {
    ...{ networkId: fake.network.id, networkVersion: 1, issuer: 'nora', station: 'north' },
    ...{ manifestDigest: digestOf('manifest'), verdict: 'approve', reason: 'fine', runsMax: 1 },
    ...{ issuedAtMs: NOW, expiresMs: NOW + HOUR_MS, ...changes },
  };
}

const signed = (changes: Partial<ClearancePredicate> = {}, by = 'nora', subject: Digest = CASE) =>
  signStatement('clearance', { name: 'case', digest: subject }, predicate(changes), memberIn(fake, by).signer)
    .envelope;
const verify = (envelope: ReturnType<typeof signed>, nowMs = NOW, network = fake.network) =>
  verifyClearance(envelope, network, 'north', CASE, nowMs);
const code = (expected: string) => expect.objectContaining({ code: expected });

describe('a clearance', () => {
  test('is the word of the person behind the account', () => {
    expect(verify(signed())).toMatchObject({ person: 'nora', predicate: { issuer: 'nora' } });
    const network = asPersons(fake.network, { nora: 'nora-smit' });
    expect(verify(signed(), NOW, network).person).toBe('nora-smit');
  });

  test('counts from its day, give or take a clock, until its end', () => {
    expect(verify(signed(), NOW - SKEW_MS).predicate.issuedAtMs).toBe(NOW);
    expect(() => verify(signed(), NOW - SKEW_MS - 1)).toThrow(code('clearance.invalid'));
    expect(verify(signed(), NOW + HOUR_MS - 1).predicate.expiresMs).toBe(NOW + HOUR_MS);
    expect(() => verify(signed(), NOW + HOUR_MS)).toThrow(code('clearance.expired'));
  });

  test('is for one case and one station', () => {
    expect(() => verify(signed({}, 'nora', digestOf('other')))).toThrow(code('clearance.invalid'));
    expect(() => verify(signed({ station: 'south' }))).toThrow(code('clearance.invalid'));
    expect(() => verify(signed({ issuer: 'sven' }, 'sven'))).toThrow(code('signer.unknown'));
  });

  test('of an admin who was revoked allows nothing, and is still what it was to whoever looks back', () => {
    const { network } = fake.without('nora');
    expect(() => verify(signed(), NOW, network)).toThrow(code('signer.revoked'));
    expect(verifyClearance(signed(), network, 'north', CASE, NOW, LOOKING_BACK).person).toBe('nora');
  });
});

/** Whatever bytes come: what verifies is what was signed, and everything else is an error of ours. */
function survives(good: Uint8Array, read: (bytes: Uint8Array) => unknown, expected: unknown): void {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    fc.json().map((json) => Buffer.from(json)),
    fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([place, byte]) => {
      const changed = Buffer.from(good);
      changed[place] = byte;
      return changed;
    }),
  );
  fc.assert(
    fc.property(bytes, (each) => {
      try {
        expect(read(each)).toEqual(expected);
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(PhtError);
      }
    }),
    { numRuns: 500 },
  );
}

test('hostile bytes in the place of a clearance', () => {
  const read = (bytes: Uint8Array) => verify(parseEnvelope(bytes, 'it', CLEARANCE_BYTES_MAX)).predicate;
  survives(encodeEnvelope(signed()), read, predicate());
});

test('hostile bytes in the place of a withdrawal', () => {
  const said: WithdrawalPredicate = {
    ...{ networkId: fake.network.id, networkVersion: 1, issuer: 'nora', station: 'north' },
    ...{ clearanceDigest: CASE, reason: 'so', issuedAtMs: NOW },
  };
  const subject = { name: 'network', digest: fake.network.id };
  const { envelope } = signStatement('withdrawal', subject, said, memberIn(fake, 'nora').signer);
  const at = { network: fake.network, station: 'north', nowMs: NOW };
  const read = (bytes: Uint8Array) => verifyWithdrawal(parseEnvelope(bytes, 'it'), at).predicate;
  expect(read(encodeEnvelope(envelope))).toEqual(said);
  survives(encodeEnvelope(envelope), read, said);
});
