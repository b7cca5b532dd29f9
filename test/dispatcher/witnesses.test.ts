import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bind } from '../../src/adapters/wire/bind.ts';
import { WitnessService } from '../../src/gen/pht/v1/witness_pb.ts';
import { witnessService } from '../../src/journey/dispatcher/witness-service.ts';
import {
  BODY_BYTES_MAX,
  createWitnesses,
  type RelayedAnswer,
  type Witnesses,
} from '../../src/journey/dispatcher/witnesses.ts';
import { ledgerOrigin } from '../../src/model/ledger/origin.ts';
import type { SeenQuestion } from '../../src/model/ledger/seen.ts';
import type { Client } from '../../src/ports/wire.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { openScope } from '../wire/harness.ts';

/** Questions to witnesses, over real tracks: gRPC with mutual TLS. */

const { signal } = new AbortController();
const NONCE = Buffer.alloc(32, 5);
let fake: FakeNetwork;
let scope: ReturnType<typeof openScope>;
let witnesses: Witnesses;
let address: string;

beforeAll(async () => {
  fake = await makeNetwork({ stations: ['north', 'south', 'west'], auditors: ['dora'] });
});

beforeEach(async () => {
  scope = openScope();
  await serve();
});

/** @param answerMs longer than any test, but for those of a witness that is silent */
async function serve(answerMs = 60_000): Promise<void> {
  const own = {
    addCheckpoint: (body: Uint8Array) => answerOf(200, `own ${Buffer.from(body)}`),
    seen: ({ origin }: SeenQuestion) =>
      origin === ledgerOrigin(fake.network.id, 'west')
        ? null
        : { note: Buffer.from(`own saw ${origin}`), signature: Buffer.alloc(64, 1) },
  };
  const times = { answerMs, heartbeatMs: 150 };
  witnesses = createWitnesses({ id: 'dispatcher', own, network: () => fake.network, times });
  const bound = bind(WitnessService, witnessService(witnesses), {
    roles: ['station'],
    methods: {
      listen: { roles: ['station', 'auditor'], deadlineMs: 'open' },
      answer: { roles: ['station', 'auditor'] },
    },
  });
  const tls = fake.members['dispatcher']?.tls ?? null;
  const server = await scope.serve({
    listen: '127.0.0.1:0',
    tls,
    network: () => fake.network,
    services: [bound],
  });
  address = server.address;
}
afterEach(() => scope.close());

function answerOf(status: number, text: string, contentType = 'text/plain'): RelayedAnswer {
  return { status, contentType, body: Buffer.from(text), signature: Buffer.alloc(0) };
}

const as = (member: string): Client<typeof WitnessService> =>
  scope.as(fake, member, address).client(WitnessService);

type Heard = {
  questions: string[];
  ids: string[];
  heartbeats: number;
  ended: boolean;
  stop: AbortController;
};

/** Listens as `member`, and answers with what `reply` gives; null leaves a question open. */
async function listens(
  member: string,
  reply: (question: string) => RelayedAnswer | null = (text) => answerOf(200, `${member} ${text}`),
): Promise<Heard> {
  const client = as(member);
  const heard: Heard = { questions: [], ids: [], heartbeats: 0, ended: false, stop: new AbortController() };
  void (async () => {
    for await (const { questionId, question } of client.listen({}, { signal: heard.stop.signal })) {
      if (question.case === undefined) {
        heard.heartbeats += 1;
        continue;
      }
      const text =
        question.case === 'seen'
          ? `${question.value.origin} ${Buffer.from(question.value.nonce).toString('hex')}`
          : Buffer.from(question.value).toString();
      heard.questions.push(text);
      heard.ids.push(questionId);
      const answer = reply(text);
      if (answer !== null) await client.answer({ questionId, ...answer });
    }
  })()
    .catch(() => undefined)
    .finally(() => {
      heard.ended = true;
    });
  await expect.poll(() => heard.heartbeats).toBeGreaterThan(0);
  return heard;
}

describe('a question to a witness', () => {
  it('and its answer pass verbatim', async () => {
    const first = await listens('south', () => answerOf(409, '17\n', 'text/x.tlog.size'));
    const body = Buffer.from([0, 255, 10, 13, 128]);
    const answer = await as('north').addCheckpoint({ witness: 'south', body });
    expect(answer).toMatchObject({ status: 409, contentType: 'text/x.tlog.size' });
    expect(Buffer.from(answer.body).toString()).toBe('17\n');
    expect(first.questions).toEqual([body.toString()]);
  });

  it('of what it has seen is about the own ledger of whoever asks', async () => {
    const signature = Buffer.alloc(64, 9);
    const heard = await listens('south', () => ({ ...answerOf(200, ''), signature }));
    const nothing = await as('north').seen({ witness: 'south', nonce: NONCE });
    expect([...nothing.note]).toEqual([]);
    expect([...nothing.signature]).toEqual([...signature]);
    expect(heard.questions).toEqual([`${ledgerOrigin(fake.network.id, 'north')} ${NONCE.toString('hex')}`]);
    for (const status of [404, 500]) {
      await listens('west', () => answerOf(status, ''));
      await expect(as('north').seen({ witness: 'west', nonce: NONCE })).rejects.toMatchObject({
        code: 'witness.unreachable',
      });
    }
    await listens('dora', () => ({ ...answerOf(200, 'a note'), signature }));
    const seen = await as('north').seen({ witness: 'dora', nonce: NONCE });
    expect(Buffer.from(seen.note).toString()).toBe('a note');
    expect([...seen.signature]).toEqual([...signature]);
  });

  it('of what it has seen takes a nonce of 32 bytes', async () => {
    const heard = await listens('south');
    for (const bytes of [0, 31, 33, 4096])
      await expect(as('north').seen({ witness: 'south', nonce: Buffer.alloc(bytes) })).rejects.toMatchObject({
        code: 'input.malformed',
      });
    expect(heard.questions).toEqual([]);
  });

  it('that is the dispatcher itself is answered here', async () => {
    const { body } = await as('north').addCheckpoint({ witness: 'dispatcher', body: Buffer.from('x') });
    expect(Buffer.from(body).toString()).toBe('own x');
    const asked = { witness: 'dispatcher', nonce: NONCE };
    const { note, signature } = await as('north').seen(asked);
    expect(Buffer.from(note).toString()).toBe(`own saw ${ledgerOrigin(fake.network.id, 'north')}`);
    expect([...signature]).toEqual(Array(64).fill(1));
    await expect(as('west').seen(asked), 'a ledger that it does not know').rejects.toMatchObject({
      code: 'witness.unreachable',
    });
  });

  it('is asked of many at once, and each answer finds its question', async () => {
    await listens('south');
    await listens('west');
    const client = as('north');
    const asked = [0, 1, 2, 3].flatMap((at) =>
      ['south', 'west'].map(async (witness) => {
        const { body } = await client.addCheckpoint({ witness, body: Buffer.from(`q${at}`) });
        expect(Buffer.from(body).toString()).toBe(`${witness} q${at}`);
      }),
    );
    await Promise.all(asked);
  });

  it('is asked for the own ledger of the dispatcher too', async () => {
    const heard = await listens('south');
    const answer = await witnesses.relayFor('dispatcher').addCheckpoint('south', Buffer.from('mine'), signal);
    expect(Buffer.from(answer.body).toString()).toBe('south mine');
    await witnesses.relayFor('dispatcher').seen('south', NONCE, signal);
    const origin = ledgerOrigin(fake.network.id, 'dispatcher');
    expect(heard.questions.at(-1)).toBe(`${origin} ${NONCE.toString('hex')}`);
  });
});

describe('a witness that cannot be reached', () => {
  const asked = (witness: string) => as('north').addCheckpoint({ witness, body: Buffer.from('x') });

  it('is told at once when it is not connected or not known', async () => {
    for (const witness of ['south', 'nobody', 'rosa', '\u001b[31m']) {
      await expect(asked(witness)).rejects.toMatchObject({ code: 'witness.unreachable' });
    }
  });

  it('is told when it is silent, and a late answer finds nobody', async () => {
    await serve(200);
    const heard = await listens('south', () => null);
    await expect(asked('south')).rejects.toMatchObject({ code: 'witness.unreachable' });
    await expect(as('south').answer({ questionId: heard.ids[0] ?? '', status: 200 })).rejects.toMatchObject({
      code: 'not-found',
    });
  });

  it('is told when it leaves', async () => {
    const heard = await listens('south', () => {
      heard.stop.abort();
      return null;
    });
    await expect(asked('south')).rejects.toMatchObject({ code: 'witness.unreachable' });
    await expect(asked('south')).rejects.toMatchObject({ code: 'witness.unreachable' });
  });

  it('is asked again where it has connected anew, and the older stream ends', async () => {
    const older = await listens('south', () => null);
    const answer = asked('south');
    await expect.poll(() => older.questions.length).toBe(1);
    const newer = await listens('south');
    expect(Buffer.from((await answer).body).toString()).toBe('south x');
    await expect.poll(() => older.ended).toBe(true);
    expect(newer.ended).toBe(false);
    expect(newer.ids).toEqual(older.ids);
  });
});

describe('the relay', () => {
  it('takes an answer once, and from nobody else', async () => {
    const heard = await listens('south', () => null);
    const answer = as('north').addCheckpoint({ witness: 'south', body: Buffer.from('x') });
    answer.catch(() => undefined);
    await expect.poll(() => heard.ids.length).toBe(1);
    const questionId = heard.ids[0] ?? '';
    expect(questionId).toMatch(/^[0-9a-f]{32}$/);
    await listens('west', () => null);
    const forged = { questionId, ...answerOf(200, 'forged') };
    await expect(as('west').answer(forged)).rejects.toMatchObject({ code: 'not-found' });
    await as('south').answer({ questionId, ...answerOf(200, 'true') });
    await expect(as('south').answer(forged)).rejects.toMatchObject({ code: 'not-found' });
    expect(Buffer.from((await answer).body).toString()).toBe('true');
  });

  it('bounds what is asked and answered', async () => {
    const heard = await listens('south', () => null);
    const client = as('north');
    const body = Buffer.alloc(BODY_BYTES_MAX + 1);
    await expect(client.addCheckpoint({ witness: 'south', body })).rejects.toMatchObject({
      code: 'input.too-large',
    });
    const open = [0, 1, 2, 3].map(() => client.addCheckpoint({ witness: 'south', body: body.subarray(1) }));
    for (const each of open) each.catch(() => undefined);
    await expect.poll(() => heard.ids.length).toBe(4);
    await expect(client.addCheckpoint({ witness: 'south', body: Buffer.from('x') })).rejects.toMatchObject({
      code: 'quota.exceeded',
    });
    const south = as('south');
    const [questionId = ''] = heard.ids;
    await expect(
      south.answer({ questionId, status: 200, signature: Buffer.alloc(65) }),
    ).rejects.toMatchObject({ code: 'input.too-large' });
    await expect(south.answer({ questionId, status: 200, body })).rejects.toMatchObject({
      code: 'input.too-large',
    });
    for (const wrong of [{ status: 99 }, { status: 700 }, { status: 200, contentType: 'a\nb' }])
      await expect(south.answer({ questionId, ...wrong })).rejects.toMatchObject({ code: 'input.malformed' });
    await south.answer({ questionId, ...answerOf(200, 'after all') });
    expect(Buffer.from((await open[0])?.body ?? '').toString()).toBe('after all');
    // There is room again.
    const fifth = client.addCheckpoint({ witness: 'south', body: Buffer.from('x') });
    await expect.poll(() => heard.ids.length).toBe(5);
    await south.answer({ questionId: heard.ids[4] ?? '', ...answerOf(200, 'as well') });
    expect(Buffer.from((await fifth).body).toString()).toBe('as well');
  });

  it('serves stations, and listens to auditors as well', async () => {
    const asked = { witness: 'dispatcher', body: Buffer.from('x') };
    await expect(as('dora').addCheckpoint(asked)).rejects.toMatchObject({ code: 'forbidden' });
    await expect(as('rosa').seen({ witness: 'dispatcher', nonce: NONCE })).rejects.toMatchObject({
      code: 'forbidden',
    });
    const stream = as('rosa').listen({})[Symbol.asyncIterator]();
    await expect(stream.next()).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('shows a heartbeat to whoever is asked nothing', async () => {
    const heard = await listens('dora');
    await expect.poll(() => heard.heartbeats).toBeGreaterThan(2);
    expect(heard.questions).toEqual([]);
  });
});
