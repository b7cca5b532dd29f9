import { readAdminConfig, readStationConfig } from '../adapters/home/config.ts';
import type { Home } from '../adapters/home/member.ts';
import { connect } from '../adapters/wire/client.ts';
import { AdminService } from '../gen/pht/v1/admin_pb.ts';
import { PhtError } from '../model/error.ts';
import type { Client } from '../ports/wire.ts';
import type { Frame } from './frame.ts';
import { adminSocketPath } from './station-paths.ts';

/** The way to the running agent of a station: its local socket. */

export type Socket = { socket?: string };

/** @throws PhtError `unreachable` with where the agent was looked for */
export async function withAgent<T>(
  frame: Frame,
  options: Socket,
  work: (agent: Client<typeof AdminService>, home: Home) => Promise<T>,
): Promise<T> {
  const home = frame.openHome(['admin', 'station']);
  const socket = socketOf(home, options);
  const channel = connect({ address: `unix:${socket}`, tls: null });
  try {
    return await work(channel.client(AdminService), home);
  } catch (thrown) {
    throw unansweredAt(socket, thrown);
  } finally {
    channel.close();
  }
}

/** "The peer" is a socket on this very machine: a person must know which, and what keeps it from answering. */
function unansweredAt(socket: string, thrown: unknown): unknown {
  if (!(thrown instanceof PhtError) || thrown.code !== 'unreachable') return thrown;
  const closed = thrown.message.includes('EACCES');
  return new PhtError('unreachable', `the station's agent does not answer at ${socket}: ${thrown.message}`, {
    cause: thrown,
    hint: closed
      ? 'this user may not reach it: adminSocket.group in the station’s config.yaml names who may'
      : 'start it with pht station serve; it prints where it listens, which is adminSocket.path here, or --socket PATH',
  });
}

function socketOf(home: Home, options: Socket): string {
  if (options.socket !== undefined) return options.socket;
  if (home.member.role === 'station') return adminSocketPath(home.dir, readStationConfig(home.dir));
  const path = readAdminConfig(home.dir).adminSocket?.path;
  if (path !== undefined) return path;
  throw new PhtError('config.missing', "this home does not say where the station's admin socket is", {
    hint: `name it as adminSocket.path in ${home.dir}/config.yaml, or with --socket PATH; 'station serve' prints it`,
  });
}

/** The station that this home speaks for. @throws PhtError `config.invalid` */
export function stationOf({ member }: Home): string {
  const station = member.role === 'station' ? member.id : member.station;
  if (station !== undefined) return station;
  throw new PhtError('config.invalid', 'this home does not say whose admin it belongs to');
}
