import { keyIdOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { digestOf } from '../../model/id.ts';
import type { RoleKeys, RootPredicate } from '../../model/network-statements.ts';
import type { Verified } from '../../model/statement.ts';

/** What the next root says, and how it differs from the one before it. */

const DAY_MS = 86_400_000;

export type RootChange = {
  readonly root?: RoleKeys;
  readonly members?: RoleKeys;
  readonly freshness?: RoleKeys;
  readonly tlsAuthorities?: readonly string[];
};

/** @throws PhtError `usage.invalid` for an expiry that is none */
export function nextRoot(
  before: Verified<RootPredicate>,
  networkId: string,
  change: RootChange,
  times: { issuedAtMs: number; expiresMs: number },
): RootPredicate {
  const { predicate, digest } = before;
  if (times.expiresMs <= times.issuedAtMs)
    throw new PhtError('usage.invalid', 'the root would expire at once');
  return {
    ...predicate,
    networkId,
    version: predicate.version + 1,
    previousDigest: digest,
    roles: {
      root: change.root ?? predicate.roles.root,
      members: change.members ?? predicate.roles.members,
      freshness: change.freshness ?? predicate.roles.freshness,
    },
    tlsAuthorities: [...(change.tlsAuthorities ?? predicate.tlsAuthorities)],
    ...times,
  };
}

/** What whoever signs a root agrees to, a line each. @param before null for a first root */
export function rootWords(next: RootPredicate, before: RootPredicate | null, id: string): string[] {
  const { title, version, roles, freshnessMsMax, expiresMs, tlsAuthorities } = next;
  return [
    `root ${version} of ${title}`,
    `  network id ${id}`,
    `  good until ${new Date(expiresMs).toISOString().slice(0, 10)}`,
    `  root: ${roles.root.threshold} of ${roles.root.keys.length} keys must sign the next one`,
    ...keyLines(roles.root.keys, before?.roles.root.keys),
    `  members (admits and revokes): ${roles.members.threshold} of ${roles.members.keys.length} keys must sign each list`,
    ...keyLines(roles.members.keys, before?.roles.members.keys),
    `  freshness (says that nothing is newer, for up to ${freshnessMsMax / DAY_MS} days):`,
    ...keyLines(roles.freshness.keys, before?.roles.freshness.keys),
    `  TLS authorities: ${tlsAuthorities.length}`,
    ...textLines(tlsAuthorities.map(digestOfText), before?.tlsAuthorities.map(digestOfText)),
  ];
}

type Keys = RoleKeys['keys'];

const keyLines = (keys: Keys, before: Keys | undefined): string[] =>
  textLines(keys.map(keyIdOf), before?.map(keyIdOf));

/** In 80 columns, so that a difference stands at the end of its line. */
function textLines(now: readonly string[], before: readonly string[] | undefined): string[] {
  const mark = (text: string): string => (before === undefined || before.includes(text) ? '' : '  NEW');
  const gone = before?.filter((text) => !now.includes(text)) ?? [];
  return [...now.map((text) => `    ${text}${mark(text)}`), ...gone.map((text) => `    ${text}  GONE`)];
}

const digestOfText = (certificate: string): string => digestOf(Buffer.from(certificate, 'base64'));
