import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { asPhtError, type PhtError } from '../../model/error.ts';
import type { Network } from '../../model/network.ts';
import { assertIssued, memberPresented, type Presented, presentedIn } from './identity.ts';

/**
 * Ends what a member has open as soon as it is one no more: connections, idle ones as well, and the calls on them. The
 * network file may be changed by another process, so it is looked at and not waited for.
 */

const LOOK_MS = 250;
/** So that the calls on a connection end with words, and only then with it. */
const GOODBYE_MS = 250;
/** Whoever was none to begin with hears that as the answer to a call, if it makes one. */
const STRANGER_MS = 15_000;

export type StandingWatch = {
  connection(socket: Socket): void;
  /**
   * A call that is under way.
   *
   * @param check throws for whoever may not go on with it, and `end` is then told why
   * @returns to be called when it has ended
   */
  call(check: () => void, end: (why: PhtError) => void): () => void;
  close(): void;
};

export type WatchPorts = {
  network: () => Network;
  nowMs: () => number;
  /** Told of each network file but the first. */
  changed: (network: Network) => void;
  /** Of a connection that was closed, with the member's id as its certificate has it. */
  closed: (member: string, why: string) => void;
  /** The network file cannot be read: told once each time. */
  failed: (error: unknown) => void;
};

export function watchStanding(ports: WatchPorts): StandingWatch {
  const open = new Map<Socket, Presented>();
  const calls = new Set<{ check: () => void; end: (why: PhtError) => void }>();
  let known: Network | null = null;
  let failing = false;

  const read = (): Network | null => {
    try {
      const network = ports.network();
      failing = false;
      return network;
    } catch (thrown) {
      // Calls fail by themselves meanwhile, and what was good stays connected.
      if (!failing) ports.failed(thrown);
      failing = true;
      return null;
    }
  };

  const look = (): void => {
    const network = read();
    if (network === null) return;
    const changed = network !== known;
    if (changed && known !== null) ports.changed(network);
    known = network;
    const over = [...open].filter(([socket, presented]) => {
      const why = faultOf(presented, network, ports.nowMs(), changed);
      if (why === null) return false;
      open.delete(socket);
      ports.closed(presented.memberId ?? '', why.message);
      setTimeout(() => socket.destroy(), GOODBYE_MS).unref();
      return true;
    });
    if (changed || over.length > 0) for (const call of calls) judge(call);
  };

  const judge = ({ check, end }: { check: () => void; end: (why: PhtError) => void }): void => {
    try {
      check();
    } catch (thrown) {
      end(asPhtError(thrown));
    }
  };

  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  look();
  return {
    connection: (socket) => {
      if (!(socket instanceof TLSSocket)) return;
      const { raw } = socket.getPeerCertificate();
      if (raw === undefined) return;
      const presented = presentedIn(raw);
      socket.once('close', () => open.delete(socket));
      if (known === null || faultOf(presented, known, ports.nowMs(), true) === null) {
        open.set(socket, presented);
      } else setTimeout(() => socket.destroy(), STRANGER_MS).unref();
    },
    call: (check, end) => {
      const call = { check, end };
      calls.add(call);
      return () => void calls.delete(call);
    },
    close: () => clearInterval(timer),
  };
}

function faultOf(presented: Presented, network: Network, nowMs: number, changed: boolean): PhtError | null {
  if (!changed && nowMs <= presented.notAfterMs) return null;
  try {
    memberPresented(presented, network, nowMs);
    if (changed) assertIssued(presented, network);
    return null;
  } catch (thrown) {
    return asPhtError(thrown);
  }
}
