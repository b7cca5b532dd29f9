import type { Envelope } from '../../model/dsse.ts';
import type { Digest } from '../../model/id.ts';
import { FreshnessPredicate, MembersPredicate, RootPredicate } from '../../model/network-statements.ts';
import { check } from '../../model/schema.ts';
import { cosignStatement, signStatement } from '../../model/statement.ts';
import type { Signer } from '../../ports/signer.ts';
import type { MembersList } from './list.ts';

/** The authority's three statements, each signed by as many of its keys as are at hand. */

type Signed = { envelope: Envelope; digest: Digest };
type Signers = readonly [Signer, ...Signer[]];

/** @param networkId null for the first root, whose digest it becomes */
export function signRoot(predicate: RootPredicate, signers: Signers): Signed {
  const what = check(RootPredicate, predicate, 'the root statement', 'network.invalid');
  const subject = { name: 'previous root', digest: (what.previousDigest ?? NOTHING_BEFORE) as Digest };
  return byAll(signStatement('root', subject, what, signers[0]), signers);
}

export type Issue = {
  networkId: Digest;
  rootVersion: number;
  issuer: string;
  issuedAtMs: number;
  expiresMs: number;
};

export function signMembers(
  list: MembersList,
  { previousDigest, ...issue }: Issue & { previousDigest: Digest | null },
  signers: Signers,
): Signed {
  const predicate = check(
    MembersPredicate,
    {
      networkId: issue.networkId,
      networkVersion: list.version,
      issuer: issue.issuer,
      rootVersion: issue.rootVersion,
      previousDigest,
      issuedAtMs: issue.issuedAtMs,
      expiresMs: issue.expiresMs,
      witnessing: [...list.witnessing],
      members: [...list.members],
    },
    'the new list of members',
    'network.invalid',
  );
  return byAll(
    signStatement('members', { name: 'network', digest: issue.networkId }, predicate, signers[0]),
    signers,
  );
}

/** @param newest the list of members that is the newest now */
export function signFreshness(
  newest: { version: number; digest: Digest },
  { networkId, rootVersion, issuer, issuedAtMs, expiresMs }: Issue,
  signers: Signers,
): Signed {
  const predicate = check(
    FreshnessPredicate,
    { networkId, networkVersion: newest.version, issuer, rootVersion, issuedAtMs, expiresMs },
    'the freshness statement',
    'network.invalid',
  );
  return byAll(
    signStatement('freshness', { name: 'members', digest: newest.digest }, predicate, signers[0]),
    signers,
  );
}

/** SHA-256 of nothing: the first root has none before it. */
const NOTHING_BEFORE = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

function byAll({ envelope, digest }: Signed, [, ...more]: Signers): Signed {
  return { envelope: more.reduce(cosignStatement, envelope), digest };
}
