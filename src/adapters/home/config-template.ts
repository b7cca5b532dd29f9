import { PhtError } from '../../model/error.ts';
import type { Role } from '../../model/network.ts';

/** The first `config.yaml` of each role: what must be said, and in comments what may be. */

/** `host:port`; an IPv6 host stands in brackets. */
export const ADDRESS: RegExp = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}$/;

const STATION = (
  address: string,
): string => `# The dispatcher that this station dials; the station itself listens on nothing.
dispatcher:
  address: ${address}

# The way out, where the hospital has one. Nothing is taken from the environment.
# proxy: http://proxy.example.org:3128

# The user and group that trains run as; never 0. It must be able to read each dataset.
runAs: '65534:65534'

# How much a refusal tells the researcher: code alone, which rules failed (rules), or each clause with values (full).
explanations: rules

# A local command that is told when a train waits for a person: its id and 'ask', a line each, on standard input.
# notify:
#   command: [/usr/local/bin/tell-the-admins]
#   when: daily
#   at: '08:00'

# Whether researchers may ask beforehand what a train would meet here: allowed or refused.
# inquiries: allowed

# Where admins reach this station (default: admin.sock in this home), and the group that may besides the owner.
# adminSocket:
#   path: /run/signalbox/admin.sock
#   group: signalbox-admins

# The container engine, where it is not at DOCKER_HOST or the default socket.
# engine:
#   socket: /run/docker.sock
#   acceptEngineRisks: []

# The most that one train may ask for.
# limits:
#   memoryBytesMax: 4294967296
#   cpuMillis: 2000
#   pidsMax: 256
#   wallMsMax: 3600000
#   outputBytesMax: 1048576
#   scratchBytesMax: 268435456

disclosure:
  preset: sacro
`;

const DISPATCHER = (address: string): string => `# Where stations and people reach this dispatcher.
listen: ${address}

# quotas:
#   openTrainsPerResearcherMax: 100
#   blobBytesPerTrainMax: 8589934592

# Where members read all ledgers over HTTPS, each with its own certificate. anonymous: true answers anybody who asks,
# without a certificate, and on a loopback address without TLS.
# logs:
#   listen: '127.0.0.1:7444'
#   anonymous: false
`;

const ADMIN = `# Where the agent of this admin's station listens: 'station serve' prints it. It is admin.sock in the station's home,
# unless the station's config.yaml names another path.
adminSocket:
  path: /run/signalbox/admin.sock
`;

const MEMBER = (address: string): string => `# The dispatcher that trains and results travel through.
dispatcher:
  address: ${address}
`;

const AUTHORITY = `# The dispatchers that pht network freshen, admit and revoke hand the network file to, with --give-out.
# Each as { id: dispatcher, address: 'dispatcher.example.org:7443' }.
dispatchers: []

# The way out, where there is one. Nothing is taken from the environment.
# proxy: http://proxy.example.org:3128
`;

/**
 * @param address `host:port` of the dispatcher
 * @returns null for a role that needs no configuration
 * @throws PhtError `usage.invalid`
 */
export function templateOf(role: Role, address: string): string | null {
  if (!ADDRESS.test(address)) {
    throw new PhtError('usage.invalid', 'the dispatcher address is not of the form host:port');
  }
  if (role === 'station') return STATION(quoted(address));
  if (role === 'dispatcher') return DISPATCHER(quoted(address));
  if (role === 'admin') return ADMIN;
  if (role === 'authority') return AUTHORITY;
  return role === 'researcher' || role === 'auditor' ? MEMBER(quoted(address)) : null;
}

/** YAML would take `[::1]:7443` for a list. */
const quoted = (address: string): string => `'${address}'`;
