import { keyIdOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import {
  type Ended,
  type Member,
  memberIn,
  type Network,
  type Span,
  type Witnessing,
  type WitnessingSpan,
} from '../../model/network.ts';
import type { MembersPredicate } from '../../model/network-statements.ts';

/** The next list of members: what is past stays as it was told, what changes gets an end and, where renewed, a new entry. */

export type ListChange = {
  readonly admitted?: readonly Member[];
  /** Whole new entries of members that stay: other keys, another title. */
  readonly renewed?: readonly { member: Member; invalidAfterMs?: number }[];
  readonly revoked?: readonly { id: string; reason: string; invalidAfterMs?: number }[];
  readonly witnessing?: Witnessing;
};

export type MembersList = {
  readonly version: number;
  readonly members: readonly Span[];
  readonly witnessing: readonly WitnessingSpan[];
};

export function firstList(members: readonly Member[], witnessing: Witnessing): MembersList {
  return {
    version: 1,
    members: members.map((member) => ({ ...member, since: 1 })),
    witnessing: [{ since: 1, rule: witnessing }],
  };
}

/** @throws PhtError `conflict` for a member that is listed already, `signer.unknown` for one that is not */
export function nextList(network: Network, change: ListChange, atMs: number): MembersList {
  const version = network.version + 1;
  const ends = new Map<string, Ended>();
  for (const { id, reason, invalidAfterMs } of change.revoked ?? [])
    end(ends, network, id, { version, atMs, why: 'revoked', reason, ...optional(invalidAfterMs) });
  for (const { member, invalidAfterMs } of change.renewed ?? [])
    end(ends, network, member.id, { version, atMs, why: 'renewed', ...optional(invalidAfterMs) });
  const kept = network.spans.map((span) => {
    const ended = span.ended === undefined ? ends.get(span.id) : undefined;
    return ended === undefined ? span : { ...memberIn(span), since: span.since, ended };
  });
  const added = [...(change.renewed ?? []).map(({ member }) => member), ...(change.admitted ?? [])];
  for (const { id } of change.admitted ?? [])
    if (network.members.has(id)) throw new PhtError('conflict', `${id} is a member already`);
  const spans = [...kept, ...added.map((member) => ({ ...member, since: version }))];
  const rule = change.witnessing;
  return {
    version,
    members: spans,
    witnessing:
      rule === undefined ? network.witnessingSpans : [...network.witnessingSpans, { since: version, rule }],
  };
}

function end(ends: Map<string, Ended>, network: Network, id: string, ended: Ended): void {
  if (!network.members.has(id)) throw new PhtError('signer.unknown', `${id} is no member of this network`);
  if (ends.has(id)) throw new PhtError('conflict', `two changes to ${id} at once`);
  ends.set(id, ended);
}

const optional = (invalidAfterMs: number | undefined): Pick<Ended, 'invalidAfterMs'> =>
  invalidAfterMs === undefined ? {} : { invalidAfterMs };

/** What whoever signs a list agrees to, a line each: all that this version changes. @param before null for a first list */
export function listWords(
  { networkVersion: version, rootVersion, expiresMs, members, witnessing }: MembersPredicate,
  { title, id, before = null }: { title: string; id: string; before?: MembersPredicate | null },
): string[] {
  const came = members.filter(({ since }) => since === version);
  const left = members.filter(({ ended }) => ended?.version === version);
  const kept = new Set(left.filter(({ ended }) => ended?.why === 'renewed').map((span) => span.id));
  const rule = witnessing.find(({ since }) => since === version)?.rule;
  const changes = [
    ...came.flatMap((span) => spanWords(kept.has(span.id) ? 'new keys of' : 'admits', span)),
    ...left.flatMap(endWords),
    ...earlierWords(members, before?.members ?? []),
    ...(rule === undefined ? [] : [`  witnesses: ${ruleWords(rule)}`]),
  ];
  return [
    `version ${version} of the list of members of ${title}`,
    `  network id ${id}`,
    // Holders know the newest: under an older one others may have sufficed for what the list tells of its past.
    `  under root ${rootVersion}`,
    `  good until ${dayOf(expiresMs)}`,
    ...(changes.length === 0 ? ['  nobody is new or gone'] : changes),
  ];
}

function spanWords(verb: string, { id, role, title, organisation, station, person, keys }: Span): string[] {
  const of = station === undefined ? '' : ` of ${station}`;
  return [
    `  ${verb} ${role} ${id}${of}: ${title}, ${organisation}`,
    ...(person === undefined || person === id ? [] : [`    person ${person}`]),
    ...Object.entries(keys).flatMap(([use, jwk]) =>
      jwk === undefined ? [] : [`    ${use.padEnd(10)} ${keyIdOf(jwk)}`],
    ),
  ];
}

function endWords({ id, role, ended }: Span): string[] {
  const { why, reason } = ended ?? {};
  const stolen = stolenWords(ended);
  if (why !== 'revoked') return stolen.length === 0 ? [] : [`  old keys of ${role} ${id}`, ...stolen];
  return [`  revokes ${role} ${id}: ${reason ?? 'no reason was given'}`, ...stolen];
}

/** Of entries that ended in an earlier version only this may change. */
function earlierWords(members: readonly Span[], before: readonly Span[]): string[] {
  const known = new Map(before.map((span) => [`${span.id} ${span.since}`, span.ended]));
  return members.flatMap(({ id, role, since, ended }) => {
    const then = known.get(`${id} ${since}`);
    if (then === undefined || then.invalidAfterMs === ended?.invalidAfterMs) return [];
    return [`  earlier keys of ${role} ${id}`, ...stolenWords(ended)];
  });
}

function ruleWords(rule: Witnessing): string {
  if (rule.quorum === 'none') return 'no quorum';
  return `${rule.quorum} of ${rule.witnesses.join(', ')}, of whom ${rule.faulty} may lie`;
}

function stolenWords(ended: Ended | undefined): string[] {
  if (ended?.invalidAfterMs === undefined) return [];
  return [`    in other hands since ${new Date(ended.invalidAfterMs).toISOString()}`];
}

const dayOf = (timeMs: number): string => new Date(timeMs).toISOString().slice(0, 10);
