import { type BigIntStats, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Envelope, encodeEnvelope, parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import type { Digest } from '../../model/id.ts';
import type { Network } from '../../model/network.ts';
import { NETWORK_BYTES_MAX } from '../../model/network-news.ts';
import { CertificateText, type NetworkFiles } from '../../model/network-statements.ts';
import { openNetwork } from '../../model/open-network.ts';
import { assertSamePast } from '../../model/same-past.ts';
import { parseWith, Slug } from '../../model/schema.ts';
import { betterCertificate } from './certificate.ts';
import { fileError, readBounded, writeAtomic } from './files.ts';
import { placeListedKeys } from './key-rotation.ts';
import type { Home } from './member.ts';
import { assertNotOlder, assertOneRoot, disownsSeen, merge } from './network-merge.ts';
import { assertForward, isAhead, readSeen, writeSeen } from './network-seen.ts';

/** `network.json` in a home: the pinned network, no part of which ever goes back to an older one. */

const Parts = z.strictObject({
  v: z.literal(2),
  roots: z.array(z.json()).min(1).max(100),
  members: z.json(),
  freshness: z.json(),
  certificates: z.record(Slug, CertificateText),
});

/** @throws PhtError `input.too-large`, `input.malformed`, `statement.malformed` */
export function parseNetworkFile(bytes: Uint8Array, what: string): NetworkFiles {
  const parts = parseWith(Parts, bytes, { bytesMax: NETWORK_BYTES_MAX, what });
  // Envelopes are not what is signed, so writing them anew changes no signed byte.
  const envelope = (part: unknown, name: string): Envelope =>
    parseEnvelope(Buffer.from(JSON.stringify(part)), `${what}: ${name}`, NETWORK_BYTES_MAX);
  return {
    roots: parts.roots.map((root, at) => envelope(root, `root ${at + 1}`)),
    members: envelope(parts.members, 'members'),
    freshness: envelope(parts.freshness, 'freshness'),
    certificates: parts.certificates,
  };
}

export function encodeNetworkFile({ roots, members, freshness, certificates }: NetworkFiles): string {
  const text = (envelope: Envelope): string => Buffer.from(encodeEnvelope(envelope)).toString('utf8');
  const sorted = Object.fromEntries(
    Object.entries(certificates).sort(([one], [two]) => (one < two ? -1 : 1)),
  );
  return [
    `{"v":2,"roots":[${roots.map(text).join(',\n')}],`,
    `"members":${text(members)},`,
    `"freshness":${text(freshness)},`,
    `"certificates":${JSON.stringify(sorted)}}\n`,
  ].join('\n');
}

export function readNetworkFile(path: string): NetworkFiles {
  return parseNetworkFile(readBounded(path, NETWORK_BYTES_MAX, 'the network file'), path);
}

const FILE = 'network.json';

export const networkPath = (home: Home): string => join(home.dir, FILE);

type Cached = { stamp: string; network: Network };
const cache = new WeakMap<Home, Cached>();

/**
 * The network as this home's file has it now, verified down to the pinned root. Costs one `stat` while the file stays
 * as it is. A file that was replaced by an older or a forked one is refused rather than ignored.
 *
 * @throws PhtError `config.missing`, `network.mismatch`, `network.invalid`, `network.rollback`, `network.forked`,
 *   `signature.invalid`
 */
export function currentNetwork(home: Home): Network {
  const stamp = stampOf(networkPath(home));
  const cached = cache.get(home);
  if (cached?.stamp === stamp) return cached.network;
  const network = openNetwork(readNetworkFile(networkPath(home)), home.member.networkId);
  const seen = readSeen(home);
  assertForward(seen, network);
  if (seen === null || isAhead(network, seen)) writeSeen(home.dir, network);
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

export type Imported = {
  /** The network now in force. */
  readonly network: Network;
  readonly changed: boolean;
  /** Another list of members than before: who is one may have changed. */
  readonly membersChanged: boolean;
  /** A list that was here and that the newest root disowns, whose past the one in force does not share; or null. */
  readonly disowned: { readonly version: number; readonly digest: Digest } | null;
};

/**
 * Takes over what is newer in a network file that came out of band or from a peer: its roots, its list of members, its
 * freshness statement, this member's certificate. Nothing of it is believed that is not signed.
 *
 * A root that disowns the list which is here lets the authority go on from its own last one, be that older or newer.
 *
 * @throws PhtError `network.mismatch`, `network.rollback` when nothing in it is as new as what is here,
 *   `network.forked`, `network.invalid`, `signature.invalid`, `input.too-large`
 */
export function importNetwork(home: Home, files: NetworkFiles): Imported {
  const held = heldBy(home);
  if (held !== null) assertOneRoot(held.files.roots, files.roots, home.member.networkId);
  const { files: parts, disowned } =
    held === null ? { files, disowned: false } : merge(held.files, files, home.member.networkId);
  const network = openNetwork(parts, home.member.networkId);
  const seen = readSeen(home);
  // Where the file is lost, what was seen of a thief's list must not keep out the root that disowns it.
  const unseen = held === null && seen !== null && disownsSeen(files, seen.rootVersion);
  if (!disowned && !unseen) {
    assertForward(seen, network);
    if (held !== null) {
      assertNotOlder(files, held.files);
      assertSamePast(held.network, network);
    }
  }
  const parted = disowned && held !== null && !continues(held.network, network) ? held.network : null;
  assertOwnEntry(home, network);
  const { id } = home.member;
  const own = betterCertificate(network, id, [held?.files.certificates[id], files.certificates[id]]);
  const merged = { ...parts, certificates: kept(parts.certificates, network, id, own) };
  const text = encodeNetworkFile(merged);
  if (held !== null && text === encodeNetworkFile(held.files)) {
    placeListedKeys(home, held.network);
    return { network: held.network, changed: false, membersChanged: false, disowned: null };
  }
  assertReadable(text);
  // What is no longer to be believed must not come back by a crash; importing once more repairs that.
  if (parted !== null || unseen) writeSeen(home.dir, network);
  writeAtomic(join(home.dir, FILE), text);
  writeSeen(home.dir, network);
  placeListedKeys(home, network);
  const membersChanged = held === null || held.network.digest !== network.digest;
  return {
    ...{ network: currentNetwork(home), changed: true, membersChanged },
    disowned: parted && { version: parted.version, digest: parted.digest },
  };
}

function continues(held: Network, next: Network): boolean {
  if (next.version < held.version) return false;
  try {
    assertSamePast(held, next);
    return true;
  } catch (thrown) {
    if (thrown instanceof PhtError) return false;
    throw thrown;
  }
}

/** Parts of two files, each within its bounds, may exceed them together. @throws PhtError `input.too-large` */
function assertReadable(text: string): void {
  if (Buffer.byteLength(text) <= NETWORK_BYTES_MAX) return;
  throw new PhtError('input.too-large', `a network file has at most ${NETWORK_BYTES_MAX} bytes`);
}

/** Those of members, with this member's own as it was judged. */
function kept(
  certificates: NetworkFiles['certificates'],
  network: Network,
  ownId: string,
  own: string | undefined,
): NetworkFiles['certificates'] {
  const others = Object.entries(certificates).filter(([id]) => id !== ownId && network.members.has(id));
  return { ...Object.fromEntries(others), ...(own === undefined ? {} : { [ownId]: own }) };
}

/** null when the file is missing or damaged, so that importing repairs it. */
function heldBy(home: Home): { files: NetworkFiles; network: Network } | null {
  try {
    const network = currentNetwork(home);
    return { files: readNetworkFile(networkPath(home)), network };
  } catch (cause) {
    if (cause instanceof PhtError) return null;
    throw cause;
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

/** Writes a network that was verified. A crash between the two files is made good by the next reading. */
export function storeNetwork(dir: string, files: NetworkFiles, network: Network): void {
  writeAtomic(join(dir, FILE), encodeNetworkFile(files));
  writeSeen(dir, network);
}
