import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { connect as connectHttp2, constants } from 'node:http2';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { bind } from '../../src/adapters/wire/bind.ts';
import { issueCertificate } from '../../src/adapters/wire/certificates.ts';
import { AdminService } from '../../src/gen/pht/v1/admin_pb.ts';
import { TrackService } from '../../src/gen/pht/v1/tracks_pb.ts';
import type { Network } from '../../src/model/network.ts';
import { ed25519, type FakeNetwork, makeNetwork, memberIn, publicOf, tlsOf } from '../fakes/network.ts';
import { clientOptions, collectingLog, openScope } from './harness.ts';
import { trackOf } from './services.ts';

const DAY_MS = 86_400_000;
const scope = openScope();
let fake: FakeNetwork;
let current: Network;
let calls: string[] = [];

beforeAll(async () => {
  fake = await makeNetwork({ stations: ['north', 'south'], researchers: ['rosa'] });
});
afterEach(() => scope.close());

async function serveTrack(limits = {}): Promise<{ address: string; log: ReturnType<typeof collectingLog> }> {
  current = fake.network;
  calls = [];
  const log = collectingLog();
  const { address } = await scope.serve({
    listen: '127.0.0.1:0',
    tls: memberIn(fake, 'dispatcher').tls,
    network: () => current,
    services: [
      bind(TrackService, trackOf({ onCall: (name, caller) => calls.push(`${name} ${caller}`) }), {
        roles: ['station'],
        methods: { wake: { deadlineMs: 'open' }, pull: { roles: ['station', 'researcher'] } },
      }),
    ],
    log,
    limits,
  });
  return { address, log };
}

const forbidden = expect.objectContaining({ code: 'forbidden' });
const unreachable = expect.objectContaining({ code: 'unreachable' });

test('a member of the right role is known by name; another role is forbidden, method by method', async () => {
  const { address } = await serveTrack();
  const north = scope.as(fake, 'north', address).client(TrackService);
  const rosa = scope.as(fake, 'rosa', address).client(TrackService);
  await north.lease({ hopId: 'h', epoch: 1n, ttlMs: 5 });
  await rosa.pull({});
  expect(calls).toEqual(['lease north', 'pull rosa']);
  await expect(rosa.lease({})).rejects.toThrow(forbidden);
  await expect(rosa.wake({})[Symbol.asyncIterator]().next()).rejects.toThrow(forbidden);
  expect(calls).toHaveLength(2);
});

test('a certificate of another authority does not get past TLS', async () => {
  const { address, log } = await serveTrack();
  const other = await makeNetwork({ stations: ['north'] });
  const stranger = {
    ...memberIn(other, 'north').tls,
    authorityPem: memberIn(fake, 'north').tls.authorityPem,
  };
  const channel = scope.connect({ ...clientOptions(fake, address, stranger) });
  await expect(channel.client(TrackService).pull({})).rejects.toThrow(unreachable);
  expect(calls).toEqual([]);
  expect(log.lines.some(({ message }) => message === 'refused a connection')).toBe(true);
});

test("an authority's certificate with a key that the network file does not name is forbidden", async () => {
  const { address } = await serveTrack();
  const keys = ed25519();
  const certificate = await issueCertificate({
    authority: fake.authority,
    networkId: fake.network.id,
    memberId: 'north',
    publicJwk: publicOf(keys),
    notBeforeMs: Date.now() - DAY_MS,
    notAfterMs: Date.now() + DAY_MS,
  });
  const tls = tlsOf(fake.authority.certificate, certificate, keys);
  await expect(
    scope
      .connect(clientOptions(fake, address, tls))
      .client(TrackService)
      .pull({}),
  ).rejects.toThrow(forbidden);
  expect(calls).toEqual([]);
});

test.each([
  ['expired', -2 * DAY_MS, -DAY_MS],
  ['not yet valid', DAY_MS, 2 * DAY_MS],
])('a certificate that is %s does not get past TLS', async (_name, fromMs, untilMs) => {
  const { address } = await serveTrack();
  const north = memberIn(fake, 'north');
  const certificate = await issueCertificate({
    authority: fake.authority,
    networkId: fake.network.id,
    memberId: 'north',
    publicJwk: publicOf(north.keys.tls),
    notBeforeMs: Date.now() + fromMs,
    notAfterMs: Date.now() + untilMs,
  });
  const tls = tlsOf(fake.authority.certificate, certificate, north.keys.tls);
  await expect(
    scope
      .connect(clientOptions(fake, address, tls))
      .client(TrackService)
      .pull({}),
  ).rejects.toThrow(unreachable);
  expect(calls).toEqual([]);
});

test('a revoked member is forbidden on the connection it already has, and its open stream ends', async () => {
  const { address } = await serveTrack();
  const north = scope.as(fake, 'north', address).client(TrackService);
  const south = scope.as(fake, 'south', address).client(TrackService);
  await north.pull({});
  const wakes = north.wake({})[Symbol.asyncIterator]();
  expect((await wakes.next()).value?.sequence).toBe(0n);
  current = fake.without('north').network;
  await expect(north.pull({})).rejects.toThrow(forbidden);
  await expect(
    (async () => {
      for (;;) if ((await wakes.next()).done === true) return;
    })(),
  ).rejects.toThrow(forbidden);
  await south.pull({});
});

test('a client refuses a server that is another member, or has another key', async () => {
  current = fake.network;
  const { address } = await scope.serve({
    listen: '127.0.0.1:0',
    tls: memberIn(fake, 'south').tls,
    network: () => current,
    services: [bind(TrackService, trackOf({}), { roles: ['station'] })],
  });
  const north = memberIn(fake, 'north').tls;
  await expect(
    scope
      .connect(clientOptions(fake, address, north))
      .client(TrackService)
      .pull({}),
  ).rejects.toThrow(
    expect.objectContaining({ code: 'unreachable', message: expect.stringMatching(/not dispatcher/) }),
  );
  const serverMember = { networkId: fake.network.id, memberId: 'south', publicJwk: publicOf(ed25519()) };
  const pinned = scope.connect({ address, tls: north, serverMember });
  await expect(pinned.client(TrackService).pull({})).rejects.toThrow(
    expect.objectContaining({ code: 'unreachable', message: expect.stringMatching(/another key/) }),
  );
  const right = { ...serverMember, publicJwk: publicOf(memberIn(fake, 'south').keys.tls) };
  await scope.connect({ address, tls: north, serverMember: right }).client(TrackService).pull({});
});

test('TLS 1.2, no certificate and no TLS at all get nowhere', async () => {
  const { address } = await serveTrack();
  const port = Number(address.split(':')[1]);
  const north = memberIn(fake, 'north').tls;
  const base = {
    host: '127.0.0.1',
    port,
    ca: north.authorityPem,
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
  };
  const old = connectTls({
    ...base,
    cert: north.certificatePem,
    key: north.privateKeyPem,
    maxVersion: 'TLSv1.2',
  });
  expect((await once(old, 'error'))[0]).toMatchObject({ code: expect.stringMatching(/PROTOCOL_VERSION/) });
  const bare = connectTls(base);
  expect((await once(bare, 'error'))[0]).toMatchObject({
    code: expect.stringMatching(/CERTIFICATE_REQUIRED/),
  });
  const clear = connectHttp2(`http://127.0.0.1:${port}`);
  clear.on('error', () => undefined);
  await once(clear, 'close');
  expect(calls).toEqual([]);
});

test('a member that floods the server with pings is cut off', async () => {
  const { address, log } = await serveTrack({ pingsPerWindowMax: 20 });
  const north = memberIn(fake, 'north').tls;
  const session = connectHttp2(`https://${address}`, {
    ca: north.authorityPem,
    cert: north.certificatePem,
    key: north.privateKeyPem,
    checkServerIdentity: () => undefined,
    maxOutstandingPings: 1000,
  });
  session.on('error', () => undefined);
  await once(session, 'connect');
  const closed = once(session, 'close');
  for (let ping = 0; ping < 100; ping++) session.ping(() => undefined);
  await closed;
  expect(log.lines).toContainEqual(
    expect.objectContaining({ message: 'closed a connection that pinged too often' }),
  );
  expect(session.destroyed).toBe(true);
  expect(constants.NGHTTP2_NO_ERROR).toBe(0);
});

test('local services are served on a private Unix socket and nowhere else', async () => {
  const path = join(await scope.directory(), 'admin.sock');
  const status = async () => ({ station: 'north', connected: true });
  const unserved = async (): Promise<never> => {
    throw new Error('not in this test');
  };
  const unstreamed = (): AsyncIterable<never> => ({ [Symbol.asyncIterator]: () => ({ next: unserved }) });
  const admin = bind(
    AdminService,
    {
      ...{ status, inbox: unserved, show: unserved, decide: unserved, disclose: unserved, forget: unserved },
      ...{ proof: unserved, conflicts: unserved, trust: unserved, dryRun: unserved },
      ...{ standing: unserved, withdraw: unserved, difference: unstreamed, decisions: unstreamed },
    },
    { roles: 'local' },
  );
  const server = await scope.serve({
    listen: `unix:${path}`,
    tls: null,
    network: () => fake.network,
    services: [admin],
  });
  expect(server.address).toBe(`unix:${path}`);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const client = scope.connect({ address: `unix:${path}`, tls: null }).client(AdminService);
  expect(await client.status({})).toMatchObject({ station: 'north', connected: true });
  await expect(client.inbox({})).rejects.toThrow(expect.objectContaining({ code: 'internal' }));

  const exposed = expect.objectContaining({ code: 'config.invalid' });
  const { tls } = memberIn(fake, 'dispatcher');
  const track = bind(TrackService, trackOf({}), { roles: ['station'] });
  const network = () => fake.network;
  await expect(scope.serve({ listen: '127.0.0.1:0', tls, network, services: [admin] })).rejects.toThrow(
    exposed,
  );
  await expect(scope.serve({ listen: '127.0.0.1:0', tls: null, network, services: [admin] })).rejects.toThrow(
    exposed,
  );
  await expect(
    scope.serve({ listen: `unix:${path}2`, tls: null, network, services: [track] }),
  ).rejects.toThrow(exposed);
  expect(() => scope.connect({ address: '127.0.0.1:1', tls: null })).toThrow(exposed);
  await server.close();
  await expect(readFile(path)).rejects.toThrow(/ENOENT/);
});
