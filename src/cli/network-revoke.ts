import { PhtError } from '../model/error.ts';
import { assertWitnessing } from '../model/list-rules.ts';
import type { Member, Network, Witnessing } from '../model/network.ts';
import { check, ShortText } from '../model/schema.ts';
import { defaultWitnessing } from '../model/witnessing.ts';
import type { Frame } from './frame.ts';
import { after, daysOf, type ListOptions, nextWitnessing, since } from './network-admit.ts';
import { openAuthority } from './network-desk.ts';
import { concluded, issueList } from './network-issue.ts';

/** `pht network revoke`: a member's keys count no more, and what it signed before counts when it is proved to be older. */

export type RevokeOptions = ListOptions & { reason: string; compromisedSince?: string };

/** @throws PhtError `usage.invalid`, `signer.unknown`, `passphrase.required` */
export async function revoke(frame: Frame, id: string, options: RevokeOptions): Promise<void> {
  const authority = openAuthority(frame);
  const { home, network } = authority;
  const days = daysOf(options);
  const reason = check(ShortText, options.reason, '--reason', 'usage.invalid');
  const invalidAfterMs = since(options.compromisedSince, frame.nowMs());
  if (id === home.member.id)
    throw new PhtError('usage.invalid', 'the authority does not revoke itself', {
      hint: 'replace its keys: pht network rotate --help',
    });
  if (!network.members.has(id))
    throw new PhtError('signer.unknown', `${id} is no member of this network`, {
      hint: 'pht network show lists who is, and who was revoked',
    });
  // An admin without a station governs nothing.
  const admins = [...network.members.values()].filter(({ station }) => station === id);
  const gone = new Set([id, ...admins.map((admin) => admin.id)]);
  const members = after(network, { gone });
  const compromised = invalidAfterMs === undefined ? {} : { invalidAfterMs };
  const { witnessing, warning } = witnessingWithout(network, members, gone);
  if (warning !== null) frame.output.warn(warning);
  const outcome = await issueList(
    frame,
    authority,
    {
      revoked: [...gone].map((each) =>
        each === id ? { id, reason, ...compromised } : { id: each, reason: `its station ${id} was revoked` },
      ),
      ...witnessing,
    },
    days,
  );
  const { json, lines } = await concluded(authority, outcome, options);
  const names = [...gone].join(', ');
  frame.output.result({ ...json, revoked: [...gone] }, [
    ...('network' in outcome
      ? [
          `revoked ${names} in version ${outcome.network.version}`,
          'Wherever this file has arrived, their connections end, and nothing new of',
          'theirs counts.',
        ]
      : [`drafted: revokes ${names}; nothing changes until enough holders have signed`]),
    ...lines,
  ]);
}

/** A witness that is revoked must not hold up its own revocation. */
function witnessingWithout(
  network: Network,
  members: readonly Member[],
  gone: ReadonlySet<string>,
): { witnessing: { witnessing?: Witnessing }; warning: string | null } {
  const usual = nextWitnessing(network, members);
  const { witnessing: now } = network;
  if (usual.witnessing !== undefined || now.quorum === 'none') return { witnessing: usual, warning: null };
  if (!now.witnesses.some((id) => gone.has(id))) return { witnessing: usual, warning: null };
  const rest: Witnessing = { ...now, witnesses: now.witnesses.filter((id) => !gone.has(id)) };
  if (holds(rest, members)) return { witnessing: { witnessing: rest }, warning: null };
  return {
    witnessing: { witnessing: defaultWitnessing(members) },
    warning:
      'the quorum that was set by hand does not hold without it; the usual one is set: pht network witnesses',
  };
}

function holds(witnessing: Witnessing, members: readonly Member[]): boolean {
  if (witnessing.quorum !== 'none' && witnessing.witnesses.length < 3) return false;
  try {
    assertWitnessing(witnessing, members);
    return true;
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'network.invalid') return false;
    throw thrown;
  }
}
