import { resolve } from 'node:path';
import { writeAtomic } from '../adapters/home/files.ts';
import {
  encodeNetworkFile,
  importNetwork,
  networkPath,
  readNetworkFile,
} from '../adapters/home/network-file.ts';
import type { Network } from '../model/network.ts';
import type { Frame } from './frame.ts';
import { certify, switchTlsAuthority } from './network-certify.ts';
import {
  type Authority,
  BACKDATE_MS,
  DAY_MS,
  freshnessFor,
  listExpiryMs,
  nextMs,
  openAuthority,
  parseDays,
} from './network-desk.ts';
import { givenOutLines, giveOut } from './network-give-out.ts';

/** `pht network freshen`: the word that nothing is newer, and certificates that are due. Needs no passphrase. */

const WARN_DAYS = 60;
/** Everybody may read what is given out. */
const PUBLIC = 0o644;

export type FreshenOptions = { to?: string; giveOut?: true; certificateDays: string };

export async function freshen(frame: Frame, options: FreshenOptions): Promise<void> {
  const authority = openAuthority(frame);
  const certificateDays = parseDays('--certificate-days', options.certificateDays, 398);
  const { home } = authority;
  const { network, renewed, switched } = await freshened(frame, authority, certificateDays);
  warnOfEnds(frame, authority);
  const path = options.to === undefined ? networkPath(home) : resolve(options.to);
  if (options.to !== undefined)
    writeAtomic(path, encodeNetworkFile(readNetworkFile(networkPath(home))), PUBLIC);
  const givenOut = options.giveOut === true ? await giveOut(authority) : [];
  const { version, freshness } = network;
  frame.output.result(
    { networkId: network.id, version, freshness, certificates: renewed, networkFile: path, givenOut },
    [
      `version ${version} is the newest one, good until ${minuteOf(freshness.expiresMs)}`,
      ...(switched
        ? ['the new TLS authority issues from now on; retire the old one when all have theirs']
        : []),
      ...(renewed.length === 0 ? [] : [`renewed the certificates of ${renewed.join(', ')}`]),
      ...(givenOut.length === 0 ? [`Next: give ${path} to every member: pht network import FILE`] : []),
      ...givenOutLines(givenOut),
    ],
  );
}

async function freshened(
  frame: Frame,
  authority: Authority,
  certificateDays: number,
): Promise<{ network: Network; renewed: string[]; switched: boolean }> {
  const { home, files, network } = authority;
  const issuedAtMs = nextMs(frame, network);
  const switched = switchTlsAuthority(authority, issuedAtMs);
  const freshness = await freshnessFor(authority, network, issuedAtMs);
  const { certificates, renewed } = await certify(
    { ...authority, members: [...network.members.values()] },
    { notBeforeMs: issuedAtMs - BACKDATE_MS, notAfterMs: issuedAtMs + certificateDays * DAY_MS },
    issuedAtMs,
  );
  const imported = importNetwork(home, { ...files, freshness, certificates });
  return { network: imported.network, renewed, switched };
}

/** What a timer cannot renew, since it takes a passphrase or the offline root. */
function warnOfEnds(frame: Frame, { home, files, root }: Authority): void {
  const soonMs = frame.nowMs() + WARN_DAYS * DAY_MS;
  const ends = [
    ['the list of members', listExpiryMs(files), 'admit --renew'],
    ['the root', root.predicate.expiresMs, 'rotate root'],
  ] as const;
  for (const [what, endMs, command] of ends)
    if (endMs < soonMs)
      frame.output.warn(
        `${what} ends on ${dayOf(endMs)}: renew it with pht --home ${home.dir} network ${command}`,
      );
}

const dayOf = (timeMs: number): string => new Date(timeMs).toISOString().slice(0, 10);
const minuteOf = (timeMs: number): string =>
  `${new Date(timeMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
