import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PlanRequestSchema } from '../../src/gen/pht/v1/journeys_pb.ts';
import { PullRequestSchema, ReplyRequestSchema, WakeRequestSchema } from '../../src/gen/pht/v1/tracks_pb.ts';
import { createInquiries, type Inquiries } from '../../src/journey/dispatcher/inquiries.ts';
import { createPresence, type Presence } from '../../src/journey/dispatcher/presence.ts';
import { createRejects } from '../../src/journey/dispatcher/rejects.ts';
import { createWake } from '../../src/journey/dispatcher/wake.ts';
import { parseEnvelope, payloadOf } from '../../src/model/dsse.ts';
import { digestOf } from '../../src/model/id.ts';
import { type FakeInquiry, type InquiryLies, makeInquiry } from '../fakes/inquiries.ts';
import { forge } from '../fakes/trains.ts';
import { makeWorld, manifestFor, NOW_MS, request, signManifest, type World } from './desk.ts';

/** Inquiries on their way through a dispatcher. */

const HOUR_MS = 3_600_000;
let world: World;
beforeEach(async () => {
  world = await makeWorld();
});
afterEach(() => world.close());

const STOPS = ['north', 'south', 'west'];
const routeOf = (stops: string[]) => ({
  ...{ pattern: 'parallel' as const, stops, minStations: 1, deadlineMs: 60_000 },
});

function inquiry(lies: InquiryLies = {}, stops = STOPS): FakeInquiry {
  const { signedBy = 'rosa' } = lies;
  const recipients = [{ member: signedBy === 'rosa' || signedBy === 'otto' ? signedBy : 'rosa' }];
  const manifest = manifestFor(world, { route: routeOf(stops), issuer: signedBy, recipients });
  const envelope = parseEnvelope(signManifest(world, manifest, signedBy), 'manifest');
  return makeInquiry(world.fake, { envelope, digest: digestOf(payloadOf(envelope)) }, world.clock.ms, lies);
}

type Heard = { station: string; online: boolean; jwe: string };
const heard = ({ station = '', online = false, jwe = new Uint8Array() }): Heard => {
  return { station, online, jwe: Buffer.from(jwe).toString() };
};

describe('over the services', () => {
  /** Keeps a station online until the test is over. */
  async function connect(station: string, signal: AbortSignal): Promise<AsyncIterator<unknown>> {
    const wakes = world.dispatcher.tracks
      .wake(request(WakeRequestSchema, {}), world.as(station, signal))
      [Symbol.asyncIterator]();
    await wakes.next();
    return wakes;
  }

  test('a question reaches those who are online at once, and answers come back as they are', async () => {
    const over = new AbortController();
    const wakes = await connect('north', over.signal);
    const asked = inquiry();
    const answers: Heard[] = [];
    const planned = (async () => {
      const stream = world.dispatcher.journeys.plan(
        request(PlanRequestSchema, { inquiry: asked.inquiry }),
        world.as('rosa'),
      );
      for await (const answer of stream)
        answers.push(heard(answer as Partial<Heard & { jwe: Uint8Array }> as never));
    })();
    await wakes.next();
    const pulled = await world.dispatcher.tracks.pull(
      request(PullRequestSchema, { ordersMax: 1 }),
      world.as('north'),
    );
    expect(pulled.inquiries).toEqual([asked.inquiry]);
    const again = await world.dispatcher.tracks.pull(
      request(PullRequestSchema, { ordersMax: 1 }),
      world.as('north'),
    );
    expect(again.inquiries).toEqual([]);
    expect(answers).toEqual([
      { station: 'south', online: false, jwe: '' },
      { station: 'west', online: false, jwe: '' },
    ]);
    const reply = { inquiryDigest: asked.digest, jwe: Buffer.from('sealed') };
    await world.dispatcher.tracks.reply(request(ReplyRequestSchema, reply), world.as('north'));
    await planned;
    expect(answers.at(-1)).toEqual({ station: 'north', online: true, jwe: 'sealed' });
    over.abort();
    await wakes.next();
    // It is a matter between researcher and stations: nothing of it stands in this ledger.
    expect(world.entries().map(({ type }) => type)).toEqual(['log.started']);
  });

  test('only a researcher asks, only a station answers', async () => {
    const stream = world.dispatcher.journeys.plan(
      request(PlanRequestSchema, { inquiry: inquiry().inquiry }),
      world.as('north'),
    );
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'forbidden' });
    await expect(
      world.dispatcher.tracks.reply(request(ReplyRequestSchema, {}), world.as('rosa')),
    ).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe('at the desk', () => {
  let presence: Presence;
  let inquiries: Inquiries;
  let atDesk: (answerMsMax: number) => Inquiries;
  let rejects: ReturnType<typeof createRejects>;
  beforeEach(() => {
    const { store, clock: time, fake } = world;
    const clock = { nowMs: () => time.ms };
    const network = () => fake.network;
    presence = createPresence(store.stations, clock, network);
    rejects = createRejects(store, clock);
    const desk = { store, clock, network, presence, rejects, wake: createWake() } as never as Parameters<
      typeof createInquiries
    >[0];
    atDesk = (answerMsMax) => createInquiries(desk, { answerMsMax });
    inquiries = atDesk(200);
  });

  async function plan(
    asked: { inquiry: Uint8Array },
    caller = 'rosa',
    signal = new AbortController().signal,
  ): Promise<Heard[]> {
    const answers: Heard[] = [];
    for await (const answer of inquiries.plan(asked.inquiry, caller, signal))
      answers.push(heard(answer as never));
    return answers;
  }

  const countedAs = (): unknown => {
    rejects.flush(true);
    return world.entries().at(-1)?.body['codes'];
  };

  test('who does not answer in time is passed over, and is too late then', async () => {
    for (const station of STOPS) presence.connected(station);
    const asked = inquiry();
    const answers = plan(asked);
    await new Promise((resolve) => setImmediate(resolve));
    expect(STOPS.map((station) => inquiries.waitingFor(station).length)).toEqual([1, 1, 1]);
    inquiries.reply('south', { inquiryDigest: asked.digest, jwe: Buffer.from('sealed') });
    // It will not answer, so nobody waits for it.
    inquiries.reply('west', { inquiryDigest: asked.digest, jwe: new Uint8Array() });
    expect(await answers).toEqual([
      { station: 'south', online: true, jwe: 'sealed' },
      { station: 'west', online: true, jwe: '' },
      { station: 'north', online: true, jwe: '' },
    ]);
    const late = { inquiryDigest: asked.digest, jwe: Buffer.from('late') };
    expect(() => inquiries.reply('north', late)).toThrow(expect.objectContaining({ code: 'not-found' }));
  });

  test('with nobody there it is over at once', async () => {
    inquiries = atDesk(60_000);
    expect(await plan(inquiry())).toHaveLength(3);
  });

  test('a station answers once, for itself, to what it was handed', async () => {
    presence.connected('north');
    presence.connected('south');
    const asked = inquiry({}, ['north', 'south']);
    const answers = plan(asked);
    await new Promise((resolve) => setImmediate(resolve));
    const reply = (jwe: string, inquiryDigest: string = asked.digest) => ({
      inquiryDigest,
      jwe: Buffer.from(jwe),
    });
    const missing = expect.objectContaining({ code: 'not-found' });
    expect(() => inquiries.reply('north', reply('unasked'))).toThrow(missing);
    inquiries.waitingFor('north');
    expect(() => inquiries.reply('west', reply('no stop'))).toThrow(missing);
    expect(() => inquiries.reply('north', reply('x', digestOf('another')))).toThrow(missing);
    expect(() => inquiries.reply('north', reply('x'.repeat(600_000)))).toThrow(
      expect.objectContaining({ code: 'input.too-large' }),
    );
    inquiries.reply('north', reply('first'));
    expect(() => inquiries.reply('north', reply('second'))).toThrow(missing);
    expect(await answers).toEqual([
      { station: 'north', online: true, jwe: 'first' },
      { station: 'south', online: true, jwe: '' },
    ]);
  });

  test('who hangs up leaves nothing behind and may ask again', async () => {
    presence.connected('north');
    const over = new AbortController();
    const answers = plan(inquiry(), 'rosa', over.signal);
    await new Promise((resolve) => setImmediate(resolve));
    await expect(plan(inquiry())).rejects.toMatchObject({ code: 'quota.exceeded' });
    over.abort();
    await answers;
    expect(inquiries.waitingFor('north')).toEqual([]);
    expect(await plan(inquiry({}, ['south']))).toHaveLength(1);
  });

  test('another researcher is not kept waiting, and a station is handed several', async () => {
    presence.connected('north');
    const [one, two] = [inquiry(), inquiry({ signedBy: 'otto' })];
    const answers = [plan(one), plan(two, 'otto')];
    await new Promise((resolve) => setImmediate(resolve));
    expect(inquiries.waitingFor('north')).toEqual([one.inquiry, two.inquiry]);
    await Promise.all(answers);
  });

  test('thirty an hour, and what is refused does not count', async () => {
    for (let at = 0; at < 29; at++) await plan(inquiry());
    await expect(plan(inquiry({ issuer: 'otto' }))).rejects.toMatchObject({ code: 'signature.invalid' });
    await plan(inquiry());
    await expect(plan(inquiry())).rejects.toMatchObject({ code: 'quota.exceeded' });
    expect(await plan(inquiry({ signedBy: 'otto' }), 'otto')).toHaveLength(3);
    world.clock.ms += HOUR_MS;
    expect(await plan(inquiry())).toHaveLength(3);
  });

  const refusals: [string, string, () => Uint8Array][] = [
    ['a manifest', 'statement.type', () => signManifest(world, manifestFor(world))],
    ["another researcher's", 'forbidden', () => inquiry({ signedBy: 'otto' }).inquiry],
    ["another's name", 'signature.invalid', () => inquiry({ issuer: 'otto' }).inquiry],
    ['a station', 'signer.unknown', () => inquiry({ signedBy: 'north' }).inquiry],
    ['another network', 'network.mismatch', () => inquiry({ networkId: digestOf('another') }).inquiry],
    [
      'one that expired',
      'inquiry.expired',
      () => inquiry({ issuedAtMs: NOW_MS - 5, expiresMs: NOW_MS }).inquiry,
    ],
    ['one that never dies', 'inquiry.invalid', () => inquiry({ expiresMs: NOW_MS + HOUR_MS }).inquiry],
    ['a stop that is no station', 'inquiry.invalid', () => inquiry({}, ['north', 'rosa']).inquiry],
    ['too much', 'input.too-large', () => Buffer.alloc(200_000, ' ')],
    ['nothing', 'input.malformed', () => new Uint8Array()],
    [
      'another reply key',
      'signature.invalid',
      () => {
        const { envelope, key } = inquiry();
        return forge(envelope, key.x, inquiry().key.x);
      },
    ],
  ];
  test.each(refusals)('%s is refused with %s, counted, and handed to nobody', async (_name, code, made) => {
    presence.connected('north');
    await expect(plan({ inquiry: made() })).rejects.toMatchObject({ code });
    expect(inquiries.waitingFor('north')).toEqual([]);
    expect(countedAs()).toEqual([`${code} 1`]);
  });
});
