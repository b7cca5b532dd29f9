import type { NetworkService } from '../../gen/pht/v1/network_pb.ts';
import { parseEnvelope } from '../../model/dsse.ts';
import { asPhtError, type ErrorCode, type PhtError } from '../../model/error.ts';
import { isSealed } from '../../model/hop.ts';
import { lastEntry } from '../../model/ledger/last-entry.ts';
import { datesOf, inLastThird, readCertificate } from '../../model/member-certificate.ts';
import type { Network } from '../../model/network.ts';
import { heldVersions, joined } from '../../model/network-news.ts';
import { verifyOrder } from '../../model/order.ts';
import { SKEW_MS } from '../../model/skew.ts';
import { recipientKeys, verifyManifest } from '../../model/train.ts';
import type { LedgerRows } from '../../ports/ledger.ts';
import type { NetworkCopy } from '../../ports/network-copy.ts';
import type { HopRecord, HopStore, StationLog } from '../../ports/station-store.ts';
import type { Client } from '../../ports/wire.ts';
import { createBell } from './bell.ts';
import { NO_HOP } from './forget.ts';
import type { Rejects } from './rejects.ts';
import type { Station } from './stages.ts';
import type { Visits } from './visits.ts';

const FETCH_DEADLINE_MS = 60_000;
const LOOK_MS = 500;

export type FollowTimes = { readonly againMs: number; readonly againMsMax: number };
/** After an attempt that brought nothing; a dispatcher that names versions it does not have is not asked more often. */
const TIMES: FollowTimes = { againMs: 2_000, againMsMax: 60_000 };

export type FollowPorts = {
  client: Pick<Client<typeof NetworkService>, 'fetch'>;
  copy: Pick<NetworkCopy, 'take'>;
  /** Has keys at hand that a file may name from the moment it is in force, or takes up those that it names. */
  prepare(): Promise<void>;
  hops: Pick<HopStore, 'open' | 'find'>;
  visits: Pick<Visits, 'start' | 'cancel'>;
  rejects: Rejects;
  log: Pick<StationLog, 'append'>;
  ledgerRows: Pick<LedgerRows, 'size' | 'read'>;
  /** Certificates, TLS keys or their authorities are other ones, or orders were left: all begins with an announcement. */
  renewed(): void;
  /** What else there is to look at every so often. */
  looked?(): void;
  times?: FollowTimes;
};

export type NetworkFollower = {
  /** What the dispatcher says it has; a claim that costs one question. */
  heard(theirs: { networkVersion: number; freshnessIssuedAtMs: bigint }): void;
  /** Asks before long. */
  want(): void;
  /** A statement names a later version. `again`: the dispatcher has to offer it anew. */
  behind(again: boolean): void;
  /** Acts on the file as it is now: another process may have changed it. */
  look(): void;
  keep(signal: AbortSignal): Promise<void>;
};

/** Keeps this station's network file the newest one, believing its signatures alone, and acts on what it says. */
export function createNetworkFollower(station: Station, ports: FollowPorts): NetworkFollower {
  const { againMs, againMsMax } = ports.times ?? TIMES;
  const bell = createBell();
  let wanted = true;
  let inVain = 0;
  let notBeforeMs = 0;
  let told = '';
  let left = false;
  let claimed = { networkVersion: 0, freshnessIssuedAtMs: 0n };
  const look = createLook(station, ports);

  const want = (): void => {
    wanted = true;
    bell.ring();
  };

  /** @returns nothing when there is no news, or nobody to ask */
  const ask = async (signal: AbortSignal): Promise<Uint8Array> => {
    const held = heldVersions(station.network(), station.id);
    try {
      return await joined(ports.client.fetch(held, { deadlineMs: FETCH_DEADLINE_MS, signal }));
    } catch (thrown) {
      const error = asPhtError(thrown);
      if (error.code === 'input.too-large') refuse(error);
      else wanted = true;
      return new Uint8Array();
    }
  };

  /** What is refused changes nothing: the file that is here stays in force. */
  const take = (file: Uint8Array): boolean => {
    try {
      const { changed } = ports.copy.take(file);
      told = '';
      return changed;
    } catch (thrown) {
      refuse(asPhtError(thrown));
      return false;
    }
  };

  const refuse = (error: PhtError): void => {
    ports.rejects.count(error.code, 'network');
    complain('a network file was not taken over', error);
  };

  /** Once of each, not at every attempt. */
  const complain = (text: string, error: PhtError): void => {
    const { code } = error;
    if (told !== `${text} ${code}`) station.note(text, { code, error });
    told = `${text} ${code}`;
  };

  const prepared = async (): Promise<void> => {
    try {
      await ports.prepare();
    } catch (thrown) {
      complain('new keys of this station cannot be used', asPhtError(thrown));
    }
  };

  const fetchOnce = async (signal: AbortSignal): Promise<void> => {
    wanted = false;
    const file = await ask(signal);
    if (signal.aborted) return;
    await prepared();
    const brought = file.byteLength > 0 && take(file);
    if (brought) {
      look();
      await prepared();
    }
    if (brought && left) {
      left = false;
      ports.renewed();
    }
    inVain = brought ? 0 : inVain + 1;
    const waitMs = brought ? 0 : Math.min(againMsMax, againMs * 2 ** Math.min(inVain - 1, 10));
    notBeforeMs = performance.now() + waitMs;
  };

  return {
    want,
    look,
    heard: (theirs) => {
      const { version, freshness } = station.network();
      const newer =
        theirs.networkVersion > version || theirs.freshnessIssuedAtMs > BigInt(freshness.issuedAtMs);
      if (!newer) return;
      // A claim that was followed in vain already waits its turn.
      const isNew =
        theirs.networkVersion > claimed.networkVersion ||
        theirs.freshnessIssuedAtMs > claimed.freshnessIssuedAtMs;
      if (isNew) notBeforeMs = 0;
      claimed = theirs;
      want();
    },
    behind: (again) => {
      left ||= again;
      notBeforeMs = Math.min(notBeforeMs, performance.now() + againMs);
      want();
    },
    keep: async (signal) => {
      const ticking = setInterval(bell.ring, LOOK_MS);
      try {
        while (!signal.aborted) {
          await prepared();
          look();
          ports.looked?.();
          if (!wanted) wanted = isDue(station);
          if (wanted && performance.now() >= notBeforeMs) await fetchOnce(signal);
          await bell.wait(signal);
        }
      } finally {
        clearInterval(ticking);
      }
    },
  };
}

/** Half of the word on freshness is over or it is of the future, or two thirds of the own certificate are. */
function isDue(station: Station): boolean {
  const { freshness, certificates } = station.network();
  const nowMs = station.clock.nowMs();
  const { issuedAtMs, expiresMs } = freshness;
  // A thief's word is never old: only a newer root ends it.
  if (issuedAtMs > nowMs + SKEW_MS) return true;
  if (nowMs >= issuedAtMs + (expiresMs - issuedAtMs) / 2) return true;
  const own = readCertificate(certificates.get(station.id) ?? '');
  return own === null || inLastThird(datesOf(own), nowMs);
}

/** @returns acts once on each file, and again when that failed */
function createLook(station: Station, ports: FollowPorts): () => void {
  let seen: Network | null = null;
  let trouble: ErrorCode | null = null;
  const act = (network: Network): void => {
    if (network.digest !== seen?.digest) noteList(network, station, ports);
    for (const { hopId, state } of ports.hops.open()) {
      const hop = isSealed(state) ? null : ports.hops.find(hopId);
      if (hop === null) continue;
      const over = endOf(hop, network, station);
      if (over === null) ports.visits.start(hop.hopId);
      else ports.visits.cancel(hop.hopId, over);
    }
    if (seen !== null && tlsIn(network, station.id) !== tlsIn(seen, station.id)) ports.renewed();
  };
  return () => {
    const network = station.network();
    if (network === seen) return;
    try {
      act(network);
      seen = network;
      trouble = null;
    } catch (thrown) {
      const { code } = asPhtError(thrown);
      if (code !== trouble) station.note('the network file could not be followed', { code, error: thrown });
      trouble = code;
    }
  };
}

/** Each list of members once, whatever a crash cut short. */
function noteList(
  { version, digest, rootVersion }: Network,
  station: Station,
  { log, ledgerRows }: FollowPorts,
): void {
  const last = lastEntry(ledgerRows, 'network.changed')?.body;
  if (last?.['version'] === version && last['digest'] === digest) return;
  const body = { version, digest, rootVersion };
  log.append([{ type: 'network.changed', ...NO_HOP, body }], station.clock.nowMs());
}

/** What no waiting mends once the list says so. Everything else is for the hop's own steps. */
const ENDS: ReadonlySet<ErrorCode> = new Set(['signer.revoked', 'signer.unknown', 'recipient.unknown']);

/** Whose word the hop stands on: dispatcher, researcher and recipients. null while all of it counts. */
function endOf(hop: HopRecord, network: Network, station: Station): PhtError | null {
  try {
    verifyOrder(parseEnvelope(hop.order, 'order'), network, station.id);
    const envelope = parseEnvelope(hop.manifest, 'manifest');
    recipientKeys(verifyManifest(envelope, network, station.clock.nowMs()).predicate, network);
    return null;
  } catch (thrown) {
    const error = asPhtError(thrown);
    return ENDS.has(error.code) ? error : null;
  }
}

/** What a connection to any dispatcher is made from. */
function tlsIn({ members, certificates, tlsAuthorities }: Network, own: string): string {
  const dispatchers = [...members.values()].filter(({ role }) => role === 'dispatcher');
  const keys = dispatchers.map(({ id, keys: { tls } }) => [id, tls?.x]);
  return JSON.stringify([keys, certificates.get(own), members.get(own)?.keys.tls?.x, tlsAuthorities]);
}
