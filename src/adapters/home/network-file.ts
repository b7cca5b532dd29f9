import { type BigIntStats, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Envelope, encodeEnvelope, parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { type Network, openNetwork } from '../../model/network.ts';
import { parseWith, Sha256Hex } from '../../model/schema.ts';
import { fileError, readBounded, writeAtomic } from './files.ts';
import type { Home } from './member.ts';

/** `network.json` in a home: the pinned network, which never goes back to an older version. */

export type NetworkFiles = { root: Envelope; members: Envelope };

const NETWORK_BYTES_MAX = 2 * 1024 * 1024;
const SEEN_BYTES_MAX = 1024;

const Parts = z.strictObject({ root: z.json(), members: z.json() });
const Seen = z.strictObject({ v: z.literal(1), version: z.int().min(1), digest: Sha256Hex });
type Seen = z.infer<typeof Seen>;

/** @throws PhtError `input.too-large`, `input.malformed`, `statement.malformed` */
export function parseNetworkFile(bytes: Uint8Array, what: string): NetworkFiles {
  const parts = parseWith(Parts, bytes, { bytesMax: NETWORK_BYTES_MAX, what });
  // Envelopes are not what is signed, so writing them anew changes no signed byte.
  const part = (name: 'root' | 'members'): Envelope =>
    parseEnvelope(Buffer.from(JSON.stringify(parts[name])), `${what}: ${name}`);
  return { root: part('root'), members: part('members') };
}

function encodeNetworkFile({ root, members }: NetworkFiles): string {
  const text = (envelope: Envelope): string => Buffer.from(encodeEnvelope(envelope)).toString('utf8');
  return `{"root":${text(root)},\n"members":${text(members)}}\n`;
}

export function readNetworkFile(path: string): NetworkFiles {
  return parseNetworkFile(readBounded(path, NETWORK_BYTES_MAX, 'the network file'), path);
}

const FILE = 'network.json';
const SEEN_FILE = 'network-seen.json';

export const networkPath = (home: Home): string => join(home.dir, FILE);

type Cached = { stamp: string; network: Network };
const cache = new WeakMap<Home, Cached>();

/**
 * The network as this home's file has it now, verified down to the pinned root. Costs one `stat` while the file stays
 * as it is. A file that was replaced by an older or a forked one is refused rather than ignored.
 *
 * @throws PhtError `config.missing`, `network.mismatch`, `network.invalid`, `network.rollback`, `signature.invalid`
 */
export function currentNetwork(home: Home): Network {
  const stamp = stampOf(networkPath(home));
  const cached = cache.get(home);
  if (cached?.stamp === stamp) return cached.network;
  const network = openNetwork(readNetworkFile(networkPath(home)), home.member.networkId);
  const seen = readSeen(home);
  assertForward(seen, network);
  if (seen === null || network.version > seen.version) writeSeen(home.dir, network);
  cache.set(home, { stamp, network });
  return network;
}

function stampOf(path: string): string {
  let stat: BigIntStats;
  try {
    stat = statSync(path, { bigint: true });
  } catch (cause) {
    throw fileError(cause, path, '(the network file) could not be read');
  }
  return `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
}

/**
 * Takes over a network file that came out of band or from a peer.
 *
 * @returns the network now in force, and whether anything changed
 * @throws PhtError `network.mismatch`, `network.rollback`, `network.invalid`, `signature.invalid`
 */
export function importNetwork(home: Home, files: NetworkFiles): { network: Network; changed: boolean } {
  const network = openNetwork(files, home.member.networkId);
  const seen = readSeen(home);
  assertForward(seen, network);
  assertOwnEntry(home, network);
  if (seen !== null && network.version === seen.version && holds(home, network))
    return { network, changed: false };
  storeNetwork(home.dir, files, network);
  return { network, changed: true };
}

/** False when the file is missing or damaged, so that importing repairs it. */
function holds(home: Home, network: Network): boolean {
  try {
    return currentNetwork(home).digest === network.digest;
  } catch (cause) {
    if (cause instanceof PhtError) return false;
    throw cause;
  }
}

function assertForward(seen: Seen | null, network: Network): void {
  if (seen === null) return;
  if (network.version < seen.version) {
    throw new PhtError(
      'network.rollback',
      `the network file has version ${network.version}, but this home has already seen version ${seen.version}`,
      {
        hint: 'ask the network authority for its current file; an older one may name members that were revoked',
      },
    );
  }
  if (network.version === seen.version && network.digest !== seen.digest) {
    throw new PhtError(
      'network.invalid',
      `two different network files both claim version ${network.version}; that is misconduct of the authority`,
      { hint: 'keep both files and show them to the other members' },
    );
  }
}

/** A file that lists this member under another role is not about this member. */
function assertOwnEntry(home: Home, network: Network): void {
  const entry = network.members.get(home.member.id);
  if (entry === undefined || entry.role === home.member.role) return;
  throw new PhtError(
    'network.invalid',
    `the network file lists ${entry.id} as ${entry.role}, not as ${home.member.role}`,
  );
}

function readSeen(home: Home): Seen | null {
  const path = join(home.dir, SEEN_FILE);
  let bytes: Uint8Array;
  try {
    bytes = readBounded(path, SEEN_BYTES_MAX, 'the highest network version seen');
  } catch (cause) {
    if (cause instanceof PhtError && cause.code === 'config.missing') return null;
    throw cause;
  }
  return parseWith(Seen, bytes, { bytesMax: SEEN_BYTES_MAX, what: path }, 'config.invalid');
}

/** Writes a network that was verified. A crash between the two files is made good by the next reading. */
export function storeNetwork(dir: string, files: NetworkFiles, network: Network): void {
  writeAtomic(join(dir, FILE), encodeNetworkFile(files));
  writeSeen(dir, network);
}

function writeSeen(dir: string, { version, digest }: Network): void {
  writeAtomic(join(dir, SEEN_FILE), `${JSON.stringify({ v: 1, version, digest } satisfies Seen)}\n`);
}
