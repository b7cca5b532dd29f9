import { keyIdOf } from '../model/dsse.ts';
import type { Member, MemberKeys, Network } from '../model/network.ts';
import { table } from './text.ts';

/** How a network and its members look to a person and to a program. */

/** Enough of a fingerprint to tell keys apart in a table; comparing takes the whole one, from `--json`. */
const KEY_ID_SHOWN = 16;

export function keyIds(keys: MemberKeys): Record<string, string> {
  const ids: Record<string, string> = {};
  for (const [use, jwk] of Object.entries(keys)) if (jwk !== undefined) ids[use] = keyIdOf(jwk);
  return ids;
}

export function memberView({ id, role, title, organisation, station, keys }: Member): object {
  return {
    id,
    role,
    title,
    organisation,
    ...(station === undefined ? {} : { station }),
    keyIds: keyIds(keys),
  };
}

export function networkView(network: Network): object {
  const { id, version, digest, title, expiresMs } = network;
  const members = [...network.members.values()].map(memberView);
  return { networkId: id, version, digest, title, expiresMs, witnessing: network.witnessing, members };
}

export function networkLines(network: Network): string[] {
  const rows = [...network.members.values()].map(({ id, role, organisation, keys }) => [
    id,
    role,
    organisation,
    keyIdOf(keys.statement).slice(0, KEY_ID_SHOWN),
  ]);
  return [
    `${network.title}, version ${network.version}, good until ${new Date(network.expiresMs).toISOString().slice(0, 10)}`,
    `id ${network.id}`,
    '',
    ...table(['MEMBER', 'ROLE', 'ORGANISATION', 'STATEMENT KEY'], rows),
  ];
}
