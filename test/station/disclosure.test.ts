import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { replayDecision } from '../../src/adapters/policy/replay.ts';
import { signDisclosureRequest } from '../../src/journey/admin/word.ts';
import { verifyClearance } from '../../src/model/clearance.ts';
import { decisionsIn, openCommitments, verifyDisclosure } from '../../src/model/disclosure.ts';
import { type Envelope, encodeEnvelope, parseEnvelope, payloadOf } from '../../src/model/dsse.ts';
import { type Digest, digestOf, trainIdOf } from '../../src/model/id.ts';
import { canonicalJson } from '../../src/model/result/canonical.ts';
import { signStatement } from '../../src/model/statement.ts';
import { type FakeNetwork, makeNetwork, memberIn } from '../fakes/network.ts';
import { ASK, makeStation, PERMIT, type Process, type Rig } from '../fakes/station.ts';
import {
  adminIn,
  approve,
  disclose,
  discloseWith,
  envelopeFor,
  type Ran,
  ranTrain,
  readDisclosure,
  tookTrain,
} from '../fakes/words.ts';

/** One train opened to one auditor: everything to decide it again, and nothing that was not on record. */

const NOW = Date.UTC(2026, 5, 1, 12);

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

beforeAll(async () => {
  fake = await makeNetwork({
    admins: { nora: 'north', sven: 'south' },
    auditors: ['carla', 'otto'],
    nowMs: NOW,
  });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  station = rig.start();
});
afterEach(() => rig.close());

const DENY = `@id("others") permit (principal, action == Action::"Run", resource) when { principal.organisation == "Nobody's" };`;

describe('each decision can be made again from what was archived', () => {
  test.each([
    ['permit', PERMIT],
    ['ask', ASK],
    ['deny', DENY],
  ])('%s', async (verdict, policy) => {
    rig.policy(policy);
    const { trainId } = await ranTrain(rig, station);
    rig.policy('a policy of later, which is not even Cedar');
    const disclosure = await readDisclosure(fake, await disclose(rig, station, { trainId }));
    const [decision, ...more] = decisionsIn(disclosure);
    expect(more).toEqual([]);
    expect(decision?.policy).toBe(policy);
    const again = replayDecision(decision?.policy ?? '', decision?.request ?? '');
    expect(again.verdict).toBe(verdict);
    expect(canonicalJson(again)).toBe(decision?.answer);
    expect(station.entries()[decision?.index ?? 0]).toMatchObject({
      type: 'policy.decided',
      hopId: decision?.hopId,
      body: {
        verdict,
        policyDigest: digestOf(policy),
        requestCommitment: decision?.requestCommitment,
        answerCommitment: decision?.answerCommitment,
      },
    });
  });
});

test('each attempt is a hop with its own policy; another train has no place in it', async () => {
  rig.policy(DENY);
  const first = await ranTrain(rig, station);
  rig.policy(PERMIT);
  const second = await ranTrain(rig, station, { attempt: 2 });
  const other = await ranTrain(rig, station, { title: 'Another' });
  expect(second.trainId).toBe(first.trainId);
  expect(other.trainId).not.toBe(first.trainId);
  const disclosure = await readDisclosure(fake, await disclose(rig, station, { trainId: first.trainId }));
  expect(decisionsIn(disclosure)).toMatchObject([
    { hopId: first.hopId, policy: DENY },
    { hopId: second.hopId, policy: PERMIT },
  ]);
  expect(disclosure.policies).toHaveLength(2);
});

test('each decision of a person is kept, though two are about one case', async () => {
  rig.policy(ASK);
  rig.executor.outcome = () => ({ ended: 'failed', wallMs: 7 }) as never;
  await ranTrain(rig, station);
  rig.clock.ms += 1000;
  const nowMs = rig.clock.ms;
  rig.clock.ms = NOW;
  const { trainId, hopId } = await tookAndApproved(nowMs);
  expect(station.store.hops.find(hopId)?.attempt).toBe(2);
  const { hops } = await readDisclosure(fake, await disclose(rig, station, { trainId }));
  const words = hops.flatMap(({ clearances }) => clearances);
  expect(hops).toHaveLength(2);
  expect(new Set(words).size).toBe(2);
});

/** The same train again, so that the case is the same, decided a moment later. */
async function tookAndApproved(laterMs: number): Promise<Ran> {
  const ran = tookTrain(rig, station, { attempt: 2 });
  rig.clock.ms = laterMs;
  expect(await station.visit(ran.hopId)).toEqual({ is: 'waiting' });
  await approve(rig, station, ran.hopId, 'nora');
  await station.visit(ran.hopId);
  return ran;
}

test('every commitment of the hop is opened, and says who approved what', async () => {
  rig.policy(ASK);
  const { trainId, hopId } = await ranTrain(rig, station);
  const disclosure = await readDisclosure(fake, await disclose(rig, station, { trainId }));
  const values = openCommitments(disclosure);
  const entries = station.entries().filter((entry) => entry.hopId === hopId);
  const committed = entries.flatMap(({ body }) =>
    Object.entries(body).flatMap(([name, value]) => (/ommitment$/.test(name) ? [String(value)] : [])),
  );
  expect(committed).toHaveLength(6);
  expect([...values.keys()].sort()).toEqual(committed.sort());
  const cleared = entries.find(({ type }) => type === 'clearance.recorded')?.body ?? {};
  expect(values.get(String(cleared['byCommitment']))).toBe('nora');
  const [text = ''] = disclosure.hops[0]?.clearances ?? [];
  const envelope = parseEnvelope(Buffer.from(text), 'clearance');
  const clearance = verifyClearance(envelope, fake.network, 'north', cleared['caseDigest'] as Digest, NOW);
  expect(values.get(String(cleared['clearanceCommitment']))).toBe(clearance.digest);
});

test('it is an entry of the signed ledger before it leaves, without a name', async () => {
  const { trainId } = await ranTrain(rig, station);
  const jwe = await disclose(rig, station, { trainId });
  const entries = station.entries();
  const made = entries.at(-1);
  expect(made).toMatchObject({
    type: 'disclosure.made',
    trainId,
    hopId: null,
    body: { jweDigest: digestOf(jwe) },
  });
  expect(JSON.stringify(made)).not.toMatch(/carla|nora/);
  const size = Number(readFileSync(join(rig.dir, 'ledger', 'checkpoint'), 'utf8').split('\n')[1]);
  expect(size).toBe(entries.length);
});

test('it does not leave while its entry is in no signed checkpoint', async () => {
  const { trainId } = await ranTrain(rig, station);
  station.ledger.covered = () => Promise.reject(new Error('the disk is full'));
  await expect(disclose(rig, station, { trainId })).rejects.toThrow('the disk is full');
});

test('only its auditor can open it', async () => {
  const { trainId } = await ranTrain(rig, station);
  const jwe = await disclose(rig, station, { trainId });
  await expect(envelopeFor(fake, jwe, 'otto')).rejects.toThrow(
    expect.objectContaining({ code: 'envelope.invalid' }),
  );
});

describe('refused, and not even an entry is made', () => {
  const NO_TRAIN = trainIdOf('0'.repeat(64) as Digest);
  const cases: [string, string, (ran: Ran) => Promise<unknown>][] = [
    ['to a researcher', 'signer.unknown', ({ trainId }) => disclose(rig, station, { trainId, to: 'rosa' })],
    ['to a stranger', 'signer.unknown', ({ trainId }) => disclose(rig, station, { trainId, to: 'mallory' })],
    [
      "by another station's admin",
      'signer.unknown',
      ({ trainId }) => disclose(rig, station, { trainId, by: 'sven' }),
    ],
    ['by the researcher', 'signer.unknown', ({ trainId }) => disclose(rig, station, { trainId, by: 'rosa' })],
    ['by the auditor', 'signer.unknown', ({ trainId }) => disclose(rig, station, { trainId, by: 'carla' })],
    ['by the station', 'signer.unknown', ({ trainId }) => disclose(rig, station, { trainId, by: 'north' })],
    [
      'addressed to another station',
      'forbidden',
      ({ trainId }) => disclose(rig, station, { trainId, station: 'south' }),
    ],
    ['of a train that never came', 'not-found', () => disclose(rig, station, { trainId: NO_TRAIN })],
    [
      "under the admin's name with another key",
      'signature.invalid',
      ({ trainId }) => {
        const admin = { ...adminIn(rig, 'nora'), signer: memberIn(fake, 'sven').signer };
        return discloseWith(
          station,
          signDisclosureRequest({ station: 'north', trainId, to: 'carla' }, admin),
        );
      },
    ],
    [
      'with a word of an hour ago',
      'conflict',
      ({ trainId }) => {
        const admin = { ...adminIn(rig, 'nora'), nowMs: rig.clock.ms - 3_600_000 };
        return discloseWith(
          station,
          signDisclosureRequest({ station: 'north', trainId, to: 'carla' }, admin),
        );
      },
    ],
    [
      'with a word for something else',
      'statement.type',
      ({ trainId }) => {
        const said = { station: 'north', trainId, to: 'carla' };
        const { envelope } = signStatement(
          'erasure',
          { name: 'network', digest: fake.network.id },
          { networkId: fake.network.id, networkVersion: 1, issuer: 'nora', issuedAtMs: NOW, ...said },
          memberIn(fake, 'nora').signer,
        );
        return discloseWith(station, encodeEnvelope(envelope));
      },
    ],
  ];
  test.each(cases)('%s', async (_name, code, attempt) => {
    const ran = await ranTrain(rig, station);
    await expect(attempt(ran)).rejects.toThrow(expect.objectContaining({ code }));
    expect(station.entries().some(({ type }) => type === 'disclosure.made')).toBe(false);
  });
});

describe('a file that is not what the station disclosed', () => {
  let envelope: Envelope;

  beforeEach(async () => {
    rig.policy(ASK);
    const { trainId } = await ranTrain(rig, station);
    envelope = await envelopeFor(fake, await disclose(rig, station, { trainId }));
    expect(verifyDisclosure(envelope, fake.network).predicate.trainId).toBe(trainId);
  });

  test('any single byte changed', () => {
    const payload = payloadOf(envelope);
    fc.assert(
      fc.property(fc.nat(payload.byteLength - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const changed = Buffer.from(payload);
        changed[at] = (changed[at] ?? 0) ^ by;
        const forged = { ...envelope, payload: changed.toString('base64') };
        expect(() => verifyDisclosure(forged, fake.network)).toThrow();
      }),
    );
  });

  const lies: [string, string, string, string][] = [
    ['another policy text', 'proof.invalid', 'an admin decides', 'nobody decides'],
    ['another name under a commitment', 'proof.invalid', '"value":"nora"', '"value":"nils"'],
    ['another request', 'proof.invalid', 'Organisation of rosa', 'Organisation of evil'],
  ];
  test.each(lies)('%s, signed by the station itself', (_name, code, from, to) => {
    expect(() => verifyDisclosure(resigned(from, to, 'north'), fake.network)).toThrow(
      expect.objectContaining({ code }),
    );
  });

  test('for another train than its subject, signed by the station itself', () => {
    const { predicate } = verifyDisclosure(envelope, fake.network);
    const subject = { name: 'manifest', digest: digestOf('another') };
    const other = signStatement('disclosure', subject, predicate, memberIn(fake, 'north').signer).envelope;
    expect(() => verifyDisclosure(other, fake.network)).toThrow(
      expect.objectContaining({ code: 'proof.invalid' }),
    );
  });

  test('signed by another station, or by who is none', () => {
    for (const by of ['south', 'nora', 'dispatcher']) {
      expect(() => verifyDisclosure(resigned('"nothing"', '"nothing"', by, false), fake.network)).toThrow(
        expect.objectContaining({ code: 'signature.invalid' }),
      );
    }
  });

  function resigned(from: string, to: string, by: string, mustChange = true): Envelope {
    const text = Buffer.from(payloadOf(envelope)).toString();
    const changed = text.replaceAll(from, to);
    if (mustChange && changed === text) throw new Error(`there is no ${from} to forge`);
    const { subject, predicate } = JSON.parse(changed) as {
      subject: { name: string; digest: { sha256: Digest } }[];
      predicate: object;
    };
    const digest = subject[0]?.digest.sha256 ?? digestOf('');
    return signStatement('disclosure', { name: 'manifest', digest }, predicate, memberIn(fake, by).signer)
      .envelope;
  }
});
