import { X509Certificate } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { mismatchOf, type ServerMember, type TlsFiles } from '../adapters/wire/identity.ts';
import { splitAddress } from '../adapters/wire/listener.ts';
import { openTunnel, parseProxy } from '../adapters/wire/proxy.ts';
import { type Finding, fail, ok } from '../journey/station/doctor.ts';

/** The way to the dispatcher, one hop after the other, so that the one that fails has a name. */

const HOP_MS_MAX = 10_000;

export type Way = { address: string; proxy: string | undefined; tls: TlsFiles; serverMember: ServerMember };

/** @returns a finding for each hop, up to the first that fails */
export async function traceDispatcher(way: Way): Promise<Finding[]> {
  const findings: Finding[] = [];
  const proxy = way.proxy === undefined ? null : parseProxy(way.proxy);
  const target = splitAddress(way.address);
  const first = proxy ?? target;
  const name = proxy === null ? 'the dispatcher' : 'the proxy';
  const held: { socket: Socket | null } = { socket: null };
  /** @returns false when the hop failed, which is then on the list */
  const hop = async (check: string, work: () => Promise<string>, fix: string): Promise<boolean> => {
    try {
      findings.push(ok(check, await within(check, work())));
      return true;
    } catch (thrown) {
      findings.push(fail(check, 'unreachable', wordsOf(thrown), fix));
      return false;
    }
  };
  try {
    const found = await hop(
      'name (DNS)',
      async () =>
        isIP(first.host) === 0
          ? `${first.host} is ${(await lookup(first.host)).address}`
          : `${first.host} needs none`,
      `check dispatcher.address${proxy === null ? '' : ' and proxy'} in config.yaml, and the machine's name server`,
    );
    const reached =
      found &&
      (await hop(
        'connection (TCP)',
        async () => {
          held.socket = listened(connectTcp({ host: first.host, port: first.port }));
          await once(held.socket, 'connect');
          return `${name} answers at ${first.host}:${first.port}`;
        },
        `ask for an outbound rule to ${first.host}:${first.port}; and whether ${name} runs`,
      ));
    const through =
      reached &&
      (proxy === null ||
        (await hop(
          'proxy (CONNECT)',
          async () => {
            await openTunnel(opened(held.socket), way.address, proxy);
            return `${proxy.host}:${proxy.port} opens a tunnel to ${way.address}`;
          },
          `ask for ${way.address} to be allowed at the proxy, and check its credentials in config.yaml`,
        )));
    if (!through) return findings;
    await handshake(opened(held.socket), way, hop);
    return findings;
  } finally {
    held.socket?.destroy();
  }
}

type Hop = (check: string, work: () => Promise<string>, fix: string) => Promise<boolean>;

async function handshake(socket: Socket, { tls, serverMember }: Way, hop: Hop): Promise<void> {
  const held: { secure: TLSSocket | null } = { secure: null };
  const encrypted = await hop(
    'encryption (TLS)',
    async () => {
      held.secure = connectTls({
        socket,
        ca: tls.authorityPem,
        cert: tls.certificatePem,
        key: tls.privateKeyPem,
        minVersion: 'TLSv1.3',
        ALPNProtocols: ['h2'],
        servername: `${serverMember.memberId}.invalid`,
        checkServerIdentity: () => undefined,
      });
      await once(listened(held.secure), 'secureConnect');
      return `${held.secure.getProtocol() ?? 'TLS'} under the network's own authority`;
    },
    "something on the way breaks TLS open or another server answers: the network's traffic must pass unopened",
  );
  if (!encrypted) return;
  await hop(
    'identity',
    async () => {
      const { raw } = opened(held.secure).getPeerCertificate();
      const wrong = mismatchOf(raw, serverMember);
      if (wrong !== undefined) throw wrong;
      const until = new X509Certificate(raw).validToDate.toISOString().slice(0, 10);
      return `the server is ${serverMember.memberId}, as the network file names it; its certificate is good until ${until}`;
    },
    'check dispatcher.address in config.yaml, and that the network file is current: pht network import FILE',
  );
}

/** A connection that breaks between two hops is the next one's failure, not the process's. */
function listened<S extends Socket>(socket: S): S {
  socket.on('error', () => undefined);
  return socket;
}

/** Trying several addresses at once fails with several errors and no words of its own. */
function wordsOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.message === '') return thrown.errors.map(wordsOf).join('; ');
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function opened<S>(socket: S | null): S {
  if (socket === null) throw new Error('the hop before this one left no connection');
  return socket;
}

async function within<T>(what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what}: no answer within ${HOP_MS_MAX / 1000} s`)),
      HOP_MS_MAX,
    );
  });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
