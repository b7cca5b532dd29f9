import { z } from 'zod';
import { type Envelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { NETWORK_BYTES_MAX } from '../../model/network-news.ts';
import type { NetworkFiles } from '../../model/network-statements.ts';
import { openRoots } from '../../model/open-network.ts';
import { parseWith, TimestampMs } from '../../model/schema.ts';

/** Which parts of two network files are the newer ones. What they say of themselves is a claim until they are opened. */

/** Of each part the newer one. Certificates come with the parts that were newer. */
export function merge(held: NetworkFiles, offered: NetworkFiles): NetworkFiles {
  const [ours, theirs] = [claimOf(held.members), claimOf(offered.members)];
  const newerRoot = offered.roots.length > held.roots.length;
  const newerMembers = theirs.version > ours.version;
  // A new root may name other keys, and then a word of the old ones counts for nothing, however late it says it is.
  const newerFreshness =
    newerRoot || claimOf(offered.freshness).issuedAtMs > claimOf(held.freshness).issuedAtMs;
  // Another list of the same version is opened too, so that a fork is found; the same one may be signed anew.
  const other = offered.members.payload !== held.members.payload;
  const sameAgain = theirs.version === ours.version && (other || newerRoot);
  return {
    roots: newerRoot ? offered.roots : held.roots,
    members: newerMembers || sameAgain ? offered.members : held.members,
    freshness: newerFreshness ? offered.freshness : held.freshness,
    certificates: newerMembers || newerFreshness ? offered.certificates : held.certificates,
  };
}

/**
 * The longer of two walks from root to root begins with the shorter one.
 *
 * @throws PhtError `network.mismatch`, `network.forked`, and for what was never signed as `openRoots`
 */
export function assertOneRoot(held: readonly Envelope[], offered: readonly Envelope[], id: string): void {
  const common = Math.min(held.length, offered.length);
  const same = offered.slice(0, common).every(({ payload }, at) => payload === held[at]?.payload);
  if (same && common > 0) return;
  openRoots(offered, id);
  throw new PhtError('network.forked', 'two different roots of one version are signed; that is misconduct', {
    hint: 'keep both files and show them to the other members',
  });
}

/**
 * A file all of whose parts are older is somebody's old copy, or a try to bring it back.
 *
 * @throws PhtError `network.rollback`
 */
export function assertNotOlder(offered: NetworkFiles, held: NetworkFiles): void {
  const [theirs, ours] = [claimOf(offered.members).version, claimOf(held.members).version];
  const fresher = claimOf(offered.freshness).issuedAtMs > claimOf(held.freshness).issuedAtMs;
  if (theirs < ours && !fresher && offered.roots.length <= held.roots.length) throw rollback(theirs, ours);
}

export function rollback(version: number, seen: number): PhtError {
  return new PhtError(
    'network.rollback',
    `the network file has version ${version}, but this home has already seen version ${seen}`,
    {
      hint: 'ask the network authority for its current file; an older one may name members that were revoked',
    },
  );
}

const Claim = z.object({ predicate: z.object({ networkVersion: z.int(), issuedAtMs: TimestampMs }) });

function claimOf(envelope: Envelope): { version: number; issuedAtMs: number } {
  const limits = { bytesMax: NETWORK_BYTES_MAX, what: 'a part of the network file' };
  const { predicate } = parseWith(Claim, payloadOf(envelope), limits, 'statement.malformed');
  return { version: predicate.networkVersion, issuedAtMs: predicate.issuedAtMs };
}
