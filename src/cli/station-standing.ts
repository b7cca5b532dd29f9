import { currentNetwork } from '../adapters/home/network-file.ts';
import type { AdminService, StandingClearance } from '../gen/pht/v1/admin_pb.ts';
import { openStatements, type ShownStatement } from '../journey/admin/statements.ts';
import { signWithdrawal } from '../journey/admin/word.ts';
import { PhtError } from '../model/error.ts';
import { HopIdText } from '../model/id.ts';
import type { Network } from '../model/network.ts';
import { check, ShortText } from '../model/schema.ts';
import type { StandingPredicate } from '../model/standing.ts';
import type { Client } from '../ports/wire.ts';
import type { Frame } from './frame.ts';
import { type Socket, stationOf, withAgent } from './station-agent.ts';
import { minuteOf } from './station-case.ts';
import { adminOf } from './station-disclose.ts';
import { wrap } from './text.ts';

/** Standing clearances, and taking clearances back. */

const SHOWN_DIGITS = 16;

type Listed = { record: StandingClearance; shown: ShownStatement };

/** `pht station standing`. */
export async function standing(frame: Frame, options: Socket): Promise<void> {
  await withAgent(frame, options, async (agent, home) => {
    const at = { network: currentNetwork(home), station: stationOf(home) };
    const listed = await listedBy(agent, at);
    const lines = listed.length === 0 ? ['There is no standing clearance.'] : listed.flatMap(linesOf);
    frame.output.result({ station: at.station, clearances: listed.map(plain) }, lines);
  });
}

async function listedBy(
  agent: Pick<Client<typeof AdminService>, 'standing'>,
  at: { network: Network; station: string },
): Promise<Listed[]> {
  const { clearances } = await agent.standing({});
  const shown = openStatements(
    clearances.map(({ statement }) => statement),
    at,
  );
  return clearances.flatMap((record, index) => {
    const one = shown[index];
    return one === undefined ? [] : [{ record, shown: one }];
  });
}

/** Nothing of a statement that does not verify here is repeated as if it were somebody's word. */
function plain({ record, shown }: Listed): object {
  const { runsUsed, state } = record;
  const head = { digest: shown.digest, state, runsUsed };
  if (shown.opened === null) return { ...head, problem: shown.problem };
  const { admin, person, standing: said } = shown.opened;
  if (said === null) return { ...head, problem: 'it is not a standing clearance' };
  const { networkId: _id, networkVersion: _version, issuer: _issuer, ...terms } = said;
  return { ...head, by: admin, person, ...terms };
}

function linesOf({ record, shown }: Listed): string[] {
  const head = `${shown.digest.slice(0, SHOWN_DIGITS)}  ${record.state}`;
  if (shown.opened === null) return [head, ...wrap(`does not hold here: ${shown.problem}`, 2)];
  const { admin, standing: said } = shown.opened;
  if (said === null) return [head, ...wrap('it is not a standing clearance', 2)];
  return [
    head,
    ...wrap(
      `${record.runsUsed} of ${said.runsMax} runs used, until ${minuteOf(said.expiresMs)}, signed by ${admin}: ${said.reason}`,
      2,
    ),
    ...wrap(termsText(said), 2),
  ];
}

function termsText({ scope, researcher, dataset, recipients, outputKinds, duo }: StandingPredicate): string {
  const what = 'image' in scope ? `image ${short(scope.image)}` : `code ${short(scope.code)}`;
  const uses = duo.length === 0 ? 'no use said' : duo.join(', ');
  return `${what} of ${researcher} on ${dataset} (${uses}); ${outputKinds.join(', ')} for ${recipients.join(', ')}`;
}

const short = (digest: string): string => `${digest.slice(0, SHOWN_DIGITS)}…`;

/** `pht station withdraw DIGEST|HOP`. */
export async function withdraw(
  frame: Frame,
  wanted: string,
  options: Socket & { reason: string },
): Promise<void> {
  const reason = check(ShortText, options.reason, '--reason', 'usage.invalid');
  assertNamed(wanted);
  frame.openHome(['admin']);
  await withAgent(frame, options, async (agent, home) => {
    const { admin, station } = await adminOf(home, frame);
    const at = { network: admin.network, station };
    const digests = HopIdText.safeParse(wanted).success
      ? await clearancesOf(agent, wanted, at)
      : [await meant(agent, wanted, at)];
    let hops = 0;
    for (const clearanceDigest of digests) {
      const answer = await agent.withdraw({
        statement: signWithdrawal({ station, clearanceDigest, reason }, admin),
      });
      hops += answer.hops;
    }
    frame.output.result({ station, clearances: digests, reason, hops }, [
      ...digests.map((digest) => `withdrew ${digest}`),
      ...wrap(
        hops === 0
          ? 'No train was running under it. Nothing will run under it any more.'
          : `${hops} train${hops === 1 ? '' : 's'} under it ${hops === 1 ? 'was' : 'were'} stopped before anything was released.`,
      ),
      `signed by ${admin.id}`,
    ]);
  });
}

function assertNamed(wanted: string): void {
  if (HopIdText.safeParse(wanted).success || /^[0-9a-f]{16,64}$/.test(wanted)) return;
  throw new PhtError('usage.invalid', 'name a hop, or a clearance by 16 to 64 hexadecimal digits', {
    hint: 'see them with: pht station standing, or pht station show HOP --json',
  });
}

type At = { network: Network; station: string };

/** Whatever this hop was cleared by, or waits with. */
async function clearancesOf(
  agent: Pick<Client<typeof AdminService>, 'show'>,
  hopId: string,
  at: At,
): Promise<string[]> {
  const { clearances } = await agent.show({ hopId });
  const digests = openStatements(clearances, at).flatMap(({ opened }) => opened?.digest ?? []);
  if (digests.length > 0) return digests;
  throw new PhtError('not-found', 'no person has approved this hop, or nothing of it verifies here', {
    hint: `pht station show ${hopId} tells who has; pht station standing lists standing clearances`,
  });
}

/** A beginning is enough for one that is listed; any other clearance takes all 64 digits. */
async function meant(
  agent: Pick<Client<typeof AdminService>, 'standing'>,
  wanted: string,
  at: At,
): Promise<string> {
  if (wanted.length === 64) return wanted;
  const [found, ...more] = (await listedBy(agent, at)).filter(({ shown }) => shown.digest.startsWith(wanted));
  if (found !== undefined && more.length === 0) return found.shown.digest;
  throw new PhtError(
    found === undefined ? 'not-found' : 'usage.invalid',
    found === undefined ? 'there is no such standing clearance' : 'that fits more than one: give more digits',
    { hint: 'see them with: pht station standing' },
  );
}
