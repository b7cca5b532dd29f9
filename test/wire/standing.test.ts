import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bind } from '../../src/adapters/wire/bind.ts';
import { createAuthority, issueCertificate, pemOf } from '../../src/adapters/wire/certificates.ts';
import { type TlsFiles, type TlsSource, tlsKeysOf } from '../../src/adapters/wire/identity.ts';
import { createTlsRenewal } from '../../src/adapters/wire/tls-renewal.ts';
import { NetworkService } from '../../src/gen/pht/v1/network_pb.ts';
import { TrackService } from '../../src/gen/pht/v1/tracks_pb.ts';
import type { Network, Span } from '../../src/model/network.ts';
import { ed25519, type FakeNetwork, makeNetwork, memberIn, publicOf, tlsOf } from '../fakes/network.ts';
import { clientOptions, collectingLog, openScope } from './harness.ts';
import { trackOf } from './services.ts';

/** What is open ends with the membership behind it, and lives on when only certificates and keys change. */

const DAY_MS = 86_400_000;
const scope = openScope();
let fake: FakeNetwork;
let current: Network;

beforeEach(async () => {
  fake = await makeNetwork({ stations: ['north', 'south'] });
  current = fake.network;
});
afterEach(() => scope.close());

async function serveTrack(tls: TlsSource = memberIn(fake, 'dispatcher').tls) {
  const log = collectingLog();
  const { address } = await scope.serve({
    listen: '127.0.0.1:0',
    tls,
    network: () => current,
    // A stream that would be silent for a minute: only its connection can tell that it is over.
    services: [
      bind(TrackService, trackOf({ tickMs: 60_000 }), {
        roles: ['station'],
        methods: { wake: { deadlineMs: 'open' } },
      }),
    ],
    log,
  });
  return { address, log };
}

async function idle(address: string, tls: TlsFiles): Promise<TLSSocket> {
  const socket = connectTls({
    host: '127.0.0.1',
    port: Number(address.split(':')[1]),
    ca: tls.authorityPem,
    cert: tls.certificatePem,
    key: tls.privateKeyPem,
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
  });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  return socket;
}

async function endsWithin(ms: number, socket: TLSSocket): Promise<'closed' | 'open'> {
  if (socket.closed) return 'closed';
  // Whoever does not read does not see the end.
  socket.resume();
  return Promise.race([
    once(socket, 'close').then(() => 'closed' as const),
    sleep(ms, 'open' as const, { ref: false }),
  ]);
}

async function certificateOf(
  id: string,
  change: { notAfterMs?: number; authority?: FakeNetwork['authority'] } = {},
): Promise<string> {
  return issueCertificate({
    authority: fake.authority,
    networkId: fake.network.id,
    memberId: id,
    publicJwk: publicOf(memberIn(fake, id).keys.tls),
    notBeforeMs: Date.now() - DAY_MS,
    notAfterMs: Date.now() + DAY_MS,
    ...change,
  });
}

test('a silent stream, an idle session and a bare connection of a revoked member end', async () => {
  const { address, log } = await serveTrack();
  const wake = scope.as(fake, 'north', address).client(TrackService).wake({})[Symbol.asyncIterator]();
  await wake.next();
  const north = memberIn(fake, 'north').tls;
  const bare = await idle(address, north);
  const session = connectHttp2(`https://${address}`, {
    ca: north.authorityPem,
    cert: north.certificatePem,
    key: north.privateKeyPem,
    checkServerIdentity: () => undefined,
  });
  session.on('error', () => undefined);
  await once(session, 'connect');
  const stranger = await idle(address, memberIn(fake, 'south').tls);

  const ended = once(session, 'close');
  current = fake.without('north').network;
  await expect(wake.next()).rejects.toMatchObject({ code: 'forbidden' });
  await ended;
  expect(await endsWithin(15_000, bare)).toBe('closed');
  expect(await endsWithin(600, stranger)).toBe('open');
  stranger.destroy();
  expect(log.lines.filter(({ message }) => message === 'closed a connection')).toHaveLength(3);
});

test('so does everything under a TLS key that the list names no more', async () => {
  const { address } = await serveTrack();
  const wake = scope.as(fake, 'north', address).client(TrackService).wake({})[Symbol.asyncIterator]();
  await wake.next();
  const bare = await idle(address, memberIn(fake, 'north').tls);
  const member = fake.network.members.get('north');
  if (member === undefined) throw new Error('no north');
  const renewed = { ...member, keys: { ...member.keys, tls: publicOf(ed25519()) } };
  current = { ...fake.network, members: new Map([...fake.network.members, ['north', renewed]]) };
  await expect(wake.next()).rejects.toMatchObject({ code: 'forbidden' });
  expect(await endsWithin(15_000, bare)).toBe('closed');
});

test('so does a connection whose certificate expires, or whose authority is named no more', async () => {
  const { address } = await serveTrack();
  const { tls: keys } = memberIn(fake, 'north').keys;
  // Dates in certificates have no milliseconds.
  const short = await certificateOf('north', { notAfterMs: Date.now() + 2000 });
  const expiring = await idle(address, tlsOf(fake.authority.certificate, short, keys));
  const other = await idle(address, memberIn(fake, 'south').tls);
  expect(await endsWithin(15_000, expiring)).toBe('closed');
  expect(await endsWithin(10, other)).toBe('open');

  const next = await createAuthority({
    title: 'The next one',
    keys: ed25519(),
    notBeforeMs: Date.now() - DAY_MS,
    notAfterMs: Date.now() + DAY_MS,
  });
  current = { ...fake.network, tlsAuthorities: [next] };
  expect(await endsWithin(15_000, other)).toBe('closed');
});

test('both authorities are believed while both are named, by servers and clients that are running', async () => {
  const keys = ed25519();
  const certificate = await createAuthority({
    title: 'The next one',
    keys,
    notBeforeMs: Date.now() - DAY_MS,
    notAfterMs: Date.now() + DAY_MS,
  });
  const next = { certificate, keys };
  let dispatcherTls = memberIn(fake, 'dispatcher').tls;
  const { address } = await serveTrack(async () => dispatcherTls);
  const north = memberIn(fake, 'north');
  let northTls = north.tls;
  const options = clientOptions(fake, address, north.tls);
  const channel = scope.connect({ ...options, tls: async () => northTls });
  const track = channel.client(TrackService);
  await track.pull({});

  const authorityPem = [fake.authority.certificate, certificate].map(pemOf).join('');
  dispatcherTls = { ...dispatcherTls, authorityPem };
  current = { ...fake.network, tlsAuthorities: [fake.authority.certificate, certificate] };
  const under = async (authority: FakeNetwork['authority']): Promise<void> => {
    const issued = await certificateOf('north', { authority });
    northTls = { ...tlsOf(certificate, issued, north.keys.tls), authorityPem };
    channel.renew();
    await track.pull({});
  };
  // The server takes it up within its next look.
  await sleep(600);
  await under(fake.authority);
  await under(next);
  const issued = await certificateOf('dispatcher', { authority: next });
  dispatcherTls = { ...dispatcherTls, certificatePem: pemOf(issued) };
  current = { ...current };
  await sleep(600);
  const seen = await idle(address, northTls);
  expect(seen.getPeerCertificate().raw.toString('base64')).toBe(issued);
  seen.destroy();
  await under(next);
});

test('a track with certificates of seconds lives on across their renewals, and no call fails', async () => {
  const lifeMs = 6000;
  const tlsFor = async (id: string): Promise<TlsFiles> => {
    const issued = await certificateOf(id, { notAfterMs: Date.now() + lifeMs });
    return tlsOf(fake.authority.certificate, issued, memberIn(fake, id).keys.tls);
  };
  const tls = { dispatcher: await tlsFor('dispatcher'), north: await tlsFor('north') };
  const { address, log } = await serveTrack(async () => tls.dispatcher);
  const channel = scope.connect({ ...clientOptions(fake, address, tls.north), tls: async () => tls.north });
  const track = channel.client(TrackService);
  const endMs = Date.now() + 3 * lifeMs;
  let calls = 0;
  let renewMs = Date.now() + lifeMs / 2;
  let working: Promise<unknown> = Promise.resolve();
  while (Date.now() < endMs) {
    await track.pull({});
    calls++;
    if (Date.now() >= renewMs) {
      await working;
      tls.dispatcher = await tlsFor('dispatcher');
      tls.north = await tlsFor('north');
      current = { ...fake.network };
      // Under way on the old connection while the new one takes over.
      working = track.report({ idempotencyKey: '500', hopId: 'h', epoch: 1n });
      await sleep(300);
      channel.renew();
      renewMs = Date.now() + lifeMs / 2;
    }
    await sleep(20);
  }
  await working;
  expect(calls).toBeGreaterThan(50);
  expect(log.lines.filter(({ message }) => message.startsWith('a call'))).toEqual([]);
}, 60_000);

test('a new key of the server is held back for those who have not heard of it, and not once it is in other hands', async () => {
  const keys = ed25519();
  const former = memberIn(fake, 'dispatcher').tls;
  const issued = await certificateOf('dispatcher');
  const next = tlsOf(fake.authority.certificate, issued, keys);
  const member = fake.network.members.get('dispatcher');
  if (member === undefined) throw new Error('no dispatcher');
  const renewed = { ...member, keys: { ...member.keys, tls: publicOf(keys) } };
  const ended = { version: 2, atMs: Date.now(), why: 'renewed' as const };
  const later = (end: object): Network => ({
    ...fake.network,
    version: 2,
    members: new Map([...fake.network.members, ['dispatcher', renewed]]),
    spans: [
      { ...member, since: 1, ended: { ...ended, ...end } },
      { ...renewed, since: 2 },
    ],
  });
  const showing = (network: Network) => {
    const shown: string[] = [];
    const renewal = createTlsRenewal({
      source: async () => next,
      first: former,
      show: (files) => shown.push(files.privateKeyPem),
      failed: (error) => {
        throw error;
      },
      nowMs: Date.now,
      keyGraceMs: 400,
    });
    scope.defer(() => renewal.close());
    return renewal.look(network).then(() => shown);
  };
  // The entry before may have ended long ago, and for another reason.
  const [entry, ...rest] = later({}).spans;
  if (entry === undefined) throw new Error('no entry');
  const longAgo = { ...member, since: 1, ended: { ...ended, atMs: 0 } };
  const twice = [longAgo, { ...entry, since: 2, ended: { ...ended, version: 3 } }, ...rest];
  expect(await showing({ ...later({}), spans: twice })).toEqual([]);
  const held = await showing(later({}));
  expect(held).toEqual([]);
  await sleep(600);
  expect(held).toEqual([next.privateKeyPem]);
  expect(await showing(later({ invalidAfterMs: Date.now() }))).toEqual([next.privateKeyPem]);
});

test('a former key in other hands opens nothing, in whichever entries it stands', () => {
  const member = fake.network.members.get('north');
  if (member === undefined) throw new Error('no north');
  const [second, third] = [publicOf(ed25519()), publicOf(ed25519())];
  const entry = (tls: typeof second, since: number, ended?: Span['ended']): Span => ({
    ...{ ...member, keys: { ...member.keys, tls }, since },
    ...(ended === undefined ? {} : { ended }),
  });
  const renewed = { atMs: Date.now(), why: 'renewed' } as const;
  const spans = (invalidAfterMs?: number): Span[] => [
    entry(second, 1, { ...renewed, version: 2 }),
    entry(second, 2, { ...renewed, version: 3, ...(invalidAfterMs === undefined ? {} : { invalidAfterMs }) }),
    entry(third, 3),
  ];
  const former = (of: Span[]): Set<string> =>
    new Set(
      tlsKeysOf(
        { ...member, keys: { ...member.keys, tls: third } },
        { ...fake.network, spans: of },
        true,
      ).map(({ x }) => x),
    );
  expect(former(spans())).toEqual(new Set([third.x, second.x]));
  expect(former(spans(1))).toEqual(new Set([third.x]));
});

test('a damaged network file ends nothing that is open, and says so once', async () => {
  const log = collectingLog();
  let broken = false;
  const { address } = await scope.serve({
    listen: '127.0.0.1:0',
    tls: memberIn(fake, 'dispatcher').tls,
    network: () => {
      if (broken) throw new Error('unreadable');
      return current;
    },
    services: [bind(TrackService, trackOf({}), { roles: ['station'] })],
    log,
  });
  const socket = await idle(address, memberIn(fake, 'north').tls);
  broken = true;
  expect(await endsWithin(900, socket)).toBe('open');
  expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  broken = false;
  current = fake.without('north').network;
  expect(await endsWithin(15_000, socket)).toBe('closed');
});

test('whoever is known by a former key may fetch, and is put out before long', async () => {
  const member = fake.network.members.get('north');
  if (member === undefined) throw new Error('no north');
  const renewed = { ...member, keys: { ...member.keys, tls: publicOf(ed25519()) } };
  current = {
    ...fake.network,
    members: new Map([...fake.network.members, ['north', renewed]]),
    spans: [
      { ...member, since: 1, ended: { version: 2, atMs: Date.now(), why: 'renewed' } },
      { ...renewed, since: 2 },
    ],
  };
  const fetch = async function* () {
    yield { piece: Buffer.from('the file') };
  };
  const giveOut = async () => ({});
  const { address } = await scope.serve({
    listen: '127.0.0.1:0',
    tls: memberIn(fake, 'dispatcher').tls,
    network: () => current,
    services: [
      bind(
        NetworkService,
        { fetch, giveOut },
        { roles: ['station'], methods: { fetch: { formerKeys: true } } },
      ),
    ],
  });
  const client = scope.as(fake, 'north', address).client(NetworkService);
  const pieces: string[] = [];
  for await (const { piece } of client.fetch({})) pieces.push(Buffer.from(piece).toString());
  expect(pieces).toEqual(['the file']);
  await expect(client.giveOut((async function* () {})())).rejects.toMatchObject({ code: 'forbidden' });
});
