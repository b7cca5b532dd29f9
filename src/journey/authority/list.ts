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
