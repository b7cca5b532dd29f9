import { join } from 'node:path';
import { z } from 'zod';
import { PhtError } from '../../model/error.ts';
import type { Network } from '../../model/network.ts';
import { parseWith, Sha256Hex, TimestampMs } from '../../model/schema.ts';
import { readBounded, writeAtomic } from './files.ts';
import type { Home } from './member.ts';
import { rollback } from './network-merge.ts';

/** `network-seen.json`: the newest network that this home has seen, so that no older file comes back unnoticed. */

const SEEN_BYTES_MAX = 1024;
const SEEN_FILE = 'network-seen.json';

const Seen = z.strictObject({
  v: z.literal(2),
  version: z.int().min(1),
  digest: Sha256Hex,
  rootVersion: z.int().min(1),
  freshnessIssuedAtMs: TimestampMs,
});
type Seen = z.infer<typeof Seen>;

/** @throws PhtError `network.rollback`, `network.forked` */
export function assertForward(seen: Seen | null, network: Network): void {
  if (seen === null) return;
  if (network.version < seen.version) throw rollback(network.version, seen.version);
  if (network.version === seen.version && network.digest !== seen.digest) {
    throw new PhtError(
      'network.forked',
      `two different network files both claim version ${network.version}; that is misconduct of the authority`,
      { hint: 'keep both files and show them to the other members' },
    );
  }
  if (network.rootVersion < seen.rootVersion)
    throw new PhtError(
      'network.rollback',
      `the network file has root ${network.rootVersion}, but this home has already seen root ${seen.rootVersion}`,
      { hint: 'ask the network authority for its current file' },
    );
  if (network.rootVersion === seen.rootVersion && network.freshness.issuedAtMs < seen.freshnessIssuedAtMs)
    throw new PhtError('network.rollback', 'the network file is an older copy than this home has seen', {
      hint: 'ask the network authority for its current file',
    });
}

export function isAhead(network: Network, seen: Seen): boolean {
  const { version, rootVersion, freshness } = network;
  return (
    version > seen.version ||
    rootVersion > seen.rootVersion ||
    freshness.issuedAtMs > seen.freshnessIssuedAtMs
  );
}

/** null before the first. @throws PhtError `config.invalid` */
export function readSeen(home: Home): Seen | null {
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

export function writeSeen(dir: string, { version, digest, rootVersion, freshness }: Network): void {
  const seen: Seen = { v: 2, version, digest, rootVersion, freshnessIssuedAtMs: freshness.issuedAtMs };
  writeAtomic(join(dir, SEEN_FILE), `${JSON.stringify(seen)}\n`);
}
