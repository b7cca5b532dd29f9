import type { DispatcherConfig } from '../adapters/home/config.ts';
import { type LogServer, serveLogs } from '../adapters/http/log-server.ts';
import { memberBehind, type TlsFiles } from '../adapters/wire/identity.ts';
import { splitAddress } from '../adapters/wire/listener.ts';
import { PhtError } from '../model/error.ts';
import type { Network, Role } from '../model/network.ts';
import type { ShownLogs } from '../ports/mirror.ts';

/** The same members as over gRPC. */
const READERS: readonly Role[] = ['auditor', 'researcher', 'admin', 'station'];

/** Serves all ledgers over HTTP as `config.logs` says. @returns null where it says nothing */
export async function serveLogFiles(
  config: DispatcherConfig['logs'],
  parts: {
    network: () => Network;
    tls: TlsFiles;
    logs: ShownLogs;
    log: { warn(details: object, message: string): void; error(details: object, message: string): void };
  },
): Promise<LogServer | null> {
  if (config === undefined) return null;
  const { network, tls, logs, log } = parts;
  const { host, port } = splitAddress(config.listen);
  const plain = config.anonymous && isLoopback(host);
  const admit = (certificate: Uint8Array): void => {
    const { role } = memberBehind(certificate, network(), Date.now());
    if (!READERS.includes(role)) throw new PhtError('forbidden', `a ${role} may not read ledgers here`);
  };
  const server = await serveLogs({
    ...{ host, port, networkId: network().id, logs },
    access: config.anonymous
      ? { kind: 'anonymous', tls: plain ? null : tls }
      : { kind: 'members', tls, admit },
    failed: (thrown) => log.error({ err: thrown }, 'a ledger could not be served'),
  });
  if (config.anonymous) {
    const how = plain ? 'over plain HTTP on this machine' : 'over HTTPS without client certificates';
    log.warn({ address: server.address }, `anybody may read all ledgers ${how}: logs.anonymous is set`);
  }
  return server;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.[0-9]{1,3}){3}$/.test(host);
}
