import { type Envelope, payloadOf } from './dsse.ts';
import { PhtError } from './error.ts';
import type { Digest } from './id.ts';
import { assertOrderly, assertSound } from './list-rules.ts';
import type { Network } from './network.ts';
import {
  FreshnessPredicate,
  MembersPredicate,
  type NetworkFiles,
  RootPredicate,
} from './network-statements.ts';
import { pastOf } from './same-past.ts';
import { readStatement, type Verified, verifyStatement } from './statement.ts';

/** From envelopes to a network: every root, then the members, then the word that they are the newest. */

const ROOTS_MAX = 100;

/**
 * @param pinnedId the network id that this home was told out of band; null only when it is being told now
 * @throws PhtError `network.mismatch`, `network.invalid`, `network.forked`, `signature.invalid`, `statement.*`
 */
export function openNetwork(files: NetworkFiles, pinnedId: string | null): Network {
  const { id, root } = openRoots(files.roots, pinnedId);
  const list = openMembers(files.members, id, root);
  const fresh = openFreshness(files.freshness, id, root);
  const { predicate } = list;
  if (fresh.predicate.networkVersion === predicate.networkVersion && fresh.subject !== list.digest) {
    throw new PhtError(
      'network.forked',
      `two lists of members both claim version ${predicate.networkVersion}; that is misconduct of the authority`,
    );
  }
  const now = assertSound(predicate, root.predicate);
  return {
    id,
    title: root.predicate.title,
    rootVersion: root.predicate.version,
    tlsAuthorities: root.predicate.tlsAuthorities,
    expiresMs: Math.min(root.predicate.expiresMs, predicate.expiresMs),
    issuedAtMs: predicate.issuedAtMs,
    freshness: {
      version: fresh.predicate.networkVersion,
      issuedAtMs: fresh.predicate.issuedAtMs,
      expiresMs: fresh.predicate.expiresMs,
    },
    ...now,
    ...pastOf(list),
    certificates: new Map(Object.entries(files.certificates)),
  };
}

/**
 * Walks through every version: each is signed by enough keys of the one before and by enough of its own. The digest of
 * the first *is* the network id.
 *
 * @throws PhtError `network.mismatch`, `network.invalid`, `signature.invalid`, `statement.*`
 */
export function openRoots(
  envelopes: readonly Envelope[],
  pinnedId: string | null,
): { id: Digest; root: Verified<RootPredicate> } {
  const [first, ...later] = envelopes;
  if (first === undefined || envelopes.length > ROOTS_MAX) throw invalid(`it has ${envelopes.length} roots`);
  let root = openFirstRoot(first);
  const id = root.digest;
  if (pinnedId !== null && id !== pinnedId) {
    throw new PhtError(
      'network.mismatch',
      'the file belongs to another network: its id is not the pinned one',
    );
  }
  for (const envelope of later) root = openNextRoot(envelope, root, id);
  return { id, root };
}

/** The first root is signed by the keys it names, as nobody was before it. */
export function openFirstRoot(envelope: Envelope): Verified<RootPredicate> {
  const claimed = readStatement('root', RootPredicate, payloadOf(envelope)).predicate;
  const { keys, threshold } = claimed.roles.root;
  const root = verifyStatement('root', RootPredicate, envelope, keys, threshold);
  assertFirst(root.predicate);
  return root;
}

/** @throws PhtError `network.invalid` */
export function assertFirst({ version, networkId, previousDigest }: RootPredicate): void {
  if (version !== 1 || networkId !== null || previousDigest !== null)
    throw invalid('its first root is not version 1');
}

/** @throws PhtError as `openRoots` */
export function openNextRoot(
  envelope: Envelope,
  before: Verified<RootPredicate>,
  id: Digest,
): Verified<RootPredicate> {
  const old = before.predicate.roles.root;
  const root = verifyStatement('root', RootPredicate, envelope, old.keys, old.threshold);
  const { keys, threshold } = root.predicate.roles.root;
  verifyStatement('root', RootPredicate, envelope, keys, threshold);
  assertFollows(root.predicate, before, id);
  return root;
}

/** @throws PhtError `network.mismatch`, `network.invalid` */
export function assertFollows(
  { version, networkId, previousDigest }: RootPredicate,
  before: Verified<RootPredicate>,
  id: Digest,
): void {
  if (networkId !== id) throw new PhtError('network.mismatch', 'a root belongs to another network');
  if (version !== before.predicate.version + 1 || previousDigest !== before.digest)
    throw invalid(`its root ${version} does not follow root ${before.predicate.version}`);
}

/** @throws PhtError as `openNetwork` */
export function openMembers(
  envelope: Envelope,
  id: Digest,
  root: Verified<RootPredicate>,
): Verified<MembersPredicate> {
  const { keys, threshold } = root.predicate.roles.members;
  const list = verifyStatement('members', MembersPredicate, envelope, keys, threshold);
  assertOrderly(list, id, root.predicate);
  return list;
}

/** @throws PhtError as `openNetwork` */
export function openFreshness(
  envelope: Envelope,
  id: Digest,
  root: Verified<RootPredicate>,
): Verified<FreshnessPredicate> {
  const { keys, threshold } = root.predicate.roles.freshness;
  const fresh = verifyStatement('freshness', FreshnessPredicate, envelope, keys, threshold);
  const { networkId, rootVersion, issuedAtMs, expiresMs } = fresh.predicate;
  if (networkId !== id)
    throw new PhtError('network.mismatch', 'the freshness statement belongs to another network');
  if (rootVersion > root.predicate.version)
    throw new PhtError(
      'network.behind',
      `the authority has issued root ${rootVersion}, which is not here yet`,
    );
  if (expiresMs <= issuedAtMs || expiresMs - issuedAtMs > root.predicate.freshnessMsMax)
    throw invalid('its freshness statement is good for longer than the root allows');
  return fresh;
}

const invalid = (why: string): PhtError => new PhtError('network.invalid', `the network file: ${why}`);
