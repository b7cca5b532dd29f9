import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { createDepot } from '../../src/adapters/depot/files.ts';
import { retrying } from '../../src/adapters/wire/backoff.ts';
import { bind } from '../../src/adapters/wire/bind.ts';
import { downloadBlob, uploadBlob } from '../../src/adapters/wire/transfer.ts';
import { DepotService } from '../../src/gen/pht/v1/depot_pb.ts';
import { TrackService } from '../../src/gen/pht/v1/tracks_pb.ts';
import { PhtError } from '../../src/model/error.ts';
import type { Depot } from '../../src/ports/depot.ts';
import { type FakeNetwork, makeNetwork, memberIn } from '../fakes/network.ts';
import { openScope } from './harness.ts';
import { depotServiceOf, type PeerOrders } from './peer-process.ts';
import { connectProxy, cuttingRelay, silentListener } from './relays.ts';
import { trackOf } from './services.ts';

const MIB = 1024 * 1024;
const scope = openScope();
let fake: FakeNetwork;
beforeAll(async () => {
  fake = await makeNetwork({ stations: ['north'], researchers: ['rosa'] });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await scope.close();
});

const withCode = (code: string) => expect.objectContaining({ code });
const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const portOf = (address: string): number => Number(address.split(':')[1]);

async function holding(bytes: Uint8Array): Promise<{ depot: Depot; digest: string }> {
  const depot = createDepot(await scope.directory());
  const digest = digestOf(bytes);
  await depot.write(digest, bytes.length, 0, one(bytes));
  return { depot, digest };
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function peerProcess(orders: Partial<PeerOrders>): Promise<{ child: ChildProcess; line: string }> {
  const path = join(await scope.directory(), 'orders.json');
  const { files, network } = fake;
  await writeFile(
    path,
    JSON.stringify({ files, networkId: network.id, bytesTotal: 0, depot: '', ...orders }),
  );
  const program = fileURLToPath(new URL('peer-process.ts', import.meta.url));
  const child = spawn(process.execPath, [program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  scope.defer(() => void child.kill('SIGKILL'));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, line: line.toString().trim() };
}

async function serveTrack(): Promise<string> {
  const services = [
    bind(TrackService, trackOf({ tickMs: 60_000 }), {
      roles: ['station'],
      methods: { wake: { deadlineMs: 'open' as const } },
    }),
  ];
  const { tls } = memberIn(fake, 'dispatcher');
  return (await scope.serve({ listen: '127.0.0.1:0', tls, network: () => fake.network, services })).address;
}

test('a server that is killed and started again is found again within seconds, by the same channel', async () => {
  const { tls } = memberIn(fake, 'dispatcher');
  const depot = await scope.directory();
  const first = await peerProcess({ as: 'server', address: '127.0.0.1:0', tls, depot });
  const client = scope.as(fake, 'north', first.line).client(TrackService);
  const wakes = client.wake({})[Symbol.asyncIterator]();
  await wakes.next();
  first.child.kill('SIGKILL');
  await expect(
    (async () => {
      while ((await wakes.next()).done !== true);
    })(),
  ).rejects.toThrow(withCode('unreachable'));
  await expect(client.pull({})).rejects.toThrow(withCode('unreachable'));
  await sleep(1500);
  await peerProcess({ as: 'server', address: first.line, tls, depot });
  await retrying(() => client.pull({}), { limits: { baseMs: 50, maxMs: 100 } });
});

test('a client that starts before its server waits and connects', async () => {
  const address = await serveTrack().then(async (found) => {
    await scope.close();
    return found;
  });
  const client = scope.as(fake, 'north', address).client(TrackService);
  const waiting = retrying(() => client.pull({}), { limits: { baseMs: 50, maxMs: 100 } });
  await sleep(500);
  const { tls } = memberIn(fake, 'dispatcher');
  const services = [bind(TrackService, trackOf({}), { roles: ['station'] })];
  await scope.serve({ listen: address, tls, network: () => fake.network, services });
  await waiting;
});

test('an uploader that is killed does not look like one that has finished', async () => {
  const heard: string[] = [];
  const { address } = await scope.serve({
    listen: '127.0.0.1:0',
    tls: memberIn(fake, 'dispatcher').tls,
    network: () => fake.network,
    services: [
      bind(
        DepotService,
        {
          ...depotServiceOf(createDepot(await scope.directory()), 0),
          upload: async (requests) => {
            try {
              for await (const request of requests) heard.push(`${request.part.case}`);
              heard.push('complete');
            } catch (thrown) {
              heard.push((thrown as PhtError).code);
            }
            return {};
          },
        },
        { roles: ['researcher'] },
      ),
    ],
  });
  const { child } = await peerProcess({ as: 'uploader', address, tls: memberIn(fake, 'rosa').tls });
  await expect.poll(() => heard).toEqual(['chunk']);
  child.kill('SIGKILL');
  await expect.poll(() => heard).toEqual(['chunk', 'cancelled']);
});

test('transfers go on where a broken line stopped them, in both directions', async () => {
  const bytes = randomBytes(6 * MIB + 123);
  const { depot: source, digest } = await holding(bytes);
  const far = createDepot(await scope.directory());
  const { address } = await scope.serve({
    listen: '127.0.0.1:0',
    tls: memberIn(fake, 'dispatcher').tls,
    network: () => fake.network,
    services: [bind(DepotService, depotServiceOf(far, bytes.length), { roles: ['researcher', 'station'] })],
  });
  const line = async () => {
    const relay = await cuttingRelay({ port: portOf(address), cutAfterBytes: 2 * MIB, cutsMax: 2 });
    scope.defer(() => relay.close());
    return relay;
  };

  const upLine = await line();
  const rosa = scope.as(fake, 'rosa', `127.0.0.1:${upLine.port}`).client(DepotService);
  let sent = 0;
  await uploadBlob(rosa, 'trn_x', digest, bytes.length, source, { onBytes: (count) => (sent += count) });
  expect(upLine.cuts).toBe(2);
  expect(await far.status(digest)).toEqual({ bytes: bytes.length, complete: true });
  // Without resuming it would be the whole blob once more for each cut.
  expect(sent).toBeLessThan(1.8 * bytes.length);

  const downLine = await line();
  const north = scope.as(fake, 'north', `127.0.0.1:${downLine.port}`).client(DepotService);
  const near = createDepot(await scope.directory());
  let received = 0;
  await downloadBlob(north, 'trn_x', digest, bytes.length, near, { onBytes: (count) => (received += count) });
  expect(downLine.cuts).toBe(2);
  expect(received).toBe(bytes.length);
  const parts: Uint8Array[] = [];
  for await (const part of near.read(digest, 0)) parts.push(part);
  expect(Buffer.concat(parts).equals(bytes)).toBe(true);

  let again = 0;
  await uploadBlob(rosa, 'trn_x', digest, bytes.length, source, { onBytes: (count) => (again += count) });
  await downloadBlob(north, 'trn_x', digest, bytes.length, near, { onBytes: (count) => (again += count) });
  expect(again).toBe(0);
});

test('an upload survives kill -9 of the server in the middle', async () => {
  const bytes = randomBytes(40 * MIB);
  const { depot: source, digest } = await holding(bytes);
  const depot = await scope.directory();
  const { tls } = memberIn(fake, 'dispatcher');
  const orders = { as: 'server' as const, tls, depot, bytesTotal: bytes.length };
  const first = await peerProcess({ ...orders, address: '127.0.0.1:0' });
  const client = scope.as(fake, 'rosa', first.line).client(DepotService);
  let sent = 0;
  let restarted: Promise<unknown> | undefined;
  await uploadBlob(client, 'trn_x', digest, bytes.length, source, {
    attemptsMax: 50,
    onBytes: (count) => {
      sent += count;
      if (sent < 10 * MIB || restarted !== undefined) return;
      first.child.kill('SIGKILL');
      restarted = peerProcess({ ...orders, address: first.line });
    },
  });
  expect(restarted).toBeDefined();
  await restarted;
  expect(await createDepot(depot).status(digest)).toEqual({ bytes: bytes.length, complete: true });
  expect(sent).toBeLessThan(1.7 * bytes.length);
}, 60_000);

test('a peer that sends other bytes than the digest names is found out, and nothing is kept', async () => {
  const bytes = randomBytes(MIB);
  const { depot: source } = await holding(bytes);
  const lie = digestOf(randomBytes(10));
  const lying: Depot = { ...source, read: () => one(bytes) };
  const far = createDepot(await scope.directory());
  const near = createDepot(await scope.directory());
  const service = { ...depotServiceOf(far, bytes.length), download: depotServiceOf(lying, 0).download };
  const { address } = await scope.serve({
    listen: '127.0.0.1:0',
    tls: memberIn(fake, 'dispatcher').tls,
    network: () => fake.network,
    services: [bind(DepotService, service, { roles: ['researcher'] })],
  });
  const client = scope.as(fake, 'rosa', address).client(DepotService);
  const mismatch = withCode('image.mismatch');
  await expect(downloadBlob(client, 'trn_x', lie, bytes.length, near, {})).rejects.toThrow(mismatch);
  await expect(uploadBlob(client, 'trn_x', lie, bytes.length, lying, {})).rejects.toThrow(mismatch);
  await expect(downloadBlob(client, 'trn_x', lie, 1000, near, {})).rejects.toThrow(mismatch);
  for (const depot of [far, near]) expect((await depot.status(lie)).complete).toBe(false);
});

test.each([
  ['clearance.rejected', 'image.missing'],
  ['disclosure.withheld', 'image.missing'],
  ['internal', 'image.missing'],
  ['unreachable', 'unreachable'],
] as const)(
  'a depot that answers %s puts neither its code nor its words in our mouth',
  async (said, code) => {
    const near = createDepot(await scope.directory());
    const far = createDepot(await scope.directory());
    const download = async function* (): AsyncGenerator<{ chunk: Uint8Array }> {
      yield { chunk: new Uint8Array() };
      throw new PhtError(said, 'the ethics board said no');
    };
    const { address } = await scope.serve({
      listen: '127.0.0.1:0',
      tls: memberIn(fake, 'dispatcher').tls,
      network: () => fake.network,
      services: [bind(DepotService, { ...depotServiceOf(far, 1), download }, { roles: ['researcher'] })],
    });
    const client = scope.as(fake, 'rosa', address).client(DepotService);
    const digest = digestOf(randomBytes(10));
    await expect(downloadBlob(client, 'trn_x', digest, 10, near, { attemptsMax: 1 })).rejects.toMatchObject({
      code,
      message: expect.not.stringContaining('ethics'),
    });
  },
);

test.each([
  ['says nothing', 0],
  ['sends empty chunks without end', 1],
])('a peer that %s is given up, and asked again from where it stopped', async (_name, empties) => {
  const bytes = randomBytes(MIB);
  const { depot: source, digest } = await holding(bytes);
  const near = createDepot(await scope.directory());
  const offsets: number[] = [];
  const quiet: Depot = {
    ...source,
    read: async function* (wanted, offset) {
      offsets.push(offset);
      if (offsets.length > 2) return yield* source.read(wanted, offset);
      yield bytes.subarray(offset, offset + 1000);
      for (let waited = 0; waited < 100; waited++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        if (empties > 0) yield new Uint8Array();
      }
    },
  };
  const { address } = await scope.serve({
    listen: '127.0.0.1:0',
    tls: memberIn(fake, 'dispatcher').tls,
    network: () => fake.network,
    services: [bind(DepotService, depotServiceOf(quiet, bytes.length), { roles: ['researcher'] })],
  });
  const client = scope.as(fake, 'rosa', address).client(DepotService);
  await downloadBlob(client, 'trn_x', digest, bytes.length, near, { silenceMsMax: 500 });
  // A busy machine may be silent once more, later.
  expect(offsets.slice(0, 3)).toEqual([0, 1000, 2000]);
  expect(await near.status(digest)).toEqual({ bytes: bytes.length, complete: true });
});

test("a track through a CONNECT proxy with a password outlives the proxy's idle cut by its keepalive", async () => {
  const authorization = `Basic ${Buffer.from('station:se:cret').toString('base64')}`;
  const proxy = await connectProxy({ idleMs: 600, authorization });
  scope.defer(() => proxy.close());
  const address = await serveTrack();
  const url = `http://station:se%3Acret@127.0.0.1:${proxy.port}`;
  const client = scope.as(fake, 'north', address, { proxy: url, keepaliveMs: 200 }).client(TrackService);
  await client.pull({});
  const wakes = client.wake({})[Symbol.asyncIterator]();
  await wakes.next();
  await sleep(2000);
  await client.pull({});
  expect(proxy).toMatchObject({ connections: 1, cuts: 0 });
  await wakes.return?.();

  // The same proxy does cut whoever is silent, and the next call connects anew.
  const silent = scope.as(fake, 'north', address, { proxy: url, keepaliveMs: 60_000 }).client(TrackService);
  await silent.pull({});
  await expect.poll(() => proxy.cuts).toBeGreaterThan(0);
  await retrying(() => silent.pull({}), { limits: { baseMs: 50, maxMs: 100 } });
  expect(proxy.connections).toBe(3);
});

test('a proxy that refuses, and a peer that never answers, are unreachable with the reason', async () => {
  const proxy = await connectProxy({ authorization: 'Basic eDp5' });
  scope.defer(() => proxy.close());
  const silent = await silentListener();
  scope.defer(() => silent.close());
  const address = await serveTrack();
  const refused = scope
    .as(fake, 'north', address, { proxy: `http://127.0.0.1:${proxy.port}` })
    .client(TrackService);
  await expect(refused.pull({})).rejects.toThrow(
    expect.objectContaining({ code: 'unreachable', message: expect.stringMatching(/407/) }),
  );
  const unanswered = scope.as(fake, 'north', `127.0.0.1:${silent.port}`).client(TrackService);
  await expect(unanswered.pull({}, { deadlineMs: 300 })).rejects.toThrow(withCode('timed-out'));
  // A stream has no deadline: the handshake's own bound must end it.
  const hasty = scope
    .as(fake, 'north', `127.0.0.1:${silent.port}`, { handshakeMs: 300 })
    .client(TrackService);
  await expect(hasty.wake({})[Symbol.asyncIterator]().next()).rejects.toThrow(
    expect.objectContaining({ code: 'unreachable', message: expect.stringMatching(/handshake/) }),
  );
});

test('a stray proxy in the environment is ignored, with and without a configured one', async () => {
  const trap = await silentListener();
  const proxy = await connectProxy();
  scope.defer(() => trap.close());
  scope.defer(() => proxy.close());
  for (const name of [
    'https_proxy',
    'http_proxy',
    'grpc_proxy',
    'HTTPS_PROXY',
    'ALL_PROXY',
    'no_grpc_proxy',
  ]) {
    vi.stubEnv(name, name === 'no_grpc_proxy' ? '' : `http://127.0.0.1:${trap.port}`);
  }
  const address = await serveTrack();
  await scope.as(fake, 'north', address).client(TrackService).pull({});
  expect(proxy.connections).toBe(0);
  await scope
    .as(fake, 'north', address, { proxy: `http://127.0.0.1:${proxy.port}` })
    .client(TrackService)
    .pull({});
  expect(proxy.connections).toBe(1);
  expect(trap.connections).toBe(0);
});
