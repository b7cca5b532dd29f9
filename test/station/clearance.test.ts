import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openCase, signClearance } from '../../src/journey/admin/case.ts';
import { signErasure } from '../../src/journey/admin/word.ts';
import { encodeEnvelope, PAYLOAD_TYPE, preAuthEncoding } from '../../src/model/dsse.ts';
import type { Digest } from '../../src/model/id.ts';
import { verifyExplanation } from '../../src/model/receipt.ts';
import { signStatement } from '../../src/model/statement.ts';
import { type FakeNetwork, makeNetwork, memberIn, signerOf } from '../fakes/network.ts';
import {
  ASK,
  makeStation,
  openSealed,
  PERMIT,
  type Process,
  type Rig,
  receiptsOf,
} from '../fakes/station.ts';
import { makeOrder, makeTrain } from '../fakes/trains.ts';
import { adminIn } from '../fakes/words.ts';

/** A person decides: over exactly the case that was shown, once, for this station. */

const NOW = Date.UTC(2026, 5, 1, 12);
const DAY_MS = 86_400_000;
const CONTEXT = {} as never;

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

beforeAll(async () => {
  fake = await makeNetwork({ admins: { nora: 'north', nils: 'north', sven: 'south' }, nowMs: NOW });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  rig.policy(ASK);
  station = rig.start();
});
afterEach(() => rig.close());

async function waiting(title = 'Hello', attempt = 1): Promise<string> {
  const train = makeTrain(fake, rig.image.image, NOW, { title });
  const order = makeOrder(fake, train.digest, NOW, { attempt, epoch: attempt });
  const hopId = station.accept({ ...order, manifest: train.manifest }) ?? '';
  expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  expect(station.store.hops.find(hopId)?.state).toBe('awaiting-clearance');
  return hopId;
}

/** As `pht station approve` does it: look, verify, sign. */
async function clearanceOf(hopId: string, verdict: 'approve' | 'reject' = 'approve', by = 'nora') {
  const shown = await station.admin.show({ $typeName: 'pht.v1.ShowRequest', hopId, config: false }, CONTEXT);
  const { caseFile = new Uint8Array(), manifest = new Uint8Array() } = shown;
  const network = rig.settings.network;
  const opened = openCase({ caseFile, manifest }, { station: 'north', network, nowMs: rig.clock.ms });
  const decision = { verdict, reason: 'ethics 2026-17' };
  const admin = { id: by, network, signer: memberIn(fake, by).signer, nowMs: rig.clock.ms };
  return { opened, clearance: signClearance(opened, decision, admin) };
}

async function decide(hopId: string, clearance: Uint8Array) {
  return station.admin.decide({ $typeName: 'pht.v1.DecideRequest', hopId, clearance }, CONTEXT);
}

async function end(hopId: string): Promise<string | undefined> {
  await station.visit(hopId);
  await station.post();
  const [receipt] = receiptsOf(rig, hopId);
  return receipt === undefined ? undefined : `${receipt.outcome} ${receipt.code}`;
}

test('an approved train runs once and is released', async () => {
  const hopId = await waiting();
  const { entries } = await station.admin.inbox({ $typeName: 'pht.v1.InboxRequest', all: false }, CONTEXT);
  expect(entries).toMatchObject([{ hopId, title: 'Hello', researcher: 'rosa', state: 'awaiting-clearance' }]);
  expect(rig.executor.loaded).toEqual([]);
  await decide(hopId, (await clearanceOf(hopId)).clearance);
  expect(await end(hopId)).toBe('released released');
  const { body } = station.entries().find(({ type }) => type === 'clearance.recorded') ?? {};
  expect(body).toMatchObject({ by: 'person', byCommitment: expect.stringMatching(/^[0-9a-f]{64}$/) });
  expect(JSON.stringify(body)).not.toContain('nora');
});

test('without a decision nothing runs, however often the station looks', async () => {
  const hopId = await waiting();
  for (let look = 0; look < 3; look++) expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  expect(station.entries().filter(({ type }) => type === 'policy.decided')).toHaveLength(1);
  rig.clock.ms += 8 * DAY_MS;
  expect(await end(hopId)).toBe('expired order.expired');
});

test('a rejection refuses, with the reason for the researcher', async () => {
  const hopId = await waiting();
  await decide(hopId, (await clearanceOf(hopId, 'reject')).clearance);
  expect(await end(hopId)).toBe('refused clearance.rejected');
  const [receipt] = receiptsOf(rig, hopId);
  const said = verifyExplanation(
    await openSealed(rig, receipt?.jwe ?? new Uint8Array()),
    fake.network,
    'north',
  );
  expect(said.predicate.text).toContain('ethics 2026-17');
});

describe('a decision that is not one', () => {
  async function forged(hopId: string, by: string, changes: object = {}): Promise<Uint8Array> {
    const { opened } = await clearanceOf(hopId);
    const predicate = {
      networkId: fake.network.id,
      networkVersion: 1,
      issuer: by,
      station: 'north',
      manifestDigest: opened.manifest.digest,
      verdict: 'approve',
      reason: 'because',
      runsMax: 1,
      issuedAtMs: NOW,
      expiresMs: NOW + DAY_MS,
      ...changes,
    };
    const subject = { name: 'case', digest: opened.digest };
    return encodeEnvelope(signStatement('clearance', subject, predicate, memberIn(fake, by).signer).envelope);
  }

  const textOf = (bytes: Uint8Array): { payloadType: string; payload: string; signatures: object[] } =>
    JSON.parse(Buffer.from(bytes).toString());
  const nora = () => memberIn(fake, 'nora').signer;

  /** The same words under the type of an earlier form, signed anew. */
  function renamed(bytes: Uint8Array): Uint8Array {
    const payload = Buffer.from(textOf(bytes).payload, 'base64').toString();
    return signedAnew(payload.replace('/clearance/v2', '/clearance/v1'));
  }

  function signedAnew(payload: string, signer = nora()): Uint8Array {
    const message = preAuthEncoding(PAYLOAD_TYPE, Buffer.from(payload));
    const sig = Buffer.from(signer.sign(message)).toString('base64');
    return Buffer.from(
      JSON.stringify({
        payloadType: PAYLOAD_TYPE,
        payload: Buffer.from(payload).toString('base64'),
        signatures: [{ sig }],
      }),
    );
  }

  async function byOtherKey(hopId: string, use: 'log' | 'witness'): Promise<Uint8Array> {
    const payload = Buffer.from(textOf(await forged(hopId, 'nora')).payload, 'base64').toString();
    return signedAnew(payload, signerOf(memberIn(fake, 'nora').keys[use]));
  }

  async function withTwice(hopId: string): Promise<Uint8Array> {
    const payload = Buffer.from(textOf(await forged(hopId, 'nora')).payload, 'base64').toString();
    return signedAnew(payload.replace('"verdict":"approve"', '"verdict":"reject","verdict":"approve"'));
  }

  async function twiceOutside(hopId: string): Promise<Uint8Array> {
    const text = Buffer.from(await forged(hopId, 'nora')).toString();
    return Buffer.from(text.replace('{"payloadType"', '{"payload":"","payloadType"'));
  }

  async function asErasure(_hopId: string): Promise<Uint8Array> {
    return signErasure({ station: 'north', member: 'rosa', reason: 'no' }, adminIn(rig, 'nora'));
  }

  const cases: [string, string, (hopId: string) => Promise<Uint8Array>][] = [
    [
      "another station's admin",
      'signer.unknown',
      async (hopId) => (await clearanceOf(hopId, 'approve', 'sven')).clearance,
    ],
    ['a researcher', 'signer.unknown', (hopId) => forged(hopId, 'rosa')],
    ['the station itself', 'signer.unknown', (hopId) => forged(hopId, 'north')],
    [
      "an admin's name with another key",
      'signature.invalid',
      (hopId) => forged(hopId, 'rosa', { issuer: 'nora' }),
    ],
    [
      'a word for longer than seven days',
      'clearance.invalid',
      (hopId) => forged(hopId, 'nora', { expiresMs: NOW + 7 * DAY_MS + 1 }),
    ],
    ['an expired word', 'clearance.expired', (hopId) => forged(hopId, 'nora', { expiresMs: NOW })],
    ['another network', 'network.mismatch', (hopId) => forged(hopId, 'nora', { networkId: 'f'.repeat(64) })],
    [
      'another train',
      'clearance.invalid',
      (hopId) => forged(hopId, 'nora', { manifestDigest: 'f'.repeat(64) }),
    ],
    ['another station', 'clearance.invalid', (hopId) => forged(hopId, 'nora', { station: 'south' })],
    [
      'a word of tomorrow',
      'clearance.invalid',
      (hopId) => forged(hopId, 'nora', { issuedAtMs: NOW + 10 * 60_000, expiresMs: NOW + DAY_MS }),
    ],
    [
      'a later version of the network file',
      'network.behind',
      (hopId) => forged(hopId, 'nora', { networkVersion: 9 }),
    ],
    ['more runs than one', 'statement.malformed', (hopId) => forged(hopId, 'nora', { runsMax: 2 })],
    ['a member nobody knows', 'statement.malformed', (hopId) => forged(hopId, 'nora', { also: 'that' })],
    ['an earlier form', 'statement.type', async (hopId) => renamed(await forged(hopId, 'nora'))],
    ['a form of something else', 'statement.type', (hopId) => asErasure(hopId)],
    ['an empty reason', 'statement.malformed', (hopId) => forged(hopId, 'nora', { reason: '' })],
    ['the key for her log', 'signature.invalid', (hopId) => byOtherKey(hopId, 'log')],
    ['the key she witnesses with', 'signature.invalid', (hopId) => byOtherKey(hopId, 'witness')],
    ['a member twice', 'input.malformed', (hopId) => withTwice(hopId)],
    ['an envelope with a member twice', 'input.malformed', async (hopId) => twiceOutside(hopId)],
    ['no envelope', 'input.malformed', async () => Buffer.from('{')],
    ['too much', 'input.too-large', async () => Buffer.alloc(49 * 1024, 0x20)],
  ];
  test.each(cases)('%s: %s', async (_name, code, clearance) => {
    const hopId = await waiting();
    const bytes = await clearance(hopId);
    await expect(decide(hopId, bytes)).rejects.toMatchObject({ code });
    const body = { what: 'clearance', code, count: 1 };
    expect(station.entries().at(-1)).toMatchObject({ type: 'rejects.counted', body });
    expect(await end(hopId)).toBeUndefined();
    expect(rig.executor.runs).toEqual([]);
  });

  test('the clearance of another case', async () => {
    const [first, second] = [await waiting('Hello'), await waiting('Hello again')];
    const { clearance } = await clearanceOf(first);
    await expect(decide(second, clearance)).rejects.toMatchObject({ code: 'clearance.invalid' });
    expect(await station.visit(second)).toEqual({ is: 'waiting' });
  });

  test('a hop that does not wait, or is not here', async () => {
    const hopId = await waiting();
    const { clearance } = await clearanceOf(hopId);
    await expect(decide('hop_0123456789abcdef01234567', clearance)).rejects.toMatchObject({
      code: 'not-found',
    });
    await decide(hopId, clearance);
    expect(await end(hopId)).toBe('released released');
    await expect(decide(hopId, clearance)).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('a case that changes after the approval is asked about again', () => {
  const changes: [string, () => void][] = [
    ['the policy', () => rig.policy(`${ASK}\n// edited`)],
    ['the dataset', () => rig.datasets.contents.set('cgd', 'status\n1\n')],
    [
      'the disclosure settings',
      () => {
        rig.settings.disclosure = { ...rig.settings.disclosure, threshold: 20 };
      },
    ],
  ];

  test.each(changes)('%s, before the run', async (_name, change) => {
    const hopId = await waiting();
    await decide(hopId, (await clearanceOf(hopId)).clearance);
    change();
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(rig.executor.runs).toEqual([]);
    await decide(hopId, (await clearanceOf(hopId, 'approve', 'nils')).clearance);
    expect(await end(hopId)).toBe('released released');
  });

  const during = changes.filter(([name]) => name !== 'the dataset');
  test.each(during)('%s, during the run', async (_name, change) => {
    const hopId = await waiting();
    await decide(hopId, (await clearanceOf(hopId)).clearance);
    const answers = rig.executor.outcome;
    rig.executor.outcome = (spec, signal) => {
      change();
      return answers(spec, signal);
    };
    expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
    rig.executor.outcome = answers;
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(station.entries().some(({ type }) => type === 'result.released')).toBe(false);
    await decide(hopId, (await clearanceOf(hopId)).clearance);
    expect(await end(hopId)).toBe('released released');
  });

  test('a policy that changes to deny refuses', async () => {
    const hopId = await waiting();
    await decide(hopId, (await clearanceOf(hopId)).clearance);
    rig.policy('// nothing\n');
    expect(await end(hopId)).toBe('refused policy.denied');
  });

  test('a case that changes before anybody looked is decided anew, also right after a crash', async () => {
    const train = makeTrain(fake, rig.image.image, NOW);
    const pulled = { ...makeOrder(fake, train.digest, NOW), manifest: train.manifest };
    const hopId = station.accept(pulled) ?? '';
    const hop = station.store.hops.find(hopId);
    if (hop === null) throw new Error('no hop');
    await station.steps.decide(await station.steps.inspect(hop));
    expect(station.store.hops.find(hopId)?.state).toBe('decided');
    rig.policy(PERMIT);
    expect(await end(hopId)).toBe('released released');
  });

  test('admitting a stranger undoes no approval', async () => {
    const hopId = await waiting();
    await decide(hopId, (await clearanceOf(hopId)).clearance);
    rig.settings.network = fake.without('sven').network;
    expect(await end(hopId)).toBe('released released');
  });
});

test('an approval is used up by the attempt it let run', async () => {
  const first = await waiting();
  const { clearance } = await clearanceOf(first);
  await decide(first, clearance);
  rig.executor.outcome = () => ({ ended: 'exit', wallMs: 1, detail: '1' });
  expect(await end(first)).toBe('failed run.failed');
  const second = await waiting('Hello', 2);
  await expect(decide(second, clearance)).rejects.toMatchObject({ code: 'clearance.invalid' });
  expect(await station.visit(second)).toEqual({ is: 'waiting' });
  expect(rig.executor.runs).toHaveLength(1);
});

test('an approval outlives a crash of the run it let start, and lets no second order run', async () => {
  const hopId = await waiting();
  await decide(hopId, (await clearanceOf(hopId)).clearance);
  const stop = new AbortController();
  const answers = rig.executor.outcome;
  rig.executor.outcome = () => {
    stop.abort(new Error('stopping'));
    return { ended: 'aborted', wallMs: 1, detail: '' };
  };
  await expect(station.visit(hopId, stop.signal)).rejects.toThrow();
  rig.executor.outcome = answers;
  station = rig.start();
  expect(await end(hopId)).toBe('released released');
});

test('an approval that expires before the run starts lets nothing run', async () => {
  const hopId = await waiting();
  await decide(hopId, (await clearanceOf(hopId)).clearance);
  rig.settings.network = { ...fake.network, expiresMs: NOW };
  expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
  rig.settings.network = fake.network;
  // The manifest and its clearance end with the same seventh day.
  rig.clock.ms = NOW + 7 * DAY_MS - 1;
  const stored = station.store.clearances.find(station.store.hops.find(hopId)?.notes.caseDigest ?? '', hopId);
  expect(stored).toHaveLength(1);
  rig.clock.ms += 1;
  expect(await end(hopId)).toBe('expired order.expired');
  expect(rig.executor.runs).toEqual([]);
});

test('the case digest is of everything that was shown', async () => {
  const hopId = await waiting();
  const { opened } = await clearanceOf(hopId);
  expect(station.store.hops.find(hopId)?.notes.caseDigest).toBe(opened.digest satisfies Digest);
});
