import { membersOf, type Network } from '../../model/network.ts';
import type { Clock } from '../../ports/clock.ts';
import type { StationRecord, Stations } from '../../ports/dispatcher-store.ts';

/** Which stations are there now. Online means an open wake stream; the rest is what they announced last. */
export interface Presence {
  announced(station: string, descriptions: readonly Uint8Array[]): void;
  /** @returns to be called when the stream has ended */
  connected(station: string): () => void;
  seen(station: string): void;
  stations(): (StationRecord & { online: boolean })[];
  /** `seenMs` is 0 for one that was never here. */
  of(station: string): { online: boolean; seenMs: number };
}

export function createPresence(stations: Stations, clock: Clock, network: () => Network): Presence {
  const streams = new Map<string, number>();
  const lastSeenMs = new Map(stations.list().map(({ station, lastSeenMs: ms }) => [station, ms]));
  const seen = (station: string): void => void lastSeenMs.set(station, clock.nowMs());
  return {
    seen,
    announced: (station, descriptions) => {
      seen(station);
      stations.announce({ station, descriptions, lastSeenMs: clock.nowMs() });
    },
    connected: (station) => {
      seen(station);
      streams.set(station, (streams.get(station) ?? 0) + 1);
      return () => {
        streams.set(station, (streams.get(station) ?? 1) - 1);
        // Only now on disk: a write for each heartbeat would cost more than it tells.
        stations.seen(station, clock.nowMs());
      };
    },
    of: (station) => ({
      online: (streams.get(station) ?? 0) > 0,
      seenMs: lastSeenMs.get(station) ?? 0,
    }),
    stations: () => {
      const known = new Map(stations.list().map((record) => [record.station, record]));
      return membersOf(network(), 'station').map(({ id }) => {
        const record = known.get(id) ?? { station: id, lastSeenMs: 0, descriptions: [] };
        return {
          ...record,
          lastSeenMs: Math.max(record.lastSeenMs, lastSeenMs.get(id) ?? 0),
          online: (streams.get(id) ?? 0) > 0,
        };
      });
    },
  };
}
