import { openPolicy } from '../adapters/policy/cedar.ts';
import type { AdminService } from '../gen/pht/v1/admin_pb.ts';
import { PhtError } from '../model/error.ts';
import type { PolicyAnswer } from '../ports/policy.ts';
import type { Client } from '../ports/wire.ts';
import { exitStatusOf } from './exit.ts';
import type { Frame } from './frame.ts';
import { type Socket, withAgent } from './station-agent.ts';
import { minuteOf } from './station-case.ts';
import { decisionsOf, type PastDecision } from './station-policy-decisions.ts';
import { policyFile } from './station-policy-files.ts';
import { table, wrap } from './text.ts';

export type ReplayOptions = Socket & { policy?: string; newest: number; failOnChange?: boolean };

/** `was` and `now` differ in the verdict or in how many persons must approve. */
export type Changed = Omit<PastDecision, 'made' | 'policyDigest'> & {
  title: string;
  was: PolicyAnswer;
  now: PolicyAnswer;
};
export type Replayed = { decisions: number; erased: number; changed: Changed[] };

export const NEWEST_MAX = 10_000;

/** @throws PhtError `usage.invalid` */
export function newestFrom(text: string): number {
  const newest = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  if (newest >= 1 && newest <= NEWEST_MAX) return newest;
  throw new PhtError('usage.invalid', `--newest takes a number from 1 to ${NEWEST_MAX}`);
}

/** `pht station policy replay`: what another policy would have decided about the trains that came here. */
export async function replay(frame: Frame, options: ReplayOptions): Promise<void> {
  const { path, bytes } = policyFile(frame, options.policy);
  const policy = openPolicy(bytes);
  const replayed = await withAgent(frame, options, (agent) =>
    replayWith(agent, options.newest, ({ made }) =>
      made === null ? null : { was: made.answer, now: policy.decide(made.facts) },
    ),
  );
  const lines = [...changedLines(replayed), ...wrap(summaryOf(replayed, path))];
  frame.output.result({ policy: path, policyDigest: policy.digest, ...replayed }, lines);
  if (options.failOnChange === true && replayed.changed.length > 0)
    process.exitCode = exitStatusOf('policy.test-failed');
}

/** @param answersTo the two answers to compare; null where they cannot be made again */
export async function replayWith(
  agent: Client<typeof AdminService>,
  newest: number,
  answersTo: (decision: PastDecision) => Pick<Changed, 'was' | 'now'> | null,
): Promise<Replayed> {
  const replayed: Replayed = { decisions: 0, erased: 0, changed: [] };
  for await (const decision of decisionsOf(agent, { decisionsMax: newest })) {
    replayed.decisions += 1;
    const answers = answersTo(decision);
    if (answers === null) replayed.erased += 1;
    else if (differ(answers)) {
      const { hopId, trainId, decidedAtMs, made } = decision;
      const title = made?.facts.train.title ?? '';
      replayed.changed.push({ hopId, trainId, decidedAtMs, title, ...answers });
    }
  }
  return replayed;
}

function differ({ was, now }: Pick<Changed, 'was' | 'now'>): boolean {
  return was.verdict !== now.verdict || was.approvals !== now.approvals;
}

export function changedLines({ changed }: Replayed): string[] {
  if (changed.length === 0) return [];
  const rows = changed.map(({ hopId, decidedAtMs, title, was, now }) => [
    minuteOf(decidedAtMs),
    hopId,
    title,
    answerOf(was),
    answerOf(now),
  ]);
  const reasons = changed.flatMap(({ hopId, now }) => [
    ...wrap(`${hopId}: ${answerOf(now)}`),
    ...now.reasons.flatMap((reason) => wrap(`- ${reason}`, 2)),
  ]);
  return [...table(['decided', 'hop', 'train', 'was', 'would be'], rows), '', ...reasons, ''];
}

function answerOf({ verdict, approvals, error }: PolicyAnswer): string {
  if (error) return 'deny (error)';
  return approvals === 2 ? `${verdict} (2)` : verdict;
}

export function summaryOf({ decisions, erased, changed }: Replayed, path: string): string {
  const lost =
    erased === 0
      ? ''
      : ` ${erased} could not be made again: what ${erased === 1 ? 'it was' : 'they were'} made from was erased.`;
  return `${path}: ${changed.length} of ${decisions} past decisions would be another.${lost}`;
}
