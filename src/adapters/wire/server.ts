import { once } from 'node:events';
import type { ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { PhtError } from '../../model/error.ts';
import type { Member, Network } from '../../model/network.ts';
import type { Bound, MethodAccess } from './bind.ts';
import { type Answerer, answererFor, type Frame } from './calls.ts';
import { filesOf, memberPresented, presentedIn, type TlsSource } from './identity.ts';
import { KEEPALIVE, MESSAGE_BYTES_MAX, WINDOW_BYTES } from './limits.ts';
import { type Listener, listenTls, listenUnix } from './listener.ts';
import { serviceDefinition } from './service-definition.ts';
import { type StandingWatch, watchStanding } from './standing-watch.ts';
import { createTlsRenewal } from './tls-renewal.ts';

/** Details first, then the message, as pino has it. */
export type WireLog = {
  debug(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
};

export type ServeOptions = {
  /** `host:port` with TLS, `unix:/path` without. */
  listen: string;
  /** Asked again whenever the network file has changed, for the connections from then on. */
  tls: TlsSource | null;
  /** The network file in force; asked anew for every call, and several times a second. */
  network: () => Network;
  services: readonly Bound[];
  log: WireLog;
  nowMs?: () => number;
  limits?: Partial<ServerLimits>;
};

export type ServerLimits = {
  unaryMsMax: number;
  streamMsMax: number;
  streamsPerConnectionMax: number;
  pingsPerWindowMax: number;
  pingWindowMs: number;
  /** How long running calls may take to end when the server closes. */
  graceMs: number;
};

const LIMITS: ServerLimits = {
  unaryMsMax: 60_000,
  streamMsMax: 15 * 60_000,
  streamsPerConnectionMax: 100,
  pingsPerWindowMax: 40,
  pingWindowMs: 10_000,
  graceMs: 2000,
};

/** gRPC over mutual TLS 1.3, or over a Unix socket for the local admin. */
export async function serve(options: ServeOptions): Promise<{ address: string; close(): Promise<void> }> {
  assertExposure(options);
  setLogVerbosity(logVerbosity.NONE);
  const limits = { ...LIMITS, ...options.limits };
  const closing = { streams: new AbortController(), all: new AbortController() };
  const server = new Server({
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
    'grpc.max_concurrent_streams': limits.streamsPerConnectionMax,
    'grpc-node.flow_control_window': WINDOW_BYTES,
    'grpc.enable_channelz': 0,
    ...KEEPALIVE,
  });
  const standing: Standing = { watch: null };
  for (const bound of options.services) addService(server, bound, { options, limits, closing, standing });
  // We accept connections ourselves: grpc-js offers neither TLS 1.3 alone nor a private Unix socket.
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  limitPings(server, limits, options.log);
  const connections = new Set<Socket>();
  const onConnection = (socket: Socket) => {
    connections.add(socket);
    standing.watch?.connection(socket);
    socket.once('close', () => connections.delete(socket));
    socket.setNoDelay(true);
    injector.injectConnection(socket);
  };
  const listener = await listen(options, onConnection, standing);
  return {
    address: listener.address,
    close: async () => {
      standing.watch?.close();
      const unbound = listener.close();
      closing.streams.abort();
      // Says goodbye on each connection, which ends with its last call; its own callback cannot be relied on.
      server.tryShutdown(() => undefined);
      await emptied(connections, limits.graceMs);
      closing.all.abort();
      server.forceShutdown();
      for (const socket of connections) socket.destroy();
      await unbound;
    },
  };
}

async function emptied(connections: ReadonlySet<Socket>, waitMs: number): Promise<void> {
  const patience = AbortSignal.timeout(waitMs);
  for (const socket of connections) {
    if (!socket.destroyed) await once(socket, 'close', { signal: patience }).catch(() => undefined);
  }
}

/** Null on a Unix socket, where nobody is a member. */
type Standing = { watch: StandingWatch | null };

async function listen(
  options: ServeOptions,
  onConnection: (socket: Socket) => void,
  standing: Standing,
): Promise<Listener> {
  const { tls, log } = options;
  if (tls === null) return listenUnix(options.listen.slice('unix:'.length), onConnection);
  const onRefused = (reason: string) => log.warn({ reason }, 'refused a connection');
  const files = await filesOf(tls);
  const listener = await listenTls(options.listen, files, onConnection, onRefused);
  const renewal = createTlsRenewal({
    source: tls,
    first: files,
    show: listener.renew,
    failed: (err) => log.error({ err }, 'connections go on with the certificate of before'),
    nowMs: options.nowMs ?? Date.now,
  });
  standing.watch = watchStanding({
    network: options.network,
    nowMs: options.nowMs ?? Date.now,
    changed: (now) => void renewal.look(now),
    closed: (member, why) => log.warn({ member, why }, 'closed a connection'),
    failed: (err) => log.error({ err }, 'the network file cannot be read'),
  });
  return {
    address: listener.address,
    close: () => {
      renewal.close();
      return listener.close();
    },
  };
}

/** Without TLS only local services on a Unix socket; over the network only services that name their roles. */
function assertExposure({ listen: address, tls, services }: ServeOptions): void {
  if (address.startsWith('unix:') !== (tls === null)) {
    throw new PhtError('config.invalid', 'a network address needs TLS, and a Unix socket has none');
  }
  for (const { service, access } of services) {
    if ((access.roles === 'local') !== (tls === null)) {
      throw new PhtError('config.invalid', `${service.typeName} must not be served on ${address}`);
    }
  }
}

type Serving = {
  options: ServeOptions;
  limits: ServerLimits;
  closing: { streams: AbortController; all: AbortController };
  standing: Standing;
};

function addService(
  server: Server,
  { service, implementation, access }: Bound,
  { options, limits, closing, standing }: Serving,
): void {
  const answerers: Record<string, Answerer> = {};
  for (const method of service.methods) {
    const own = access.methods?.[method.localName];
    const bodyOf = implementation[method.localName];
    if (typeof bodyOf !== 'function') throw new TypeError(`${method.name} has no implementation`);
    const roles = own?.roles ?? access.roles;
    const deadlineMs = own?.deadlineMs ?? defaultDeadlineMs(method, limits);
    const frame: Frame = {
      method,
      deadlineMs,
      closing: (deadlineMs === 'open' ? closing.streams : closing.all).signal,
      authenticate: (call) => {
        const raw = call.getAuthContext().sslPeerCertificate?.raw;
        return authenticate(raw, { roles, formerKeys: own?.formerKeys ?? false }, service, options);
      },
      watch: (check, end) => standing.watch?.call(check, end) ?? (() => undefined),
      onFailure: (path, caller, error) => logFailure(options.log, path, caller, error),
    };
    answerers[method.localName] = answererFor(frame, bodyOf.bind(implementation));
  }
  server.addService(serviceDefinition(service), answerers);
}

function defaultDeadlineMs(method: DescMethod, limits: ServerLimits): MethodAccess['deadlineMs'] & number {
  return method.methodKind === 'unary' ? limits.unaryMsMax : limits.streamMsMax;
}

function authenticate(
  certificate: Uint8Array | undefined,
  { roles, formerKeys }: { roles: Bound['access']['roles']; formerKeys: boolean },
  service: DescService,
  { network, nowMs = Date.now, tls }: ServeOptions,
): Member | null {
  if (roles === 'local' && tls === null) return null;
  if (certificate === undefined) throw new PhtError('forbidden', 'the caller showed no certificate');
  const member = memberPresented(presentedIn(certificate), network(), nowMs(), { formerKeys });
  if (roles === 'local' || !roles.includes(member.role)) {
    throw new PhtError('forbidden', `a ${member.role} may not call this method of ${service.name}`);
  }
  return member;
}

function logFailure(log: WireLog, path: string, caller: string | null, error: unknown): void {
  if (error instanceof PhtError && error.code !== 'internal') {
    log.debug({ path, caller, code: error.code }, 'a call was answered with an error');
  } else log.error({ path, caller, err: error }, 'a call failed');
}

/** A peer that pings without end costs a wake-up each; grpc-js leaves this to us and keeps its sessions private. */
function limitPings(server: Server, limits: ServerLimits, log: WireLog): void {
  for (const http2Server of server['http2Servers'].keys()) {
    http2Server.on('session', (session: ServerHttp2Session) => {
      let pings = 0;
      let windowStart = performance.now();
      session.on('ping', () => {
        const now = performance.now();
        if (now - windowStart > limits.pingWindowMs) [pings, windowStart] = [0, now];
        pings += 1;
        if (pings <= limits.pingsPerWindowMax || session.destroyed) return;
        log.warn({ remote: session.socket?.remoteAddress }, 'closed a connection that pinged too often');
        session.destroy();
      });
    });
  }
}
