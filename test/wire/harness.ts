import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Channel, type ConnectOptions, connect } from '../../src/adapters/wire/client.ts';
import { type ServeOptions, serve, type WireLog } from '../../src/adapters/wire/server.ts';
import type { Network } from '../../src/model/network.ts';
import type { Ed25519PublicJwk } from '../../src/model/schema.ts';
import { type FakeMember, type FakeNetwork, memberIn } from '../fakes/network.ts';

/** Pieces of a wire on loopback, closed again by the test that opened them. */

export type Logged = { level: string; details: object; message: string };

export function collectingLog(): WireLog & { lines: Logged[] } {
  const lines: Logged[] = [];
  const at = (level: string) => (details: object, message: string) =>
    void lines.push({ level, details, message });
  return { lines, debug: at('debug'), warn: at('warn'), error: at('error') };
}

export function dispatcherKey(network: Network): Ed25519PublicJwk {
  const key = network.members.get('dispatcher')?.keys.tls;
  if (key === undefined) throw new Error('the dispatcher has no TLS key');
  return key;
}

export function clientOptions(
  fake: FakeNetwork,
  address: string,
  tls: FakeMember['tls'],
): ConnectOptions & { tls: object } {
  const publicJwk = dispatcherKey(fake.network);
  return { address, tls, serverMember: { networkId: fake.network.id, memberId: 'dispatcher', publicJwk } };
}

export function openScope(): {
  serve(options: Omit<ServeOptions, 'log'> & { log?: WireLog }): ReturnType<typeof serve>;
  connect(options: ConnectOptions): Channel;
  as(fake: FakeNetwork, memberId: string, address: string, more?: object): Channel;
  directory(): Promise<string>;
  defer(close: () => unknown): void;
  close(): Promise<void>;
} {
  const closers: (() => unknown)[] = [];
  const open = (options: ConnectOptions): Channel => {
    const channel = connect(options);
    closers.push(() => channel.close());
    return channel;
  };
  return {
    async serve(options) {
      const server = await serve({ log: collectingLog(), ...options });
      closers.push(() => server.close());
      return server;
    },
    connect: open,
    as: (fake, memberId, address, more = {}) =>
      open({ ...clientOptions(fake, address, memberIn(fake, memberId).tls), ...more }),
    async directory() {
      const path = await mkdtemp(join(tmpdir(), 'wire-'));
      closers.push(() => rm(path, { recursive: true, force: true }));
      return path;
    },
    defer: (close) => void closers.push(close),
    async close() {
      for (const close of closers.splice(0).reverse()) await close();
    },
  };
}
