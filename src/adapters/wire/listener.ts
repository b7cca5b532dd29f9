import { randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir, rename, rm, rmdir } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { PhtError } from '../../model/error.ts';
import type { TlsFiles } from './identity.ts';

/** A listening socket that hands on each accepted (and, over TLS, authenticated) connection. */
export type Listener = { address: string; close(): Promise<void> };

export type TlsListener = Listener & {
  /** For connections from now on; those that are open stay as they are. */
  renew(tls: TlsFiles): void;
};

const CONNECTIONS_MAX = 2048;
const HANDSHAKE_MS_MAX = 10_000;
const ANSWER_MS_MAX = 1000;
/** sockaddr_un of Linux has 108 bytes with the final zero; the private directory adds up to 12. */
const SOCKET_PATH_BYTES_MAX = 95;

/** @param address `host:port`, `[ipv6]:port`; port 0 takes a free one */
export async function listenTls(
  address: string,
  tls: TlsFiles,
  onConnection: (socket: Socket) => void,
  onRefused: (reason: string) => void,
): Promise<TlsListener> {
  const { host, port } = splitAddress(address);
  const server = createTlsServer({
    ...contextOf(tls),
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: ['h2'],
    handshakeTimeout: HANDSHAKE_MS_MAX,
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.on('tlsClientError', (error) => onRefused(error.message));
  server.on('secureConnection', (socket) => {
    socket.on('error', () => socket.destroy());
    onConnection(socket);
  });
  await listening(server, () => server.listen({ host, port }), address);
  const bound = server.address();
  const boundPort = bound !== null && typeof bound === 'object' ? bound.port : port;
  return {
    address: `${host.includes(':') ? `[${host}]` : host}:${boundPort}`,
    close: () => closed(server),
    renew: (files) => server.setSecureContext(contextOf(files)),
  };
}

function contextOf({ authorityPem, certificatePem, privateKeyPem }: TlsFiles) {
  return { ca: authorityPem, cert: certificatePem, key: privateKeyPem, minVersion: 'TLSv1.3' } as const;
}

/**
 * Binds in a private directory and moves the finished socket into place, so that there is no moment in which anybody
 * else could connect. Mode 0600 at first; the caller widens it to a group. A file that nobody answers on is replaced.
 *
 * @throws PhtError `conflict` when another process answers there or the path is no socket
 */
export async function listenUnix(path: string, onConnection: (socket: Socket) => void): Promise<Listener> {
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw new PhtError(
      'config.invalid',
      `the socket path is longer than ${SOCKET_PATH_BYTES_MAX} bytes: ${path}`,
    );
  }
  await assertFree(path);
  const privateDirectory = join(dirname(path), `.${randomBytes(4).toString('hex')}`);
  await mkdir(privateDirectory, { mode: 0o700 }).catch((cause: unknown) => {
    throw new PhtError('config.invalid', `cannot make a socket in ${dirname(path)}`, { cause });
  });
  const temporary = join(privateDirectory, 's');
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    onConnection(socket);
  });
  server.maxConnections = CONNECTIONS_MAX;
  try {
    await listening(server, () => server.listen(temporary), path);
    await chmod(temporary, 0o600);
    await rename(temporary, path);
  } catch (thrown) {
    server.close();
    throw thrown;
  } finally {
    await rm(temporary, { force: true });
    await rmdir(privateDirectory);
  }
  const { ino } = await lstat(path);
  const close = async (): Promise<void> => {
    await closed(server);
    // Another process may have taken the place in the meantime.
    const now = await lstat(path).catch(() => undefined);
    if (now?.ino === ino) await rm(path, { force: true });
  };
  return { address: `unix:${path}`, close };
}

/** @throws PhtError `config.invalid` */
export function splitAddress(address: string): { host: string; port: number } {
  const found = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9.-]{1,253})):([0-9]{1,5})$/.exec(address);
  const port = Number(found?.[3]);
  const host = found?.[1] ?? found?.[2];
  if (host === undefined || port > 65_535) {
    throw new PhtError('config.invalid', `not an address of the form host:port: ${address.slice(0, 200)}`);
  }
  return { host, port };
}

async function assertFree(path: string): Promise<void> {
  const present = await lstat(path).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ENOENT') return undefined;
    throw new PhtError('config.invalid', `cannot use the socket path ${path}`, { cause: thrown });
  });
  if (present === undefined) return;
  if (!present.isSocket()) throw new PhtError('conflict', `${path} exists and is not a socket`);
  if (await answers(path)) throw new PhtError('conflict', `another process is listening on ${path}`);
}

/** Busy counts as answering: only a refused connection proves that nobody is there. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(ANSWER_MS_MAX, () => settle(true));
    socket.once('connect', () => settle(true));
    socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code !== 'ECONNREFUSED'));
  });
}

function listening(server: Server, listen: () => void, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const code = cause.code === 'EADDRINUSE' ? 'conflict' : 'config.invalid';
      reject(new PhtError(code, `cannot listen on ${address}: ${cause.code ?? cause.message}`, { cause }));
    });
    server.once('listening', resolve);
    listen();
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => void server.close(() => resolve()));
}
