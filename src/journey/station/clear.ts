import { PhtError } from '../../model/error.ts';
import { hopEntryHead } from '../../model/hop.ts';
import { disclosureDigest } from '../../model/result/settings.ts';
import type { NewEntry } from '../../ports/ledger.ts';
import type { Consumption, HopStore } from '../../ports/station-store.ts';
import {
  type ApprovalPorts,
  type Judgement,
  judgeCase,
  type OpenCase,
  type Word,
  wordsOn,
} from './approvals.ts';
import { type Cleared, type Decided, type Station, stage } from './stages.ts';
import { assertStands } from './stands.ts';

export type ClearPorts = ApprovalPorts & { hops: HopStore };

/**
 * Permission to run: by policy, or signed by as many persons as it asks for, on exactly this case or by standing
 * clearances that it keeps to. Without either the hop waits, and nothing of the train touches the engine or the data.
 *
 * @returns null while a person has to decide
 */
export function createClear(
  station: Station,
  ports: ClearPorts,
): (decided: Decided) => Promise<Cleared | null> {
  return async (decided) => {
    const before = decided.hop;
    if (before.state === 'cleared' && stillStands(decided, station, ports)) {
      const { expiresMs } = decided.inspected.manifest.predicate;
      return stage<Cleared>({ decided, hop: before, deadlineAtMs: before.notes.deadlineAtMs ?? expiresMs });
    }
    const open = before.state === 'cleared' ? openedAgain(decided, station, ports.hops) : decided;
    if (open.answer.verdict === 'permit') return cleared(open, null, station, ports);
    const judgement = await judgeCase(openCaseOf(open), station, ports);
    if (judgement.is === 'rejected') throw rejected(open, judgement.word, station, ports.hops);
    if (judgement.is === 'approved') return cleared(open, judgement, station, ports);
    waitForPersons(open, judgement.given, station, ports.hops);
    return null;
  };
}

export function openCaseOf(decided: Pick<Decided, keyof Decided>): OpenCase {
  const { hop, caseDigest, policyDigest, disclosure, inspected, answer } = decided;
  return {
    hop,
    digest: caseDigest,
    manifest: inspected.manifest.predicate,
    policyDigest,
    disclosureDigest: disclosureDigest(disclosure),
    needed: Math.max(1, answer.approvals),
  };
}

/** @throws PhtError `clearance.withdrawn`, `clearance.expired`: an approval that ran out before the train ran */
function stillStands({ hop, inspected }: Decided, station: Station, { clearances }: ClearPorts): boolean {
  try {
    assertStands(hop, inspected.manifest.predicate.issuer, station, clearances, true);
    return true;
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'clearance.invalid') return false;
    throw thrown;
  }
}

function openedAgain(decided: Decided, station: Station, hops: HopStore): Decided {
  const nowMs = station.clock.nowMs();
  const notes = { clearances: [], approvals: [] };
  return { ...decided, hop: hops.move(decided.hop, 'decided', { nowMs, notes, entries: [] }) };
}

/** On record once, also when a crash comes before the receipt. @returns what ends the hop */
function rejected(
  { hop, caseDigest }: Decided,
  { reason, admin, digest }: Word,
  { clock, commitments }: Station,
  hops: HopStore,
): PhtError {
  if (hop.notes.rejectedCase !== caseDigest) {
    // Without `by`, which says who cleared a train: nobody did.
    const body = {
      verdict: 'reject',
      byCommitment: commitments.commit(admin, [admin]),
      rejectionCommitment: commitments.commit(digest, [admin]),
      caseDigest,
    };
    hops.move(hop, 'decided', {
      nowMs: clock.nowMs(),
      notes: { rejectedCase: caseDigest },
      entries: [{ type: 'clearance.recorded', ...hopEntryHead(hop), body }],
    });
  }
  return new PhtError('clearance.rejected', `an admin of the station rejected the train: ${reason}`);
}

/** The first of two approvals is on record as soon as it counts, and says for itself that it cleared nothing. */
function waitForPersons(
  { hop, caseDigest }: Decided,
  given: readonly Word[],
  { clock, commitments }: Station,
  hops: HopStore,
): void {
  const known = hop.notes.approvals ?? [];
  const digests = given.map(({ digest }) => digest);
  if (hop.state === 'awaiting-clearance' && digests.join() === known.join()) return;
  const news = given.filter(({ digest, standing }) => !standing && !known.includes(digest));
  const entries = news.map(({ admin, digest }): NewEntry => {
    const body = {
      verdict: 'approve',
      byCommitment: commitments.commit(admin, [admin]),
      approvalCommitment: commitments.commit(digest, [admin]),
      caseDigest,
    };
    return { type: 'clearance.recorded', ...hopEntryHead(hop), body };
  });
  hops.move(hop, 'awaiting-clearance', {
    nowMs: clock.nowMs(),
    notes: { approvals: digests },
    entries,
    progress: given.length > 0 ? 'awaiting-second-clearance' : 'awaiting-clearance',
  });
}

/** @param approved null: by policy */
function cleared(
  decided: Decided,
  approved: (Judgement & { is: 'approved' }) | null,
  station: Station,
  { hops, clearances: said }: ClearPorts,
): Cleared {
  const { hop, caseDigest } = decided;
  const manifest = decided.inspected.manifest.predicate;
  const nowMs = station.clock.nowMs();
  const deadlineAtMs = Math.min(manifest.expiresMs, nowMs + manifest.route.deadlineMs);
  const clearances = approved?.words.map(({ digest }) => digest) ?? [];
  const consume: Consumption | null = approved === null ? null : { clearances, terms: approved.terms };
  const body = { ...recorded(approved, station), caseDigest };
  const moved = hops.move(hop, 'cleared', {
    nowMs,
    notes: { clearedAtMs: nowMs, deadlineAtMs, clearances, approvals: [] },
    entries: [{ type: 'clearance.recorded', ...hopEntryHead(hop), body }],
    progress: 'cleared',
    consume,
    guard: () => {
      if (approved !== null) assertNotRejected(decided, station, said);
    },
  });
  return stage<Cleared>({ decided, hop: moved, deadlineAtMs });
}

/** Somebody may have said no while the config of the image was on its way. */
function assertNotRejected(decided: Decided, station: Station, clearances: ClearPorts['clearances']): void {
  const words = wordsOn(openCaseOf(decided), station, clearances);
  if (words.some(({ verdict }) => verdict === 'reject'))
    throw new PhtError('clearance.invalid', 'somebody rejected the train meanwhile; it is looked at again');
}

/** Who it was is for those to whom the station opens it: even a clearance's digest tells, once its words are guessed. */
function recorded(
  approved: (Judgement & { is: 'approved' }) | null,
  { commitments }: Station,
): Record<string, string | boolean> {
  if (approved === null) return { by: 'policy' };
  const [first, second] = approved.words.map(({ admin, digest }) => ({
    by: commitments.commit(admin, [admin]),
    clearance: commitments.commit(digest, [admin]),
  }));
  if (first === undefined) throw new PhtError('internal', 'an approval without anybody');
  return {
    by: 'person',
    byCommitment: first.by,
    clearanceCommitment: first.clearance,
    ...(second === undefined
      ? {}
      : { secondByCommitment: second.by, secondClearanceCommitment: second.clearance }),
    ...(approved.terms === null ? {} : { standing: true }),
  };
}
