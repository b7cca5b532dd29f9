import { keyIdOf } from '../model/dsse.ts';
import type { Member, Network, Span } from '../model/network.ts';
import type { RoleKeys, RootPredicate } from '../model/network-statements.ts';
import { warningLines, warningsFor } from './name-warnings.ts';
import { table, wrap } from './text.ts';

/** How a network and its members look to a person and to a program. */

/** Enough of a fingerprint to tell keys apart in a table; comparing takes the whole one, from `--json`. */
const KEY_ID_SHOWN = 16;

export function keyIds(keys: Readonly<Record<string, { x: string } | undefined>>): Record<string, string> {
  const ids: Record<string, string> = {};
  for (const [use, jwk] of Object.entries(keys)) if (jwk !== undefined) ids[use] = keyIdOf(jwk);
  return ids;
}

export function memberView({ id, role, title, organisation, person, station, keys }: Member): object {
  return {
    id,
    role,
    title,
    organisation,
    ...(person === undefined ? {} : { person }),
    ...(station === undefined ? {} : { station }),
    keyIds: keyIds(keys),
  };
}

/** The two halves of a network: what follows from its files, and the root itself. */
export type Shown = {
  readonly network: Network;
  readonly root: RootPredicate;
  /** Of the list of members by itself. */
  readonly listExpiresMs: number;
};

export function networkView({ network, root, listExpiresMs }: Shown): object {
  const { id, version, digest, title, expiresMs, rootVersion, freshness, witnessing } = network;
  const members = [...network.members.values()].map((member) => ({
    ...memberView(member),
    since: sinceOf(network, member.id),
  }));
  const revoked = revokedIn(network).map(({ id: who, role, ended }) => ({ id: who, role, ended }));
  return {
    ...{ networkId: id, version, digest, title, expiresMs, rootVersion, freshness, witnessing },
    list: { expiresMs: listExpiresMs },
    root: {
      expiresMs: root.expiresMs,
      freshnessMsMax: root.freshnessMsMax,
      tlsAuthorities: root.tlsAuthorities.length,
      ...Object.fromEntries(
        Object.entries(root.roles as Record<string, RoleKeys>).map(([role, { keys, threshold }]) => [
          role,
          { threshold, keyIds: keys.map(keyIdOf) },
        ]),
      ),
    },
    members,
    revoked,
    warnings: warningsFor(network.members.keys(), network),
  };
}

const revokedIn = ({ spans, members }: Network): Span[] =>
  spans.filter(({ id, ended }) => ended?.why === 'revoked' && !members.has(id));

/** The version in which a member came, whatever became of its keys since. */
function sinceOf({ spans }: Network, id: string): number {
  let since = 0;
  for (const span of spans) if (span.id === id && !(since > 0 && isRenewed(spans, span))) since = span.since;
  return since;
}

const isRenewed = (spans: readonly Span[], { id, since }: Span): boolean =>
  spans.some(
    (before) => before.id === id && before.ended?.why === 'renewed' && before.ended.version === since,
  );

export function networkLines({ network, root, listExpiresMs }: Shown, nowMs: number): string[] {
  const rows = [...network.members.values()].map(({ id, role, organisation, keys }) => [
    id,
    role,
    organisation,
    `v${sinceOf(network, id)}`,
    keyIdOf(keys.statement).slice(0, KEY_ID_SHOWN),
  ]);
  const gone = revokedIn(network).flatMap(({ id, role, ended }) => {
    const on = ended === undefined ? '' : ` in version ${ended.version}, ${dayOf(ended.atMs)}`;
    return wrap(`revoked: ${role} ${id}${on}: ${ended?.reason ?? 'no reason was given'}`);
  });
  const warnings = warningLines(warningsFor(network.members.keys(), network));
  return [
    `${network.title}, version ${network.version}, good until ${dayOf(network.expiresMs)}`,
    `id ${network.id}`,
    ...roleLines({ network, root, listExpiresMs }, nowMs),
    '',
    ...table(['MEMBER', 'ROLE', 'ORGANISATION', 'SINCE', 'STATEMENT KEY'], rows),
    ...(gone.length === 0 ? [] : ['', ...gone]),
    ...(warnings.length === 0 ? [] : ['', ...warnings]),
  ];
}

/** Each role: who signs for it, and when its word ends. */
function roleLines({ network, root, listExpiresMs }: Shown, nowMs: number): string[] {
  const { issuedAtMs, expiresMs } = network.freshness;
  const { root: roots, members } = root.roles;
  const hours = Math.max(0, Math.round((nowMs - issuedAtMs) / 3_600_000));
  const until = (
    endMs: number,
    [good, ended]: readonly [string, string] = ['good until', 'ended on'],
  ): string => `${nowMs < endMs ? good : ended} ${dayOf(endMs)}`;
  const ids = ({ keys }: RoleKeys): string[] => keys.map((key) => `  ${keyIdOf(key)}`);
  return [
    `root ${network.rootVersion}, ${until(root.expiresMs)}, signed by ${ofKeys(roots)}:`,
    ...ids(roots),
    `members: the list ${until(listExpiresMs, ['is good until', 'ended on'])}, signed by ${ofKeys(members)}:`,
    ...ids(members),
    `freshness: the authority's word is ${hours} h old, ${until(expiresMs, ['good until', 'too old since'])}`,
  ];
}

const ofKeys = ({ keys, threshold }: RoleKeys): string => `${threshold} of its ${keys.length} keys`;

const dayOf = (timeMs: number): string => new Date(timeMs).toISOString().slice(0, 10);
