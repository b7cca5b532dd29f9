import type { Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { CallCredentials, ChannelCredentials } from '@grpc/grpc-js';
import { filesOf, mismatchOf, type ServerMember, type TlsFiles, type TlsSource } from './identity.ts';
import { type HttpProxy, openTunnel } from './proxy.ts';

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>;
type ConnectorArguments = Parameters<ChannelCredentials['_createSecureConnector']>;

export type Dial = {
  target: string;
  tls: TlsSource;
  /** Asked for each connection, as its key may be renewed. */
  serverMember: () => ServerMember;
  proxy: HttpProxy | null;
  handshakeMs: number;
};

/**
 * Mutual TLS 1.3 to one pinned member, through the configured proxy if there is one. grpc-js takes its own proxy from
 * the environment and waits without end for a peer that accepts and says nothing; so both are done here, on the socket
 * that it has just connected. Each connection takes the certificates and keys of its own moment.
 */
export class PinnedCredentials extends ChannelCredentials {
  readonly #dial: Dial;

  constructor(dial: Dial) {
    super();
    this.#dial = dial;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(...parameters: ConnectorArguments): Connector {
    const { proxy, target, tls, serverMember, handshakeMs } = this.#dial;
    const secure = async (socket: Socket): ReturnType<Connector['connect']> => {
      const files = await filesOf(tls);
      if (proxy !== null) await openTunnel(socket, target, proxy);
      return credentialsOf(files, serverMember())
        ._createSecureConnector(...parameters)
        .connect(socket);
    };
    return {
      connect: (socket) => withinHandshake(socket, secure(socket), handshakeMs),
      waitForReady: async () => undefined,
      getCallCredentials: () => parameters[2] ?? CallCredentials.createEmpty(),
      destroy: () => undefined,
    };
  }
}

function credentialsOf(
  { authorityPem, certificatePem, privateKeyPem }: TlsFiles,
  serverMember: ServerMember,
): ChannelCredentials {
  const context = createSecureContext({
    ca: authorityPem,
    cert: certificatePem,
    key: privateKeyPem,
    minVersion: 'TLSv1.3',
  });
  return ChannelCredentials.createFromSecureContext(context, {
    // The host name plays no part: an address may change, the member and its key may not.
    checkServerIdentity: (_host, certificate) => mismatchOf(certificate.raw, serverMember),
  });
}

async function withinHandshake<T>(socket: Socket, work: Promise<T>, handshakeMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const broken = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('the handshake took too long')), handshakeMs);
    // A peer that hangs up during the handshake emits no error.
    socket.once('close', () => reject(new Error('the peer closed the connection during the handshake')));
  });
  broken.catch(() => undefined);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, broken]);
  } finally {
    clearTimeout(timer);
  }
}
