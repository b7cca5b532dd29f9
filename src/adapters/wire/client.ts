import { isIP } from 'node:net';
import type { DescService } from '@bufbuild/protobuf';
import {
  type ChannelOptions,
  credentials,
  Client as GrpcClient,
  logVerbosity,
  setLogVerbosity,
} from '@grpc/grpc-js';
import { PhtError } from '../../model/error.ts';
import type { Client } from '../../ports/wire.ts';
import { PinnedCredentials } from './credentials.ts';
import type { ServerMember, TlsSource } from './identity.ts';
import { KEEPALIVE, MESSAGE_BYTES_MAX, WINDOW_BYTES } from './limits.ts';
import { splitAddress } from './listener.ts';
import { methodsOf } from './methods.ts';
import { parseProxy } from './proxy.ts';

/** One connection to one member, kept up by itself; clients of several services share it. */
export type Channel = {
  client<S extends DescService>(service: S): Client<S>;
  /**
   * A new connection, with the certificates and keys of now, for all calls from now on. Calls that are under way end on
   * the one they began on.
   */
  renew(): void;
  close(): void;
};

export type ConnectOptions =
  | {
      /** `host:port` from the member's own configuration. */
      address: string;
      tls: TlsSource;
      serverMember: ServerMember | (() => ServerMember);
      /** `http://[user:password@]host:port`; the environment's proxies are ignored. */
      proxy?: string;
      /** How often an idle connection is pinged; for tests of proxies that cut it. */
      keepaliveMs?: number;
      /** How long the proxy and TLS together may take to answer; 15 s. */
      handshakeMs?: number;
    }
  | {
      /** `unix:/path` of a local admin socket. */
      address: string;
      tls: null;
    };

const HANDSHAKE_MS = 15_000;
/** A call that waits for its connection while another one is begun still gets it. */
const LINGER_MS = 60_000;

const SETTINGS: ChannelOptions = {
  'grpc.enable_http_proxy': 0,
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  'grpc-node.flow_control_window': WINDOW_BYTES,
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 5000,
  'grpc.dns_min_time_between_resolutions_ms': 1000,
  // No settings from DNS, no retries behind the caller's back, no sharing between identities.
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_retries': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_channelz': 0,
  ...KEEPALIVE,
};

/** @throws PhtError `config.invalid`; connecting itself happens with the first call */
export function connect(options: ConnectOptions): Channel {
  setLogVerbosity(logVerbosity.NONE);
  const open = (): GrpcClient => (options.tls === null ? overSocket(options.address) : overTls(options));
  let current = open();
  const lingering = new Map<GrpcClient, NodeJS.Timeout>();
  const leave = (grpc: GrpcClient): void => {
    clearTimeout(lingering.get(grpc));
    lingering.delete(grpc);
    grpc.close();
  };
  return {
    client: (service) => methodsOf(() => current, service),
    renew: () => {
      const old = current;
      current = open();
      lingering.set(old, setTimeout(() => leave(old), LINGER_MS).unref());
    },
    close: () => {
      current.close();
      for (const old of [...lingering.keys()]) leave(old);
    },
  };
}

function overSocket(address: string): GrpcClient {
  if (!address.startsWith('unix:')) {
    throw new PhtError('config.invalid', 'a network address needs TLS');
  }
  return new GrpcClient(address, credentials.createInsecure(), SETTINGS);
}

function overTls(options: Extract<ConnectOptions, { serverMember: unknown }>): GrpcClient {
  const { address, tls, handshakeMs = HANDSHAKE_MS } = options;
  const known = options.serverMember;
  const serverMember = typeof known === 'function' ? known : (): ServerMember => known;
  const { host } = splitAddress(address);
  const proxy = options.proxy === undefined ? null : parseProxy(options.proxy);
  const dialled =
    proxy === null ? address : `${proxy.host.includes(':') ? `[${proxy.host}]` : proxy.host}:${proxy.port}`;
  return new GrpcClient(
    `dns:${dialled}`,
    new PinnedCredentials({ target: address, tls, serverMember, proxy, handshakeMs }),
    {
      ...SETTINGS,
      ...(options.keepaliveMs === undefined ? {} : { 'grpc.keepalive_time_ms': options.keepaliveMs }),
      'grpc.default_authority': address,
      // Firewalls read the server name; RFC 6066 forbids an address there.
      'grpc.ssl_target_name_override': isIP(host) === 0 ? host : `${serverMember().memberId}.invalid`,
    },
  );
}
