import { createServer as createPlain, type Server as PlainServer, type RequestListener } from 'node:http';
import { createServer as createTls, type Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { PhtError } from '../../model/error.ts';
import type { ShownLogs } from '../../ports/mirror.ts';
import { answerTo, type LogAnswer } from './log-answer.ts';

export type LogServerOptions = {
  host: string;
  /** 0 takes a free one. */
  port: number;
  networkId: string;
  logs: ShownLogs;
  access: LogAccess;
  /** What went wrong here, for whoever runs this. */
  failed: (thrown: unknown) => void;
  /** Each connection of a member, which whoever watches may end. */
  connected?: (socket: TLSSocket) => void;
  limits?: Partial<LogServerLimits>;
};

/** PEM. `admit` judges the DER of a certificate that TLS has verified, for every request; it throws for strangers. */
export type LogAccess =
  | { kind: 'members'; tls: LogTls; admit: (certificate: Uint8Array) => void }
  | { kind: 'anonymous'; tls: LogTls | null };
export type LogTls = { authorityPem: string; certificatePem: string; privateKeyPem: string };

export type LogServerLimits = typeof LIMITS;
const LIMITS = {
  connectionsMax: 512,
  requestsPerConnectionMax: 10_000,
  headerBytesMax: 8 * 1024,
  headersMsMax: 10_000,
  requestMsMax: 15_000,
  idleMsMax: 15_000,
  /** A reader that takes nothing for this long loses its connection. */
  stalledMsMax: 30_000,
};

export type LogServer = {
  address: string;
  /** For connections from now on; nothing where there is no TLS. */
  renew(tls: LogTls): void;
  close(): Promise<void>;
};

/**
 * Ledgers over HTTP in the layout of C2SP tlog-tiles, under `/<network id>/<member>/`: GET and HEAD, no body is read,
 * ranges are ignored. Members show their certificate (TLS 1.3); whoever is anonymous only where that was chosen.
 *
 * @throws PhtError `conflict`, `config.invalid` where it cannot listen
 */
export async function serveLogs(options: LogServerOptions): Promise<LogServer> {
  const limits = { ...LIMITS, ...options.limits };
  const server = makeServer(options, limits, (request, response) => {
    const answering = answerFor(request, options);
    // Whatever came as a body is not read; the connection cannot be used again then.
    const hasBody = request.headers['content-length'] !== undefined || 'transfer-encoding' in request.headers;
    const answered = answering.then(({ status, headers, body }) => {
      const all = { ...headers, 'content-length': body.length, 'x-content-type-options': 'nosniff' };
      response.writeHead(status, hasBody ? { ...all, connection: 'close' } : all);
      response.end(request.method === 'HEAD' ? undefined : body);
    });
    answered.catch((thrown: unknown) => {
      options.failed(thrown);
      response.destroy();
    });
  });
  server.maxConnections = limits.connectionsMax;
  server.maxRequestsPerSocket = limits.requestsPerConnectionMax;
  server.headersTimeout = limits.headersMsMax;
  server.requestTimeout = limits.requestMsMax;
  server.keepAliveTimeout = limits.idleMsMax;
  server.setTimeout(limits.stalledMsMax);
  server.on('clientError', (_error, socket) => socket.destroy());
  await listening(server, options);
  const { port } = server.address() as AddressInfo;
  const { host } = options;
  return {
    address: `${host.includes(':') ? `[${host}]` : host}:${port}`,
    renew: (tls) => {
      if ('setSecureContext' in server) server.setSecureContext(contextOf(tls));
    },
    close: () => {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      server.closeAllConnections();
      return closed;
    },
  };
}

function contextOf({ authorityPem, certificatePem, privateKeyPem }: LogTls) {
  return { ca: authorityPem, cert: certificatePem, key: privateKeyPem, minVersion: 'TLSv1.3' } as const;
}

function makeServer(
  { access, connected }: LogServerOptions,
  limits: LogServerLimits,
  listener: RequestListener,
): PlainServer | TlsServer {
  const http = { maxHeaderSize: limits.headerBytesMax, connectionsCheckingInterval: 1000 };
  if (access.tls === null) return createPlain(http, listener);
  const members = access.kind === 'members';
  const options = {
    ...http,
    ...contextOf(access.tls),
    requestCert: members,
    rejectUnauthorized: members,
    handshakeTimeout: limits.headersMsMax,
  };
  const server = createTls(options, listener);
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  if (members && connected !== undefined) server.on('secureConnection', connected);
  return server;
}

/** The network file in force is asked anew for every request: a connection may outlive a membership. */
async function answerFor(
  request: Parameters<RequestListener>[0],
  { access, networkId, logs, failed }: LogServerOptions,
): Promise<LogAnswer> {
  try {
    if (access.kind === 'members') {
      const certificate = (request.socket as TLSSocket).getPeerCertificate().raw;
      if (certificate === undefined) throw new PhtError('forbidden', 'the caller showed no certificate');
      access.admit(certificate);
    }
    const isPublic = access.kind === 'anonymous';
    return await answerTo(request.method ?? '', request.url ?? '', { networkId, logs, isPublic });
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'forbidden') return refusal(403, thrown.message);
    failed(thrown);
    return refusal(500, 'the ledger could not be read');
  }
}

function refusal(status: number, text: string): LogAnswer {
  const headers = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' };
  return { status, headers, body: Buffer.from(`${text}\n`) };
}

function listening(server: PlainServer | TlsServer, { host, port }: LogServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const code = cause.code === 'EADDRINUSE' ? 'conflict' : 'config.invalid';
      const why = cause.code ?? cause.message;
      reject(new PhtError(code, `cannot serve ledgers on ${host}:${port}: ${why}`, { cause }));
    });
    server.listen({ host, port }, resolve);
  });
}
