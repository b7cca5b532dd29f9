import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import type { AdminService } from '../gen/pht/v1/admin_pb.ts';
import { type OpenedCase, signClearance, signStanding } from '../journey/admin/case.ts';
import { CLEARANCE_LIFETIME_MS_MAX } from '../model/clearance.ts';
import { PhtError } from '../model/error.ts';
import { verifyImageConfig } from '../model/image-config.ts';
import { STANDING_LIFETIME_MS_MAX, STANDING_RUNS_MAX } from '../model/standing.ts';
import { durationMsOf } from '../model/train-file.ts';
import type { Client } from '../ports/wire.ts';
import { type Frame, signerOf } from './frame.ts';
import { type Socket, withAgent } from './station-agent.ts';
import { minuteOf } from './station-case.ts';
import { assertSameCase, type Looked, look } from './station-look.ts';
import { type KeptProof, keepProof, proofLines } from './station-proof.ts';
import { approvals } from './station-shown.ts';
import { wrap } from './text.ts';

/** What a person at the hospital signs about a train: approve, reject, or approve trains to come. */

export type DecisionOptions = Socket & {
  reason: string;
  case?: string;
  expires?: string;
  standing?: boolean;
  runs?: string;
  until?: string;
  scope?: string;
};

type Verdict = 'approve' | 'reject';
type Wish = { lifetimeMs: number; standing: null } | { standing: Standing };
type Standing = { runsMax: number; expiresMs: number; scope: 'image' | 'code' };

const DAY_MS = 86_400_000;

export async function decide(
  frame: Frame,
  hopId: string,
  verdict: Verdict,
  options: DecisionOptions,
): Promise<void> {
  const wish = wishOf(options, frame.nowMs());
  if (options.reason === '' || options.reason.length > 1000)
    throw new PhtError('usage.invalid', '--reason takes 1 to 1000 characters');
  frame.openHome(['admin']);
  await withAgent(frame, options, async (agent, home) => {
    const config = wish.standing?.scope === 'code';
    const looked = await look(agent, home, { hopId, config }, () => frame.nowMs());
    const { opened } = looked;
    assertSameCase(opened, options.case);
    const statement = await signed(looked, { verdict, reason: options.reason, wish }, home, frame);
    const { approvalsNeeded, approvedBy } = await agent.decide({ hopId, clearance: statement });
    const said = verdict === 'approve' ? 'approved' : 'rejected';
    const alone = verdict === 'approve' && approvedBy.length < approvalsNeeded;
    const proof =
      alone && wish.standing !== null
        ? { problem: 'another person has to sign the same first' }
        : await provenDecision(agent, home, { hopId, verdict, said, opened, alone }, frame);
    const about = { hopId, verdict, caseDigest: opened.digest, standing: wish.standing };
    frame.output.result({ ...about, approvalsNeeded, approvedBy, proof }, [
      `${said} ${hopId}: ${opened.file.manifest.title}`,
      `signed by ${home.member.id} over case ${opened.digest.slice(0, 16)}…`,
      ...(wish.standing === null ? [] : standingLines(wish.standing, opened)),
      ...(alone ? waitingLines(approvedBy, approvalsNeeded) : []),
      ...proofLines(proof, hopId),
    ]);
  });
}

async function provenDecision(
  agent: Client<typeof AdminService>,
  home: Home,
  decided: { hopId: string; verdict: Verdict; said: string; opened: OpenedCase; alone: boolean },
  frame: Frame,
): Promise<KeptProof> {
  const { hopId, verdict, said, opened, alone } = decided;
  frame.output.progress(`${said}; waiting for the proof of it`);
  return keepProof(agent, home, { hopId, verdict, caseDigest: opened.digest, whole: !alone }, frame);
}

async function signed(
  { opened, config }: Looked,
  { verdict, reason, wish }: { verdict: Verdict; reason: string; wish: Wish },
  home: Home,
  frame: Frame,
): Promise<Uint8Array> {
  const signer = await signerOf(home, 'statement');
  const admin = { id: home.member.id, network: currentNetwork(home), signer, nowMs: frame.nowMs() };
  if (wish.standing === null)
    return signClearance(opened, { verdict, reason, lifetimeMs: wish.lifetimeMs }, admin);
  const { scope, ...terms } = wish.standing;
  const { image } = opened.manifest.predicate;
  // The agent's own word on the code would not do: the bytes have to be those of the signed digest.
  const over = scope === 'image' ? 'image' : { config: verifyImageConfig(config, image) };
  return signStanding(opened, { ...terms, reason, scope: over }, admin);
}

const exampleDay = (nowMs: number): string =>
  new Date(nowMs + STANDING_LIFETIME_MS_MAX / 2).toISOString().slice(0, 10);

/** @throws PhtError `usage.invalid` */
function wishOf({ standing, runs, until, scope, expires }: DecisionOptions, nowMs: number): Wish {
  const invalid = (message: string): PhtError => new PhtError('usage.invalid', message);
  if (standing !== true) {
    if (runs !== undefined || until !== undefined || scope !== undefined)
      throw invalid('--runs, --until and --scope go with --standing');
    return { standing: null, lifetimeMs: lifetimeMsOf(expires) };
  }
  if (expires !== undefined) throw invalid('a standing clearance ends with --until DATE, not --expires');
  if (runs === undefined || until === undefined)
    throw invalid('--standing takes --runs N and --until DATE as well');
  const runsMax = /^[1-9][0-9]{0,3}$/.test(runs) ? Number(runs) : 0;
  if (runsMax < 1 || runsMax > STANDING_RUNS_MAX) throw invalid(`--runs takes 1 to ${STANDING_RUNS_MAX}`);
  if (scope !== undefined && scope !== 'image' && scope !== 'code')
    throw invalid('--scope takes image (the default) or code');
  const expiresMs = endOf(until);
  if (expiresMs === null || expiresMs <= nowMs || expiresMs > nowMs + STANDING_LIFETIME_MS_MAX)
    throw invalid(`--until takes a day within a year from now, such as ${exampleDay(nowMs)}`);
  return { standing: { runsMax, expiresMs, scope: scope ?? 'image' } };
}

function lifetimeMsOf(expires: string | undefined): number {
  if (expires === undefined) return CLEARANCE_LIFETIME_MS_MAX;
  const lifetimeMs = durationMsOf(expires);
  if (lifetimeMs !== null && lifetimeMs <= CLEARANCE_LIFETIME_MS_MAX) return lifetimeMs;
  throw new PhtError('usage.invalid', '--expires takes at most 7d, such as 12h or 3d');
}

/** The end of that day in UTC, so that two persons who name one day name one moment. */
function endOf(day: string): number | null {
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(day)) return null;
  const startMs = Date.parse(`${day}T00:00:00Z`);
  if (Number.isNaN(startMs) || new Date(startMs).toISOString().slice(0, 10) !== day) return null;
  return startMs + DAY_MS;
}

function standingLines({ runsMax, expiresMs, scope }: Standing, { file }: OpenedCase): string[] {
  const { manifest, researcher } = file;
  const what = scope === 'image' ? 'this very image' : 'the code of this image';
  return wrap(
    `It stands for ${runsMax} run${runsMax === 1 ? '' : 's'} of ${what} by ${researcher.id} on ${manifest.dataset}, this one among them, until ${minuteOf(expiresMs)}. Take it back with: pht station withdraw`,
  );
}

function waitingLines(approvedBy: readonly string[], needed: number): string[] {
  return wrap(
    `${approvals(approvedBy.length, needed, approvedBy)}: another person has to approve it, too, before it runs.`,
  );
}
