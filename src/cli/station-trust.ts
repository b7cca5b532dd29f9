import { currentNetwork } from '../adapters/home/network-file.ts';
import type { Conflict } from '../gen/pht/v1/admin_pb.ts';
import { openEvidence } from '../journey/admin/evidence.ts';
import { signTrust } from '../journey/admin/word.ts';
import { PhtError } from '../model/error.ts';
import type { Digest } from '../model/id.ts';
import type { Network } from '../model/network.ts';
import { check, ShortText, Slug } from '../model/schema.ts';
import type { TrustVerdict } from '../model/trust.ts';
import type { Frame } from './frame.ts';
import { type Socket, withAgent } from './station-agent.ts';
import { adminOf } from './station-disclose.ts';
import { wrap } from './text.ts';

export type TrustOptions = Socket & { conflict: string; resume?: boolean; stop?: boolean; reason: string };

/** `pht station trust`: an admin's signed word on a member whose ledger has two roots for one size. */
export async function trust(frame: Frame, name: string, options: TrustOptions): Promise<void> {
  const member = check(Slug, name, 'the member', 'usage.invalid');
  const reason = check(ShortText, options.reason, '--reason', 'usage.invalid');
  const verdict = verdictOf(options);
  frame.openHome(['admin']);
  await withAgent(frame, options, async (agent, home) => {
    const shown = (await agent.conflicts({})).conflicts;
    const conflictDigest = evidenceOf(shown, member, options.conflict, currentNetwork(home));
    const { admin, station } = await adminOf(home, frame);
    const statement = signTrust({ station, member, conflictDigest, verdict, reason }, admin);
    const { unresolved, hops } = await agent.trust({ statement });
    frame.output.result({ member, station, verdict, conflictDigest, unresolved, hops }, [
      ...wrap(sentence(verdict, { member, station, unresolved, hops })),
      `signed by ${admin.id} over conflict ${conflictDigest.slice(0, 16)}…`,
    ]);
  });
}

function verdictOf({ resume, stop }: TrustOptions): TrustVerdict {
  if ((resume === true) !== (stop === true)) return resume === true ? 'resume' : 'stop';
  throw new PhtError('usage.invalid', 'say either --resume or --stop');
}

/** The one conflict that is meant, verified with this home's own network file before anything is signed about it. */
function evidenceOf(shown: readonly Conflict[], member: string, wanted: string, network: Network): Digest {
  const hint = 'see them with: pht station conflicts';
  if (!/^[0-9a-f]{16,64}$/.test(wanted))
    throw new PhtError('usage.invalid', '--conflict takes 16 to 64 hexadecimal digits', { hint });
  const [meant, ...more] = shown.filter(
    (conflict) => conflict.member === member && conflict.conflictDigest.startsWith(wanted),
  );
  if (meant === undefined)
    throw new PhtError('not-found', `this station knows no such conflict of ${member}`, { hint });
  if (more.length > 0)
    throw new PhtError('usage.invalid', '--conflict fits more than one: give more digits', { hint });
  return openEvidence(meant, network).digest;
}

function sentence(
  verdict: TrustVerdict,
  {
    member,
    station,
    unresolved,
    hops,
  }: { member: string; station: string; unresolved: number; hops: number },
): string {
  if (verdict === 'stop') return `${station} takes nothing that ${member} signs. A later --resume ends that.`;
  if (unresolved > 0)
    return `Noted. ${unresolved} more conflict${unresolved === 1 ? '' : 's'} of ${member} still keep${unresolved === 1 ? 's' : ''} its orders out.`;
  const waiting = hops === 0 ? '' : ` ${hops} that waited ${hops === 1 ? 'looks' : 'look'} again now.`;
  return `${station} takes orders of ${member} again.${waiting}`;
}
