import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ReplyRequest } from '../../src/gen/pht/v1/tracks_pb.ts';
import type { Answered, Replies } from '../../src/journey/station/reply.ts';
import { commitmentOf } from '../../src/model/commitment.ts';
import { encodeEnvelope } from '../../src/model/dsse.ts';
import { PhtError } from '../../src/model/error.ts';
import type { Digest } from '../../src/model/id.ts';
import type { Reply } from '../../src/model/inquiry.ts';
import { verifyManifest } from '../../src/model/train.ts';
import { type FakeInquiry, type InquiryLies, makeInquiry } from '../fakes/inquiries.ts';
import { type FakeNetwork, makeNetwork, publicOf, x25519 } from '../fakes/network.ts';
import { makeReplies, openedReply, type RepliesMade } from '../fakes/replies.ts';
import { ASK, makeStation, PERMIT, type Process, type Rig } from '../fakes/station.ts';
import { forge, makeTrain } from '../fakes/trains.ts';

/** A station that is asked what it would say to a train. */

const NOW = Date.UTC(2026, 5, 1, 12);
const HOUR_MS = 3_600_000;
const CROWD = ['r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7'];

let fake: FakeNetwork;
let other: FakeNetwork;
let rig: Rig;
let station: Process;
let replies: Replies;

beforeAll(async () => {
  const plan = { admins: { nora: 'north' }, researchers: ['rosa', 'rita', 'zoe', ...CROWD], nowMs: NOW };
  fake = await makeNetwork(plan);
  other = await makeNetwork(plan);
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  station = rig.start();
  replies = repliesOf();
});
afterEach(() => rig.close());

const repliesOf = (made: RepliesMade = {}): Replies => makeReplies(rig, station, made);

const train = () => makeTrain(fake, rig.image.image, NOW);
const inquiry = (lies: InquiryLies = {}): FakeInquiry => makeInquiry(fake, train(), rig.clock.ms, lies);

const opened = (asked: FakeInquiry, answered: Answered | null, columns: string[] = []): Promise<Reply> =>
  openedReply(fake, asked, answered, columns);

async function ask(lies: InquiryLies = {}, by: Replies = replies): Promise<Reply> {
  const asked = inquiry(lies);
  return opened(asked, await by.answer(asked.inquiry), asked ? (lies.columns ?? []) : []);
}

const entries = () => station.entries().map(({ type, body }) => [type, body]);

describe('an inquiry is answered as the train would be', () => {
  test.each([
    [
      'permit',
      PERMIT,
      { verdict: 'permit', code: null, approvals: 0, reasons: [expect.stringContaining('any train')] },
    ],
    ['ask', ASK, { verdict: 'ask', code: null, approvals: 1 }],
    ['no policy', null, { verdict: 'error', code: 'policy.missing', approvals: 0, reasons: [] }],
    ['a broken policy', 'permit (', { verdict: 'error', code: 'policy.error', approvals: 0, reasons: [] }],
  ])('%s', async (_name, policy, expected) => {
    rig.policy(policy);
    const reply = await ask();
    expect(reply).toMatchObject(expected);
    expect(reply).toMatchObject({ dataset: { offered: true, missingColumns: [] }, engineReady: true });
  });

  test('with the rule that denies', async () => {
    rig.policy(`@id("only-rita") @explain("the researcher is Rita")
      permit (principal, action == Action::"Run", resource) when { principal == Researcher::"rita" };`);
    const reply = await ask();
    expect(reply).toMatchObject({ verdict: 'deny', code: 'policy.denied', approvals: 0 });
    expect(reply.reasons.join()).toContain('only-rita');
    const other = makeTrain(fake, rig.image.image, NOW, {
      signedBy: 'rita',
      recipients: [{ member: 'rita' }],
    });
    const asked = makeInquiry(fake, other, NOW, { signedBy: 'rita' });
    expect(await opened(asked, await replies.answer(asked.inquiry))).toMatchObject({ verdict: 'permit' });
  });

  test('and says no more than the code where the station tells no more', async () => {
    rig.policy(`@id("none") @explain("the secret reason") forbid (principal, action, resource);`);
    expect((await ask()).reasons.join()).toContain('the secret reason');
    rig.policy(`@id("adults") @explain("why") permit (principal, action == Action::"Run", resource)
      when { context.train.title == "a secret title" };`);
    const rules = await ask({}, repliesOf({ explanations: 'rules' }));
    expect(rules.reasons.join()).toContain('adults: 1 of its conditions is not met');
    expect(JSON.stringify(rules)).not.toContain('secret');
    const terse = await ask({}, repliesOf({ explanations: 'code' }));
    expect(terse).toMatchObject({ verdict: 'deny', code: 'policy.denied', text: '', reasons: [] });
  });

  test.each<[string, InquiryLies, object]>([
    [
      'a dataset that is not here',
      { train: { dataset: 'elsewhere' } },
      { verdict: 'deny', code: 'dataset.unknown', dataset: { offered: false, missingColumns: [] } },
    ],
    [
      'columns that it lacks',
      { columns: ['status', 'age', 'sex'] },
      { verdict: 'permit', dataset: { offered: true, missingColumns: ['age', 'sex'] } },
    ],
    [
      'limits above what it gives',
      { train: { limits: { ...limits(), cpuMillis: 64_000 } } },
      { verdict: 'deny', code: 'quota.exceeded' },
    ],
    [
      'a lifetime that it does not take',
      { train: { expiresMs: NOW + 60 * 24 * HOUR_MS } },
      { verdict: 'deny', code: 'manifest.too-long' },
    ],
    [
      'a train that is over',
      { train: { issuedAtMs: NOW - 10, expiresMs: NOW - 5 } },
      { verdict: 'deny', code: 'manifest.expired' },
    ],
  ])('%s', async (_name, lies, expected) => {
    expect(await ask(lies)).toMatchObject(expected);
  });

  test('an engine that runs nothing is said, and not why', async () => {
    rig.executor.report = {
      ...rig.executor.report,
      failures: [{ name: 'network', text: 'the secret risk' }],
    };
    const reply = await ask();
    expect(reply).toMatchObject({ verdict: 'permit', engineReady: false });
    expect(JSON.stringify(reply)).not.toContain('secret');
  });

  test('a dispatcher whose orders are not taken is said by its code', async () => {
    const reply = await ask({}, repliesOf({ distrusted: true }));
    expect(reply).toMatchObject({ verdict: 'error', code: 'dispatcher.distrusted', reasons: [] });
  });

  test('files of the station that are broken give a code and no path', async () => {
    rig.datasets.list = async () => {
      throw new PhtError('config.invalid', `the secret path ${rig.dir}`);
    };
    const reply = await ask();
    expect(reply).toMatchObject({ verdict: 'error', code: 'config.invalid', dataset: null, reasons: [] });
  });
});

function limits() {
  const MIB = 1024 * 1024;
  return {
    memoryBytesMax: 64 * MIB,
    cpuMillis: 1000,
    pidsMax: 16,
    wallMsMax: 30_000,
    outputBytesMax: 16 * 1024,
    scratchBytesMax: MIB,
  };
}

describe('nothing of the data', () => {
  test('is opened, counted, or to be told from an answer', async () => {
    rig.datasets.open = async () => {
      throw new Error('the data was opened');
    };
    const answers: string[] = [];
    for (const content of ['status\n', 'status\n1\n0\n', `status\n${'1\n'.repeat(5000)}`]) {
      rig.datasets.contents.set('cgd', content);
      const asked = inquiry({ columns: ['status'] });
      const answered = await replies.answer(asked.inquiry);
      answers.push(JSON.stringify([await opened(asked, answered, ['status']), answered?.jwe.byteLength]));
    }
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toContain('permit');
  });

  test('and an answer has the length of its bucket, whatever it says', async () => {
    const sizeOf = async (lies: InquiryLies): Promise<number | undefined> =>
      (await replies.answer(inquiry(lies).inquiry))?.jwe.byteLength;
    const all = await sizeOf({});
    expect(await sizeOf({ columns: ['a', 'b', 'c', 'd'] })).toBe(all);
    rig.policy(ASK);
    expect(await sizeOf({})).toBe(all);
  });
});

describe('every answer is on record before it leaves', () => {
  test('with commitments that open to the facts and the answer, and no name in clear', async () => {
    const asked = inquiry();
    const reply = await opened(asked, await replies.answer(asked.inquiry));
    const [entry] = station.entries();
    const { requestCommitment, answerCommitment, policyDigest } = entry?.body ?? {};
    expect(entries()).toEqual([
      [
        'inquiry.answered',
        { inquiryDigest: asked.digest, verdict: 'permit', policyDigest, requestCommitment, answerCommitment },
      ],
    ]);
    expect(entry).toMatchObject({ trainId: null, hopId: null, manifestDigest: null, actor: 'north' });
    expect(JSON.stringify(entry)).not.toMatch(/rosa|cgd|Hello|status/);
    const { archive } = station.store;
    expect(archive.policy(String(policyDigest))).toBe(PERMIT);
    for (const [commitment, inside] of [
      [requestCommitment, '"id":"rosa"'],
      [answerCommitment, '"verdict":"permit"'],
    ]) {
      const opening = archive.opening(String(commitment));
      expect(opening?.value).toContain(inside);
      expect(commitmentOf(opening?.salt ?? new Uint8Array(), opening?.value ?? '')).toBe(commitment);
    }
    expect(JSON.parse(archive.opening(String(answerCommitment))?.value ?? '')).toEqual(reply);
    expect(station.ledger.checkpoint()?.size).toBe(1);
  });

  test('and an erasure takes away that the person was meant', async () => {
    await ask();
    const salts = station.store.archive.erase('rosa', NOW, (count) => ({
      ...{ type: 'salts.erased', trainId: null, hopId: null, attempt: null, epoch: null },
      ...{ manifestDigest: null, prev: null, body: { count } },
    })).salts;
    expect(salts).toBe(2);
    const database = new DatabaseSync(join(rig.dir, 'state.db'), { readOnly: true });
    const rows = database.prepare('SELECT researcher FROM inquiries').all();
    expect(rows.map(({ researcher }) => researcher)).toEqual(['']);
    database.close();
  });
});

describe('what is no inquiry of this network for this station is counted and not answered', () => {
  const cases: [string, string, () => Uint8Array][] = [
    ['a manifest', 'statement.type', () => train().manifest],
    ['an admin', 'signer.unknown', () => inquiry({ signedBy: 'nora' }).inquiry],
    ['a dispatcher', 'signer.unknown', () => inquiry({ signedBy: 'dispatcher' }).inquiry],
    ['a stranger', 'signer.unknown', () => inquiry({ issuer: 'nobody' }).inquiry],
    ["another's name", 'signature.invalid', () => inquiry({ issuer: 'rita' }).inquiry],
    ['another network', 'network.mismatch', () => inquiry({ networkId: other.network.id }).inquiry],
    [
      "another network's researcher",
      'signature.invalid',
      () => makeInquiry(other, train(), NOW, { networkId: fake.network.id }).inquiry,
    ],
    ['a version that is not here', 'network.behind', () => inquiry({ networkVersion: 99 }).inquiry],
    ['no stop', 'order.audience', () => inquiry({ train: { route: route(['south']) } }).inquiry],
    ['no station', 'inquiry.invalid', () => inquiry({ train: { route: route(['north', 'nora']) } }).inquiry],
    ['one that expired', 'inquiry.expired', () => inquiry({ issuedAtMs: NOW - 9, expiresMs: NOW }).inquiry],
    [
      'one of the future',
      'inquiry.invalid',
      () => inquiry({ issuedAtMs: NOW + HOUR_MS, expiresMs: NOW + HOUR_MS + 1 }).inquiry,
    ],
    ['one that never dies', 'inquiry.invalid', () => inquiry({ expiresMs: NOW + HOUR_MS }).inquiry],
    ['one that was dead', 'inquiry.invalid', () => inquiry({ issuedAtMs: NOW, expiresMs: NOW }).inquiry],
    ['a column twice', 'inquiry.invalid', () => inquiry({ columns: ['a', 'a'] }).inquiry],
    [
      'an unknown recipient',
      'recipient.unknown',
      () => inquiry({ train: { recipients: [{ member: 'nobody' }] } }).inquiry,
    ],
    [
      "a key for somebody else's reading",
      'inquiry.invalid',
      () => inquiry({ train: { recipients: [{ member: 'rita', jwk: publicOf(x25519()) }] } }).inquiry,
    ],
    ['an unknown member', 'statement.malformed', () => inquiry({ ...({ priority: 1 } as object) }).inquiry],
    [
      'an unknown member of its train',
      'statement.malformed',
      () => inquiry({ train: { ...({ parameters: {} } as object) } }).inquiry,
    ],
    [
      'a reply key with which nothing can be agreed',
      'statement.malformed',
      () => inquiry({ replyKey: { kty: 'OKP', crv: 'X25519', x: 'A'.repeat(43) } }).inquiry,
    ],
    ['nothing', 'input.malformed', () => new Uint8Array()],
    ['too much', 'input.too-large', () => Buffer.alloc(200_000, ' ')],
  ];
  test.each(cases)('%s: %s', async (_name, code, made) => {
    const answered = await replies.answer(made());
    expect(answered?.jwe.byteLength ?? 0).toBe(0);
    expect(entries()).toEqual([['rejects.counted', { what: 'inquiry', code, count: 1 }]]);
  });

  const route = (stops: string[]) => ({
    pattern: 'parallel' as const,
    stops,
    minStations: 1,
    deadlineMs: 86_400_000,
  });

  test('a reply key that was exchanged on the way', async () => {
    const asked = inquiry();
    const thief = x25519();
    const forged = forge(asked.envelope, asked.key.x, thief.x);
    expect((await replies.answer(forged))?.jwe.byteLength).toBe(0);
    expect(entries()).toEqual([
      ['rejects.counted', { what: 'inquiry', code: 'signature.invalid', count: 1 }],
    ]);
  });

  test('one of a member that was revoked', async () => {
    const asked = makeInquiry(fake, train(), NOW, {
      signedBy: 'zoe',
      train: { recipients: [{ member: 'rosa' }] },
    });
    rig.settings.network = fake.without('zoe').network;
    expect((await replies.answer(asked.inquiry))?.jwe.byteLength).toBe(0);
    expect(entries()).toEqual([['rejects.counted', { what: 'inquiry', code: 'signer.revoked', count: 1 }]]);
  });

  test('one that was made before, while its answer may be on its way', async () => {
    const asked = inquiry();
    expect((await replies.answer(asked.inquiry))?.jwe.byteLength).toBeGreaterThan(0);
    rig.clock.ms += 59_000;
    expect(await replies.answer(asked.inquiry)).toBeNull();
    rig.clock.ms += 1_000;
    expect((await replies.answer(asked.inquiry))?.jwe.byteLength).toBe(0);
    expect(entries().slice(1)).toEqual([
      ['rejects.counted', { what: 'inquiry', code: 'replayed', count: 1 }],
      ['rejects.counted', { what: 'inquiry', code: 'inquiry.expired', count: 1 }],
    ]);
  });

  test('any, where the admin refuses them', async () => {
    expect((await repliesOf({ accepts: false }).answer(inquiry().inquiry))?.jwe.byteLength).toBe(0);
    expect(entries()).toEqual([['rejects.counted', { what: 'inquiry', code: 'forbidden', count: 1 }]]);
  });

  test('any, while the clock or the network file cannot be trusted', async () => {
    station.store.log.saw(NOW + HOUR_MS);
    expect((await replies.answer(inquiry().inquiry))?.jwe.byteLength).toBe(0);
    rig.clock.ms = NOW + 365 * 24 * HOUR_MS;
    expect((await replies.answer(inquiry().inquiry))?.jwe.byteLength).toBe(0);
    expect(entries().map(([, body]) => (body as { code: string }).code)).toEqual([
      'clock.untrusted',
      'network.expired',
    ]);
  });

  test('one of which any bit was turned on the way', async () => {
    const { inquiry: sound, envelope } = inquiry();
    const payload = Buffer.from(envelope.payload, 'base64');
    await fc.assert(
      fc.asyncProperty(fc.nat(payload.length - 1), fc.integer({ min: 0, max: 7 }), async (at, bit) => {
        const turned = Buffer.from(payload);
        turned[at] = (turned[at] ?? 0) ^ (1 << bit);
        const forged = { ...envelope, payload: turned.toString('base64') };
        expect((await replies.answer(encodeEnvelope(forged)))?.jwe.byteLength ?? 0).toBe(0);
      }),
      { numRuns: 100 },
    );
    expect((await replies.answer(sound))?.jwe.byteLength).toBeGreaterThan(0);
  });

  test('whatever bytes come', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        expect((await replies.answer(bytes))?.jwe.byteLength ?? 0).toBe(0);
      }),
      { numRuns: 50 },
    );
    expect(station.entries().every(({ type }) => type === 'rejects.counted')).toBe(true);
  });
});

test('an inquiry is no manifest and no order', () => {
  const asked = inquiry();
  expect(() => verifyManifest(asked.envelope, fake.network, NOW)).toThrow(
    expect.objectContaining({ code: 'statement.type' }),
  );
  expect(
    station.accept({ order: asked.inquiry, manifest: asked.inquiry, proof: new Uint8Array() }),
  ).toBeNull();
  expect(entries()).toEqual([['rejects.counted', { what: 'order', code: 'statement.type', count: 1 }]]);
});

describe('a policy cannot be probed at leisure', () => {
  test('thirty an hour for each researcher, whatever else fails', async () => {
    for (let at = 0; at < 30; at++) await ask();
    // What does not verify uses up nobody's room, and what is refused neither.
    expect((await replies.answer(inquiry({ issuer: 'rita' }).inquiry))?.jwe.byteLength).toBe(0);
    for (let at = 0; at < 3; at++) expect((await replies.answer(inquiry().inquiry))?.jwe.byteLength).toBe(0);
    const asked = makeInquiry(fake, train(), NOW, {
      signedBy: 'rita',
      train: { recipients: [{ member: 'rosa' }] },
    });
    expect((await replies.answer(asked.inquiry))?.jwe.byteLength).toBeGreaterThan(0);
    const refused = station.entries().filter(({ type }) => type === 'rejects.counted');
    expect(refused.map(({ body }) => body['code'])).toEqual([
      'signature.invalid',
      ...Array<string>(3).fill('quota.exceeded'),
    ]);
    rig.clock.ms += HOUR_MS;
    await ask();
  });

  test('and a restart forgets neither what was asked nor how often', async () => {
    const first = inquiry();
    expect((await replies.answer(first.inquiry))?.jwe.byteLength).toBeGreaterThan(0);
    for (let at = 1; at < 29; at++) await ask();
    station = rig.start();
    replies = repliesOf();
    expect(await replies.answer(first.inquiry)).toBeNull();
    await ask();
    station = rig.start();
    replies = repliesOf();
    expect((await replies.answer(inquiry().inquiry))?.jwe.byteLength).toBe(0);
    const other = inquiry({ signedBy: 'rita', train: { recipients: [{ member: 'rosa' }] } });
    expect((await replies.answer(other.inquiry))?.jwe.byteLength).toBeGreaterThan(0);
    rig.clock.ms += HOUR_MS;
    await ask();
  });

  test('two hundred an hour in all, from however many', async () => {
    rig.policy(null);
    let answered = 0;
    for (const signedBy of CROWD) {
      for (let at = 0; at < 30; at++) {
        const { inquiry: asked } = inquiry({ signedBy, train: { recipients: [{ member: 'rosa' }] } });
        if ((await replies.answer(asked))?.jwe.byteLength) answered++;
      }
    }
    expect(answered).toBe(200);
    const refused = station.entries().filter(({ type }) => type === 'rejects.counted');
    expect(refused.map(({ body }) => body['code'])).toEqual(Array<string>(10).fill('quota.exceeded'));
  });
});

describe('on the track', () => {
  test('answers go one after the other, and one that cannot be given is said', async () => {
    const posted: ReplyRequest[] = [];
    const by = repliesOf({ posted });
    const [first, second] = [inquiry(), inquiry({ expiresMs: NOW + HOUR_MS })];
    by.take([first.inquiry, Buffer.from('junk'), second.inquiry], new AbortController().signal);
    await by.settle();
    expect(posted.map(({ inquiryDigest, jwe }) => [inquiryDigest, jwe.byteLength > 0])).toEqual([
      [first.digest, true],
      [second.digest, false],
    ] satisfies [Digest, boolean][]);
  });

  test('a flood is counted, and a track that broke is not waited for', async () => {
    const posted: ReplyRequest[] = [];
    const by = repliesOf({ posted });
    const over = new AbortController();
    over.abort();
    by.take(Array<Uint8Array>(40).fill(inquiry().inquiry), over.signal);
    await by.settle();
    expect(posted).toEqual([]);
    expect(entries()).toEqual(
      Array(8).fill(['rejects.counted', { what: 'inquiry', code: 'quota.exceeded', count: 1 }]),
    );
  });
});
