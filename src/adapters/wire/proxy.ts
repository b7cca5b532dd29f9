import { once } from 'node:events';
import type { Socket } from 'node:net';
import { PhtError } from '../../model/error.ts';

/** A tunnel through an HTTP proxy (RFC 9110, section 9.3.6, CONNECT); TLS inside stays end to end. */
export type HttpProxy = { host: string; port: number; authorization: string | undefined };

const HEAD_BYTES_MAX = 16 * 1024;

/**
 * @param url `http://[user:password@]host[:port]` from the member's own configuration, never from the environment
 * @throws PhtError `config.invalid`
 */
export function parseProxy(url: string): HttpProxy {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    // Without the cause, which quotes the URL and the password in it.
    throw new PhtError('config.invalid', 'the proxy is not a URL of the form http://host:port');
  }
  const { protocol, hostname, port, pathname, search, hash } = parsed;
  if (protocol !== 'http:' || hostname === '' || pathname !== '/' || search !== '' || hash !== '') {
    throw new PhtError('config.invalid', 'the proxy must be of the form http://host:port');
  }
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? 80 : Number(port),
    authorization: authorizationOf(parsed),
  };
}

/** Asks the proxy for a tunnel on a socket that is connected to it, and leaves the socket as the tunnel. */
export async function openTunnel(socket: Socket, target: string, proxy: HttpProxy): Promise<void> {
  const lines = [`CONNECT ${target} HTTP/1.1`, `Host: ${target}`];
  if (proxy.authorization !== undefined) lines.push(`Proxy-Authorization: ${proxy.authorization}`);
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  const status = await readStatus(socket);
  if (status === 407) throw new Error('the proxy wants other credentials (407)');
  if (status < 200 || status > 299) throw new Error(`the proxy refused the tunnel with status ${status}`);
}

async function readStatus(socket: Socket): Promise<number> {
  let head = Buffer.alloc(0);
  for (;;) {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) {
      if (socket.readableEnded || socket.destroyed) throw new Error('the proxy closed the connection');
      await Promise.race([once(socket, 'readable'), once(socket, 'end'), once(socket, 'close')]);
      continue;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end >= 0) {
      // What follows already belongs to the tunnel.
      if (head.length > end + 4) socket.unshift(head.subarray(end + 4));
      const status = /^HTTP\/1\.[01] ([0-9]{3})(?: |\r\n)/.exec(head.toString('latin1', 0, 100))?.[1];
      if (status === undefined) throw new Error('the proxy does not speak HTTP');
      return Number(status);
    }
    if (head.length > HEAD_BYTES_MAX) throw new Error('the proxy answers with too long a header');
  }
}

function authorizationOf({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  try {
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return `Basic ${Buffer.from(credentials).toString('base64')}`;
  } catch {
    throw new PhtError('config.invalid', 'the credentials of the proxy are not percent-encoded correctly');
  }
}
