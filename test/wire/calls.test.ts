import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { bind } from '../../src/adapters/wire/bind.ts';
import { DepotService } from '../../src/gen/pht/v1/depot_pb.ts';
import { TrackService } from '../../src/gen/pht/v1/tracks_pb.ts';
import { PhtError } from '../../src/model/error.ts';
import type { Client, Service } from '../../src/ports/wire.ts';
import { type FakeNetwork, makeNetwork, memberIn } from '../fakes/network.ts';
import { openScope } from './harness.ts';
import { trackOf } from './services.ts';

const MIB = 1024 * 1024;
const scope = openScope();
let fake: FakeNetwork;
beforeAll(async () => {
  fake = await makeNetwork({ stations: ['north'], researchers: ['rosa'] });
});
afterEach(() => scope.close());

async function track(
  limits = {},
): Promise<{ client: Client<typeof TrackService>; calls: string[]; ends: [string, string][] }> {
  const calls: string[] = [];
  const onCall = (name: string) => calls.push(name);
  const ends: [string, string][] = [];
  const onEnd = (name: string, reason: unknown) =>
    ends.push([name, reason instanceof PhtError ? reason.code : `${reason}`]);
  const { address } = await scope.serve({
    listen: '127.0.0.1:0',
    tls: memberIn(fake, 'dispatcher').tls,
    network: () => fake.network,
    services: [
      bind(TrackService, trackOf({ onCall, onEnd }), {
        roles: ['station'],
        methods: { wake: { deadlineMs: 'open' } },
      }),
    ],
    limits,
  });
  return { client: scope.as(fake, 'north', address).client(TrackService), calls, ends };
}

async function depot(service: Partial<Service<typeof DepotService>>): Promise<Client<typeof DepotService>> {
  const whole: Service<typeof DepotService> = {
    uploadOffset: async () => ({}),
    upload: async () => ({}),
    download: async function* () {},
    ...service,
  };
  const { address } = await scope.serve({
    listen: '127.0.0.1:0',
    tls: memberIn(fake, 'dispatcher').tls,
    network: () => fake.network,
    services: [bind(DepotService, whole, { roles: ['researcher'] })],
  });
  return scope.as(fake, 'rosa', address).client(DepotService);
}

const withCode = (code: string) => expect.objectContaining({ code });
const chunkPart = (value: Uint8Array) => ({ part: { case: 'chunk' as const, value } });

test('an error crosses the wire with code, message and hint, without cause or stack', async () => {
  const { client } = await track();
  const thrown = await client.report({ idempotencyKey: 'stale' }).catch((error: unknown) => error);
  expect(thrown).toMatchObject({
    code: 'stale.epoch',
    message: 'the lease went to another epoch',
    hint: 'stop',
  });
  expect((thrown as PhtError).cause).toBeUndefined();
});

test('a deadline ends the call at both ends', async () => {
  const { client, ends } = await track();
  // The connection is there, so that the deadline passes during the call.
  await client.pull({});
  await expect(client.report({ idempotencyKey: '60000' }, { deadlineMs: 500 })).rejects.toThrow(
    withCode('timed-out'),
  );
  await expect.poll(() => ends).toEqual([['report', 'cancelled']]);
});

test("a call without a deadline of its own gets the server's, an open stream none", async () => {
  const { client, ends } = await track({ unaryMsMax: 200, streamMsMax: 200 });
  const wakes = client.wake({})[Symbol.asyncIterator]();
  await wakes.next();
  const endless = client.report({ idempotencyKey: '60000' }, { deadlineMs: Number.POSITIVE_INFINITY });
  await expect(endless).rejects.toThrow(withCode('timed-out'));
  expect(ends).toEqual([['report', 'timed-out']]);
  await sleep(100);
  expect((await wakes.next()).done).toBe(false);
  await wakes.return?.();
});

test('an abort ends a call, and the server hears of it', async () => {
  const { client, calls, ends } = await track();
  const controller = new AbortController();
  const call = client.report({ idempotencyKey: '60000' }, { signal: controller.signal });
  const refused = expect(call).rejects.toThrow(withCode('deadline.passed'));
  await expect.poll(() => calls).toEqual(['report']);
  controller.abort(new PhtError('deadline.passed', 'too late'));
  await refused;
  await expect.poll(() => ends).toEqual([['report', 'cancelled']]);
  await expect(client.report({}, { signal: AbortSignal.abort() })).rejects.toThrow(withCode('cancelled'));
});

test('leaving a stream early, or aborting it, cancels it at the server', async () => {
  const { client, ends } = await track();
  let seen = 0;
  for await (const { sequence } of client.wake({})) {
    expect(sequence).toBe(BigInt(seen));
    seen += 1;
    if (seen === 3) break;
  }
  await expect.poll(() => ends).toEqual([['wake', 'cancelled']]);
  const controller = new AbortController();
  const wakes = client.wake({}, { signal: controller.signal })[Symbol.asyncIterator]();
  await wakes.next();
  controller.abort();
  await expect(
    (async () => {
      while ((await wakes.next()).done !== true);
    })(),
  ).rejects.toThrow(withCode('cancelled'));
  await expect.poll(() => ends).toHaveLength(2);
});

test('a message over 4 MiB is refused in both directions, and the connection lives on', async () => {
  const client = await depot({
    uploadOffset: async ({ digest }) => {
      if (digest === 'large') throw new PhtError('conflict', 'x'.repeat(5 * MIB));
      return {};
    },
    upload: async (requests) => {
      for await (const _request of requests);
      return {};
    },
    download: async function* () {
      yield { chunk: new Uint8Array(5 * MIB) };
    },
  });
  const large = { trainId: 'x'.repeat(5 * MIB), digest: '' };
  await expect(client.uploadOffset(large)).rejects.toThrow(withCode('input.too-large'));
  await expect(
    client.upload(
      (async function* () {
        yield chunkPart(new Uint8Array(5 * MIB));
      })(),
    ),
  ).rejects.toThrow(withCode('input.too-large'));
  await expect(client.download({})[Symbol.asyncIterator]().next()).rejects.toThrow(
    withCode('input.too-large'),
  );
  await expect(client.uploadOffset({ digest: 'large' })).rejects.toMatchObject({ message: 'x'.repeat(500) });
  await client.uploadOffset({});
});

test('an error in the middle of a stream arrives after what was sent before it', async () => {
  const client = await depot({
    download: async function* () {
      yield { chunk: new Uint8Array(3) };
      yield { chunk: new Uint8Array(4) };
      throw new PhtError('image.missing', 'the rest is gone');
    },
  });
  const sizes: number[] = [];
  const reading = (async () => {
    for await (const { chunk } of client.download({})) sizes.push(chunk.length);
  })();
  await expect(reading).rejects.toThrow(withCode('image.missing'));
  expect(sizes).toEqual([3, 4]);
});

test('an answer before the end of an upload stops whoever makes it', async () => {
  const client = await depot({
    upload: async () => {
      throw new PhtError('quota.exceeded', 'enough');
    },
  });
  let made = 0;
  let ended = false;
  const endless = (async function* () {
    try {
      for (;;) {
        made += 1;
        yield chunkPart(new Uint8Array(1024));
      }
    } finally {
      ended = true;
    }
  })();
  await expect(client.upload(endless)).rejects.toThrow(withCode('quota.exceeded'));
  await expect.poll(() => ended).toBe(true);
  expect(made).toBeLessThan(10_000);
});

test('an upload whose source fails is cancelled at the server, which never takes it for complete', async () => {
  const heard: unknown[] = [];
  const client = await depot({
    upload: async (requests) => {
      try {
        for await (const request of requests) heard.push(request.part.case);
        heard.push('complete');
      } catch (thrown) {
        heard.push((thrown as PhtError).code);
      }
      return {};
    },
  });
  const failing = (async function* () {
    yield chunkPart(new Uint8Array(10));
    await expect.poll(() => heard).toEqual(['chunk']);
    throw new PhtError('dataset.unreadable', 'the disk is gone');
  })();
  await expect(client.upload(failing)).rejects.toThrow(withCode('dataset.unreadable'));
  await expect.poll(() => heard).toEqual(['chunk', 'cancelled']);
});

test('an upload that is aborted or overdue does not look complete either', async () => {
  const heard: string[] = [];
  const client = await depot({
    upload: async (requests) => {
      try {
        for await (const request of requests) heard.push(`${request.part.case}`);
        heard.push('complete');
      } catch (thrown) {
        heard.push((thrown as PhtError).code);
      }
      return {};
    },
  });
  const stalling = async function* () {
    yield chunkPart(new Uint8Array(10));
    await sleep(2000);
    yield chunkPart(new Uint8Array(10));
  };
  await client.uploadOffset({});
  await expect(client.upload(stalling(), { deadlineMs: 500 })).rejects.toThrow(withCode('timed-out'));
  const controller = new AbortController();
  const refused = expect(client.upload(stalling(), { signal: controller.signal })).rejects.toThrow(
    withCode('cancelled'),
  );
  await expect.poll(() => heard).toEqual(['chunk', 'cancelled', 'chunk']);
  controller.abort();
  await refused;
  await expect.poll(() => heard).toEqual(['chunk', 'cancelled', 'chunk', 'cancelled']);
});

test('back-pressure reaches the source in both directions', async () => {
  let produced = 0;
  const gate = Promise.withResolvers<void>();
  const client = await depot({
    upload: async (requests) => {
      const iterator = requests[Symbol.asyncIterator]();
      await iterator.next();
      await gate.promise;
      let bytes = 1;
      for (;;) {
        const next = await iterator.next();
        if (next.done === true) return { offset: BigInt(bytes) };
        bytes += 1;
      }
    },
    download: async function* () {
      for (; produced < 100; produced++) yield { chunk: new Uint8Array(MIB) };
    },
  });
  const chunks = client.download({})[Symbol.asyncIterator]();
  await chunks.next();
  await sleep(300);
  const producedWhileIdle = produced;
  await chunks.return?.();
  expect(producedWhileIdle).toBeLessThan(40);

  let made = 0;
  const uploading = client.upload(
    (async function* () {
      for (; made < 100; made++) yield chunkPart(new Uint8Array(MIB));
    })(),
  );
  await sleep(300);
  expect(made).toBeLessThan(40);
  gate.resolve();
  expect((await uploading).offset).toBe(100n);
});

test('throughput, for the record', async () => {
  const chunk = new Uint8Array(512 * 1024);
  const client = await depot({
    upload: async (requests) => {
      for await (const _request of requests);
      return {};
    },
    download: async function* () {
      for (let at = 0; at < 200; at++) yield { chunk };
    },
  });
  const rate = (startedMs: number) => `${Math.round((100 * 1000) / (performance.now() - startedMs))} MiB/s`;
  const downMs = performance.now();
  let bytes = 0;
  for await (const message of client.download({})) bytes += message.chunk.length;
  const down = rate(downMs);
  const upMs = performance.now();
  await client.upload(
    (async function* () {
      for (let at = 0; at < 200; at++) yield chunkPart(chunk);
    })(),
  );
  process.stdout.write(`wire: ${down} down, ${rate(upMs)} up, both ends in one process\n`);
  expect(bytes).toBe(100 * MIB);
});

test('a server that closes ends open streams and lets running calls finish', async () => {
  const { address, close } = await scope.serve({
    listen: '127.0.0.1:0',
    tls: memberIn(fake, 'dispatcher').tls,
    network: () => fake.network,
    services: [
      bind(TrackService, trackOf({}), { roles: ['station'], methods: { wake: { deadlineMs: 'open' } } }),
    ],
  });
  const client = scope.as(fake, 'north', address).client(TrackService);
  const wakes = client.wake({})[Symbol.asyncIterator]();
  await wakes.next();
  const running = client.report({ idempotencyKey: '300' });
  await sleep(50);
  const closed = close();
  await expect(
    (async () => {
      while ((await wakes.next()).done !== true);
    })(),
  ).rejects.toThrow(withCode('unreachable'));
  await running;
  await closed;
  await expect(client.pull({})).rejects.toThrow(withCode('unreachable'));
});
