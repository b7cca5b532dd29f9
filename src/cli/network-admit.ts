import { isDeepStrictEqual } from 'node:util';
import { readBounded } from '../adapters/home/files.ts';
import { KEY_USES } from '../adapters/home/keys.ts';
import { assertRequest } from '../adapters/wire/certificates.ts';
import { type Asked, assertStations, readAsked } from '../journey/authority/admission.ts';
import { parseEnvelope } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import { assertNoLookAlike } from '../model/look-alike.ts';
import { type Member, MemberKeys, type Network, type Role, type Witnessing } from '../model/network.ts';
import { defaultWitnessing } from '../model/witnessing.ts';
import type { Frame } from './frame.ts';
import { DAY_MS, listExpiryMs, nextMs, openAuthority, parseDays } from './network-desk.ts';
import { concluded, issueList } from './network-issue.ts';
import type { Outcome } from './network-take-over.ts';
import { keyIds, memberView } from './network-view.ts';

/** `pht network admit`: from self-signed enrolments and renewals to the next version of the network file. */

const ENROLMENT_BYTES_MAX = 64 * 1024;

export type ListOptions = { expiresDays: string; certificateDays: string; giveOut?: true };
export type AdmitOptions = ListOptions & {
  compromisedSince?: string;
  acceptLookAlike?: true;
  renew?: true;
};

/**
 * Checks every enrolment before a key is touched; one that does not hold admits nobody. With nobody new the file is renewed
 * once it is in the second half of its life.
 *
 * @throws PhtError as `readAsked`, and `passphrase.required`
 */
export async function admit(frame: Frame, paths: readonly string[], options: AdmitOptions): Promise<void> {
  const authority = openAuthority(frame);
  const { files, network } = authority;
  const days = daysOf(options);
  if (paths.length === 0 && options.renew !== true)
    throw new PhtError('usage.invalid', 'nobody was named: give the enrolment.json of each member', {
      hint: 'to sign the list of members anew as it is: pht network admit --renew',
    });
  const asked = await readAll(paths, network);
  const added = asked.filter(({ kind }) => kind === 'enrolment').map(({ member }) => member);
  const changed = asked.filter(({ kind }) => kind === 'renewal').map(({ member }) => member);
  const invalidAfterMs = since(options.compromisedSince, frame.nowMs());
  if (invalidAfterMs !== undefined && changed.length !== 1)
    throw new PhtError('usage.invalid', '--compromised-since goes with one renewal.json');
  const members = after(network, { added, changed });
  if (options.acceptLookAlike !== true)
    for (const member of added) assertNoLookAlike({ ...member, member: member.id }, members);
  assertStations(members);
  const isDue =
    options.renew === true || listExpiryMs(files) <= nextMs(frame, network) + (days.expires * DAY_MS) / 2;
  if (asked.length === 0 && !isDue) {
    frame.output.result({ networkId: network.id, version: network.version, admitted: [], renewed: [] }, [
      `all of them are members already; the network file stays at version ${network.version}`,
    ]);
    return;
  }
  const outcome = await issueList(
    frame,
    authority,
    {
      admitted: added,
      renewed: changed.map((member) => ({
        member,
        ...(invalidAfterMs === undefined ? {} : { invalidAfterMs }),
      })),
      ...nextWitnessing(network, members),
    },
    days,
  );
  const { json, lines } = await concluded(authority, outcome, options);
  const done = 'network' in outcome;
  frame.output.result({ ...json, admitted: added.map(memberView), renewed: changed.map(memberView) }, [
    ...linesOf(done ? 'admitted' : 'drafted: admits', added),
    ...linesOf(done ? 'new keys of' : 'drafted: new keys of', changed),
    ...(asked.length > 0 ? ['', 'Compare each fingerprint with what the member reads out to you.'] : []),
    ...(asked.length === 0 ? [renewedLine(outcome, days.expires)] : []),
    ...lines,
  ]);
}

function renewedLine(outcome: Outcome, days: number): string {
  if ('draft' in outcome) return `drafted: nobody is new, and the list is good for ${days} days`;
  const until = new Date(outcome.network.expiresMs).toISOString().slice(0, 10);
  return `nobody is new; the network file is renewed until ${until}`;
}

export function daysOf({ expiresDays, certificateDays }: ListOptions): {
  expires: number;
  certificate: number;
} {
  return {
    expires: parseDays('--expires-days', expiresDays),
    certificate: parseDays('--certificate-days', certificateDays, 398),
  };
}

async function readAll(paths: readonly string[], network: Network): Promise<Asked[]> {
  const uses = (role: Role): string[] => KEY_USES[role].filter((use) => use in MemberKeys.shape);
  const desk = { network, usesOf: uses, checkRequest: assertRequest };
  const asked: Asked[] = [];
  for (const path of paths) {
    const bytes = readBounded(path, ENROLMENT_BYTES_MAX, 'the enrolment');
    const one = await readAsked(parseEnvelope(bytes, path), path, desk);
    if (one === null) continue;
    if (asked.some(({ member }) => member.id === one.member.id))
      throw new PhtError('conflict', `${path} is about ${one.member.id}, and so is another file`);
    asked.push(one);
  }
  return asked;
}

/** @param text a day, or a time in ISO 8601 @throws PhtError `usage.invalid` */
export function since(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  const timeMs = /^\d{4}-\d{2}-\d{2}(?:T[\d:.]+Z)?$/.test(text) ? Date.parse(text) : Number.NaN;
  // Date.parse makes 3 March of 31 February.
  const isDay = timeMs >= 0 && new Date(timeMs).toISOString().slice(0, 10) === text.slice(0, 10);
  if (isDay && timeMs <= nowMs) return timeMs;
  throw new PhtError('usage.invalid', '--compromised-since takes a past day such as 2026-03-01', {
    hint: 'or a time in UTC: 2026-03-01T12:00:00Z',
  });
}

export function after(
  network: Network,
  change: { added?: readonly Member[]; changed?: readonly Member[]; gone?: ReadonlySet<string> },
): Member[] {
  const changed = new Map(change.changed?.map((member) => [member.id, member]));
  const stays = [...network.members.values()].filter(({ id }) => change.gone?.has(id) !== true);
  return [...stays.map((member) => changed.get(member.id) ?? member), ...(change.added ?? [])];
}

/** Grows with the network, unless the authority has set the witnesses by hand. */
export function nextWitnessing(network: Network, members: readonly Member[]): { witnessing?: Witnessing } {
  const { witnessing: now } = network;
  const byDefault = isDeepStrictEqual(now, defaultWitnessing([...network.members.values()]));
  const next = byDefault ? defaultWitnessing(members) : now;
  return isDeepStrictEqual(now, next) ? {} : { witnessing: next };
}

function linesOf(word: string, members: readonly Member[]): string[] {
  return members.flatMap(({ id, role, title, organisation, person, station, keys }) => [
    `${word} ${role} ${id}${station === undefined ? '' : ` of ${station}`}: ${title}, ${organisation}`,
    ...(person === undefined || person === id ? [] : [`  person     ${person}`]),
    ...Object.entries(keyIds(keys)).map(([use, keyId]) => `  ${use.padEnd(10)} ${keyId}`),
  ]);
}
