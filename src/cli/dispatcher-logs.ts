import type { DispatcherConfig } from '../adapters/home/config.ts';
import { type LogServer, serveLogs } from '../adapters/http/log-server.ts';
import { filesOf, memberBehind, type TlsFiles, type TlsSource } from '../adapters/wire/identity.ts';
import { splitAddress } from '../adapters/wire/listener.ts';
import { type StandingWatch, watchStanding } from '../adapters/wire/standing-watch.ts';
import { createTlsRenewal } from '../adapters/wire/tls-renewal.ts';
import { PhtError } from '../model/error.ts';
import type { Network, Role } from '../model/network.ts';
import type { ShownLogs } from '../ports/mirror.ts';

/** The same members as over gRPC. */
const READERS: readonly Role[] = ['auditor', 'researcher', 'admin', 'station'];

type Parts = {
  network: () => Network;
  tls: TlsSource;
  logs: ShownLogs;
  log: { warn(details: object, message: string): void; error(details: object, message: string): void };
};

/** Serves all ledgers over HTTP as `config.logs` says. @returns null where it says nothing */
export async function serveLogFiles(
  config: DispatcherConfig['logs'],
  parts: Parts,
): Promise<Pick<LogServer, 'address' | 'close'> | null> {
  if (config === undefined) return null;
  const { network, logs, log } = parts;
  const { host, port } = splitAddress(config.listen);
  const plain = config.anonymous && isLoopback(host);
  const admit = (certificate: Uint8Array): void => {
    const { role } = memberBehind(certificate, network(), Date.now());
    if (!READERS.includes(role)) throw new PhtError('forbidden', `a ${role} may not read ledgers here`);
  };
  const tls = await filesOf(parts.tls);
  let watch: StandingWatch | null = null;
  const server = await serveLogs({
    ...{ host, port, networkId: network().id, logs },
    access: config.anonymous
      ? { kind: 'anonymous', tls: plain ? null : tls }
      : { kind: 'members', tls, admit },
    connected: (socket) => watch?.connection(socket),
    failed: (thrown) => log.error({ err: thrown }, 'a ledger could not be served'),
  });
  watch = watchFor(server, tls, parts);
  if (config.anonymous) {
    const how = plain ? 'over plain HTTP on this machine' : 'over HTTPS without client certificates';
    log.warn({ address: server.address }, `anybody may read all ledgers ${how}: logs.anonymous is set`);
  }
  const close = (): Promise<void> => {
    watch?.close();
    return server.close();
  };
  return { address: server.address, close };
}

/** Members that are none any more lose their connections, and a renewed certificate is shown from then on. */
function watchFor(server: LogServer, first: TlsFiles, { network, tls, log }: Parts): StandingWatch {
  const renewal = createTlsRenewal({
    ...{ source: tls, first, show: server.renew, nowMs: Date.now },
    failed: (err) => log.error({ err }, 'ledgers are served with the certificate of before'),
  });
  const watch = watchStanding({
    network,
    nowMs: Date.now,
    changed: (now) => void renewal.look(now),
    closed: (member, why) => log.warn({ member, why }, 'closed a connection to the ledgers'),
    // The other listener looks at the same file, and says so.
    failed: () => undefined,
  });
  const close = (): void => {
    renewal.close();
    watch.close();
  };
  return { ...watch, close };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.[0-9]{1,3}){3}$/.test(host);
}
