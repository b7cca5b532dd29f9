import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arms, freePort, type Journey, makeJourney } from './harness.ts';
import { ok } from './processes.ts';

const IDLE_MS = 60_000;

/** A CONNECT proxy as hospitals have them: it cuts what was idle for 60 s, and counts what it carried. */
function createProxy(): { server: Server; tunnels: () => string[]; close: () => Promise<void> } {
  const seen: string[] = [];
  const open = new Set<Socket>();
  const server = createServer((client) => {
    open.add(client);
    client.on('error', () => client.destroy());
    client.once('data', (head) => {
      const target = /^CONNECT ([0-9.]+):([0-9]+) /.exec(head.toString('latin1'));
      if (target === null) return void client.end('HTTP/1.1 400 Bad Request\r\n\r\n');
      seen.push(`${target[1]}:${target[2]}`);
      const upstream = connect(Number(target[2]), target[1]);
      open.add(upstream);
      upstream.on('error', () => client.destroy());
      upstream.once('connect', () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        for (const socket of [client, upstream]) socket.setTimeout(IDLE_MS, () => socket.destroy());
        client.pipe(upstream).pipe(client);
      });
    });
  });
  const close = async (): Promise<void> => {
    for (const socket of open) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return { server, tunnels: () => seen, close };
}

describe('a station behind a proxy', () => {
  const proxy = createProxy();
  let journey: Journey;
  beforeAll(async () => {
    const port = await freePort();
    await new Promise<void>((resolve) => proxy.server.listen(port, '127.0.0.1', resolve));
    journey = await makeJourney([
      { id: 'north', policy: 'permit', ...arms(61, 62), config: `proxy: http://127.0.0.1:${port}\n` },
    ]);
    await journey.startDispatcher();
    // A stray variable of the environment points nowhere and must not be followed.
    await journey.startStation('north', {
      https_proxy: 'http://127.0.0.1:9',
      grpc_proxy: 'http://127.0.0.1:9',
    });
    await journey.online(1);
  }, 120_000);
  afterAll(async () => {
    await journey.close();
    await proxy.close();
  });

  it('dials its dispatcher through it, survives idleness longer than the proxy allows, and a train travels', async () => {
    expect(proxy.tunnels().length).toBeGreaterThanOrEqual(1);
    const before = proxy.tunnels().length;
    // The one wait in the tests that is about time itself: an idle track outlives the proxy's patience.
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS + 5_000));
    const { trainId } = await ok<{ trainId: string }>(journey.home('lee'), [
      ...['train', 'submit', 'trains/hello', '--stop', 'north', '--wait'],
    ]);
    const result = await ok<{ stations: { state: string }[] }>(journey.home('lee'), [
      'train',
      'result',
      trainId,
    ]);
    expect(result.stations).toMatchObject([{ state: 'released' }]);
    expect(proxy.tunnels().length).toBe(before);
  }, 180_000);
});
