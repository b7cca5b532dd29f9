import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createOpener } from '../../src/adapters/envelope/jwe.ts';
import { type Plan, plan } from '../../src/journey/researcher/plan.ts';
import { parseEnvelope, payloadOf } from '../../src/model/dsse.ts';
import { PhtError } from '../../src/model/error.ts';
import { digestOf } from '../../src/model/id.ts';
import { type VerifiedInquiry, verifyInquiry } from '../../src/model/inquiry.ts';
import { verifyManifest } from '../../src/model/train.ts';
import type { TrainKey } from '../../src/ports/researcher-trains.ts';
import { makeReply, type ReplyLies } from '../fakes/inquiries.ts';
import { type FakeNetwork, makeNetwork, memberIn, x25519 } from '../fakes/network.ts';
import { clientOf, type Home, makeHome, NOW_MS, type Packed, packTrain, tamper } from './rig.ts';

/** What a researcher makes of the answers to an inquiry, of which the dispatcher may have made any up. */

const STOPS = ['north', 'south', 'west'];
let fake: FakeNetwork;
let home: Home;
let packed: Packed;

beforeAll(async () => {
  fake = await makeNetwork({ stations: STOPS, nowMs: NOW_MS });
});
beforeEach(() => {
  home = makeHome(fake);
  packed = packTrain(fake, STOPS, 2);
  const { trainId } = packed.manifest;
  home.trains.keep({ trainId, manifest: packed.bytes, key: packed.key, departure: null, columns: ['age'] });
});
afterEach(() => home.clear());

type Told = { station: string; online?: boolean; lastSeenMs?: bigint; jwe?: Uint8Array };
type Asked = { verified: VerifiedInquiry; bytes: Uint8Array };

/** The dispatcher answers whatever `tell` makes of the inquiry. */
async function ask(tell: (asked: Asked) => Promise<Told[]>, columns: string[] | null = null) {
  const keys: TrainKey[] = [];
  const seen: Asked[] = [];
  const client = clientOf({
    plan: async function* ({ inquiry }: { inquiry: Uint8Array }) {
      const asked = {
        verified: verifyInquiry(parseEnvelope(inquiry, 'i'), fake.network, NOW_MS),
        bytes: inquiry,
      };
      seen.push(asked);
      for (const { station, online = true, lastSeenMs = 0n, jwe = new Uint8Array() } of await tell(asked)) {
        yield { station, online, lastSeenMs, jwe };
      }
    },
  });
  const ports = {
    ...{ client, trains: home.trains, signer: memberIn(fake, 'rosa').signer, openerOf: createOpener },
    newKey: () => {
      const key = x25519();
      keys.push(key);
      return key;
    },
  };
  const answer = await plan(
    packed.manifest.trainId,
    columns,
    home.researcher,
    ports,
    new AbortController().signal,
  );
  return { answer, asked: seen[0], keys };
}

const replyOf = ({ verified }: Asked, station: string, lies: ReplyLies = {}): Promise<Uint8Array> =>
  makeReply(fake, station, { digest: verified.digest, ...verified.predicate }, NOW_MS, lies);

const wordsOf = ({ stops }: Plan) => stops.map(({ station, word }) => [station, word]);

test('the inquiry says what the manifest says, and is none', async () => {
  const { asked, keys } = await ask(async () => []);
  const { verified, bytes } = asked ?? expect.unreachable();
  const {
    parameters: _,
    nonce,
    networkId: __,
    networkVersion: ___,
    issuer,
    ...rest
  } = packed.manifest.predicate;
  expect(verified.predicate).toMatchObject({ train: rest, issuer, columns: ['age'] });
  expect(verified.subject).toBe(packed.manifest.digest);
  expect(Buffer.from(payloadOf(parseEnvelope(bytes, 'i'))).toString()).not.toContain('parameters');
  expect(verified.predicate.nonce).not.toBe(nonce);
  expect(verified.predicate.replyKey.x).toBe(keys[0]?.x);
  expect(Buffer.from(bytes).toString('latin1')).not.toContain(keys[0]?.d);
  expect(() => verifyManifest(parseEnvelope(bytes, 'i'), fake.network, NOW_MS)).toThrow(
    expect.objectContaining({ code: 'statement.type' }),
  );
  expect(() => verifyInquiry(parseEnvelope(packed.bytes, 'm'), fake.network, NOW_MS)).toThrow(
    expect.objectContaining({ code: 'statement.type' }),
  );
  // A key of its own for each time.
  expect((await ask(async () => [])).keys[0]?.x).not.toBe(keys[0]?.x);
});

test('answers are opened and counted; who said nothing is the dispatcher’s word', async () => {
  const { answer } = await ask(async (asked) => [
    { station: 'west', online: false, lastSeenMs: 5n },
    { station: 'south' },
    { station: 'north', jwe: await replyOf(asked, 'north') },
  ]);
  expect(answer).toMatchObject({ able: 1, minStations: 2, enough: false, columns: ['age'] });
  expect(answer.stops).toMatchObject([
    { station: 'north', word: 'replied', outlook: { verdict: 'permit', approvals: 0 }, code: null },
    { station: 'south', word: 'silent', online: true, outlook: null },
    { station: 'west', word: 'offline', lastSeenMs: 5, outlook: null },
  ]);
});

test.each<[string, ReplyLies, boolean]>([
  ['asks a person', { verdict: 'ask', approvals: 1 }, true],
  ['asks two', { verdict: 'ask', approvals: 2 }, true],
  ['has a standing clearance', { verdict: 'ask', approvals: 1, standing: 'covers' }, true],
  ['refuses', { verdict: 'deny', code: 'policy.denied' }, false],
  ['cannot say', { verdict: 'error', code: 'policy.missing', dataset: null }, false],
  ['lacks a column', { dataset: { offered: true, missingColumns: ['age'] } }, false],
  ['lacks the dataset', { dataset: { offered: false, missingColumns: [] } }, false],
])('a stop that %s', async (_name, lies, able) => {
  const { answer } = await ask(async (asked) => [
    { station: 'north', jwe: await replyOf(asked, 'north', lies) },
  ]);
  expect([wordsOf(answer)[0], answer.able]).toEqual([['north', 'replied'], able ? 1 : 0]);
});

test('columns that are named now take the place of those that were packed', async () => {
  const { asked } = await ask(async () => [], ['sex', 'sex', 'bmi']);
  expect(asked?.verified.predicate.columns).toEqual(['sex', 'bmi']);
});

describe('an answer that does not verify is not used, and hides no other', () => {
  const other = digestOf('another inquiry');
  test.each<[string, string, ReplyLies]>([
    ['of another station', 'inquiry.invalid', { issuer: 'south', signedBy: 'south' }],
    ["in another station's hand", 'signature.invalid', { signedBy: 'south' }],
    ["in the dispatcher's hand", 'signature.invalid', { signedBy: 'dispatcher' }],
    ['of the dispatcher', 'signer.unknown', { issuer: 'dispatcher', signedBy: 'dispatcher' }],
    ['to another inquiry', 'inquiry.invalid', { inquiry: other }],
    ['of another network', 'network.mismatch', { networkId: other }],
    ['of a network that is not here yet', 'network.behind', { networkVersion: 77 }],
    ['that refuses without a code', 'inquiry.invalid', { verdict: 'deny' }],
    ['that permits with one', 'inquiry.invalid', { code: 'policy.denied' }],
    ['that asks nobody', 'inquiry.invalid', { verdict: 'ask', approvals: 0 }],
    ['that permits and asks', 'inquiry.invalid', { approvals: 1 }],
    ['that has a clearance where none is needed', 'inquiry.invalid', { standing: 'covers' }],
    ['that knows another kind of clearance', 'statement.malformed', { standing: 'maybe' as never }],
    [
      'that misses what nobody named',
      'inquiry.invalid',
      { dataset: { offered: true, missingColumns: ['x'] } },
    ],
    ['with an unknown member', 'statement.malformed', { ...({ rows: 128 } as object) }],
    ['with a code of its own making', 'statement.malformed', { verdict: 'deny', code: 'made.up' as never }],
  ])('%s: %s', async (_name, code, lies) => {
    const { answer } = await ask(async (asked) => [
      { station: 'north', jwe: await replyOf(asked, 'north', lies) },
      { station: 'south', jwe: await replyOf(asked, 'south') },
    ]);
    expect(answer.stops).toMatchObject([
      { station: 'north', word: 'unverified', code, outlook: null },
      { station: 'south', word: 'replied' },
      { station: 'west', word: 'silent' },
    ]);
    expect(answer.able).toBe(1);
  });

  test.each<[string, string, (jwe: Uint8Array) => Uint8Array]>([
    ['changed on the way', 'envelope.invalid', (jwe) => Buffer.from(jwe).fill('A', 60, 64)],
    ['of no kind', 'envelope.invalid', () => Buffer.from('{"verdict":"permit"}')],
    ['without end', 'input.too-large', () => Buffer.alloc(600_000, ' ')],
  ])('%s: %s', async (_name, code, change) => {
    const { answer } = await ask(async (asked) => [
      { station: 'north', jwe: change(await replyOf(asked, 'north')) },
    ]);
    expect(answer.stops[0]).toMatchObject({ word: 'unverified', code, outlook: null });
  });

  test('sealed to somebody else, or with a signature turned by one bit', async () => {
    const { answer } = await ask(async (asked) => [
      { station: 'north', jwe: await replyOf(asked, 'north', { sealedTo: x25519() }) },
    ]);
    expect(answer.stops[0]).toMatchObject({ word: 'unverified', code: 'envelope.invalid' });
    expect(() => verifyInquiry(parseEnvelope(tamper(packed.bytes), 'm'), fake.network, NOW_MS)).toThrow(
      PhtError,
    );
  });

  test('an answer to an earlier inquiry about the same train', async () => {
    const earlier: Uint8Array[] = [];
    await ask(async (asked) => {
      earlier.push(await replyOf(asked, 'north'));
      return [];
    });
    const { answer } = await ask(async () => [{ station: 'north', jwe: earlier[0] ?? new Uint8Array() }]);
    expect(answer.stops[0]).toMatchObject({ word: 'unverified', code: 'envelope.invalid' });
  });
});

test.each([
  ['of a stop that was not asked', [{ station: 'east' }]],
  ['twice of one', [{ station: 'north' }, { station: 'north' }]],
  ['of a time that cannot be', [{ station: 'north', lastSeenMs: -1n }]],
])('a dispatcher that speaks %s is not believed at all', async (_name, told) => {
  await expect(ask(async () => told)).rejects.toMatchObject({ code: 'input.malformed' });
});
