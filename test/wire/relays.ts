import { connect, createServer, type Server, type Socket } from 'node:net';

/** What stands between a station and its dispatcher in a hospital: proxies and lines that break. Loopback only. */

export type Relay = { port: number; connections: number; cuts: number; close(): Promise<void> };

/**
 * A CONNECT proxy.
 *
 * @param options.idleMs cuts a tunnel through which nothing has passed for so long
 * @param options.authorization the one `Proxy-Authorization` that it accepts
 */
export async function connectProxy(
  options: { idleMs?: number; authorization?: string } = {},
): Promise<Relay> {
  const relay = await listen((inbound) => {
    inbound.once('data', (head) => {
      const lines = head.toString('latin1').split('\r\n');
      const target = /^CONNECT ([^:]+):(\d+) HTTP\/1\.1$/.exec(lines[0] ?? '');
      if (target === null) return void inbound.end('HTTP/1.1 405 Method Not Allowed\r\n\r\n');
      const given = lines
        .find((line) => /^proxy-authorization: /i.test(line))
        ?.slice('proxy-authorization: '.length);
      if (given !== options.authorization)
        return void inbound.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
      const outbound = connect(Number(target[2]), target[1] ?? '', () => {
        inbound.write('HTTP/1.1 200 Connection established\r\n\r\n');
        join(inbound, outbound);
        for (const socket of options.idleMs === undefined ? [] : [inbound, outbound]) {
          socket.setTimeout(options.idleMs ?? 0, () => {
            // Only when neither direction has moved.
            relay.cuts += 1;
            inbound.destroy();
            outbound.destroy();
          });
        }
      });
      outbound.on('error', () => inbound.destroy());
    });
  });
  return relay;
}

/** A plain relay that breaks each of the first `cutsMax` connections after so many bytes in either direction. */
export async function cuttingRelay(options: {
  port: number;
  cutAfterBytes: number;
  cutsMax: number;
}): Promise<Relay> {
  const relay = await listen((inbound) => {
    const outbound = connect(options.port, '127.0.0.1');
    outbound.on('error', () => inbound.destroy());
    join(inbound, outbound);
    let bytes = 0;
    for (const socket of [inbound, outbound]) {
      socket.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes < options.cutAfterBytes || relay.cuts >= options.cutsMax || inbound.destroyed) return;
        relay.cuts += 1;
        inbound.resetAndDestroy();
        outbound.resetAndDestroy();
      });
    }
  });
  return relay;
}

/** Accepts and says nothing. */
export function silentListener(): Promise<Relay> {
  return listen(() => undefined);
}

async function listen(onConnection: (socket: Socket) => void): Promise<Relay> {
  const open = new Set<Socket>();
  const server: Server = createServer((socket) => {
    relay.connections += 1;
    open.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => open.delete(socket));
    onConnection(socket);
  });
  const relay: Relay = {
    port: 0,
    connections: 0,
    cuts: 0,
    close: () => {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => void server.close(() => resolve()));
    },
  };
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  relay.port = typeof address === 'object' && address !== null ? address.port : 0;
  return relay;
}

function join(one: Socket, other: Socket): void {
  one.pipe(other);
  other.pipe(one);
  one.on('close', () => other.destroy());
  other.on('close', () => one.destroy());
}
