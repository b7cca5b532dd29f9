import { z } from 'zod';
import { type Envelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { NETWORK_BYTES_MAX } from '../../model/network-news.ts';
import { type NetworkFiles, type RoleKeys, RootPredicate } from '../../model/network-statements.ts';
import { openFreshness, openMembers, openRoots } from '../../model/open-network.ts';
import { parseWith, TimestampMs } from '../../model/schema.ts';
import { readStatement } from '../../model/statement.ts';

/** Which parts of two network files are the newer ones. What they say of themselves is a claim until they are opened. */

export type Merged = {
  readonly files: NetworkFiles;
  /** The list that is held is disowned by a newer root, under which the one on offer was signed. */
  readonly disowned: boolean;
};

/**
 * Of each part the newer one. Certificates come with the parts that were newer. A new root may name other keys, and then
 * a word of the old ones counts for nothing, however late or high it says it is: otherwise a thief's would never end.
 *
 * @throws PhtError as `openRoots`
 */
export function merge(held: NetworkFiles, offered: NetworkFiles, id: string): Merged {
  const [ours, theirs] = [claimOf(held.members), claimOf(offered.members)];
  const newerRoot = offered.roots.length > held.roots.length;
  const disowned = newerRoot ? disownedIn(held, offered.roots, id) : { members: false, freshness: false };
  const [ourWord, theirWord] = [claimOf(held.freshness), claimOf(offered.freshness)];
  // What was signed before is no answer to it: a key may come back into force.
  const answers = ({ rootVersion }: Claim): boolean => rootVersion > held.roots.length;
  const takesBack = disowned.members && answers(theirs);
  const newerMembers = takesBack || theirs.version > ours.version;
  const newerFreshness =
    (disowned.freshness && answers(theirWord)) || theirWord.issuedAtMs > ourWord.issuedAtMs;
  // Another list of the same version is opened too, so that a fork is found; the same one may be signed anew.
  const other = offered.members.payload !== held.members.payload;
  const sameAgain = theirs.version === ours.version && (other || newerRoot);
  const files = {
    roots: newerRoot ? offered.roots : held.roots,
    members: newerMembers || sameAgain ? offered.members : held.members,
    freshness: newerFreshness ? offered.freshness : held.freshness,
    certificates: newerMembers || newerFreshness ? offered.certificates : held.certificates,
  };
  return { files, disowned: takesBack };
}

/** Which parts the newest root does not stand by. */
function disownedIn(
  { members, freshness }: NetworkFiles,
  roots: readonly Envelope[],
  pinnedId: string,
): { members: boolean; freshness: boolean } {
  const { id, root } = openRoots(roots, pinnedId);
  return {
    members: !opens(() => openMembers(members, id, root)),
    freshness: !opens(() => openFreshness(freshness, id, root)),
  };
}

function opens(open: () => unknown): boolean {
  try {
    open();
    return true;
  } catch (thrown) {
    if (thrown instanceof PhtError) return false;
    throw thrown;
  }
}

/**
 * Whether a list of which only its root's version is known still cannot be one under the newest root: too few of the keys
 * that could have signed it are named there, and the list on offer is an answer to that.
 */
export function disownsSeen({ roots, members }: NetworkFiles, rootVersion: number): boolean {
  const [then, now] = [roots[rootVersion - 1], roots.at(-1)].map((root) => root && membersRoleIn(root));
  if (then === undefined || now === undefined || claimOf(members).rootVersion <= rootVersion) return false;
  return then.keys.filter(({ x }) => now.keys.some((key) => key.x === x)).length < now.threshold;
}

const membersRoleIn = (root: Envelope): RoleKeys =>
  readStatement('root', RootPredicate, payloadOf(root)).predicate.roles.members;

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

const Claimed = z.object({
  predicate: z.object({ networkVersion: z.int(), rootVersion: z.int(), issuedAtMs: TimestampMs }),
});
type Claim = { version: number; rootVersion: number; issuedAtMs: number };

function claimOf(envelope: Envelope): Claim {
  const limits = { bytesMax: NETWORK_BYTES_MAX, what: 'a part of the network file' };
  const { predicate } = parseWith(Claimed, payloadOf(envelope), limits, 'statement.malformed');
  const { networkVersion: version, rootVersion, issuedAtMs } = predicate;
  return { version, rootVersion, issuedAtMs };
}
