import { CLEARANCE_BYTES_MAX, type VerifiedClearance, verifyClearance } from '../../model/clearance.ts';
import { type Envelope, encodeEnvelope, parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { hopEntryHead } from '../../model/hop.ts';
import { verifyImageConfig } from '../../model/image-config.ts';
import { memberOf, personOf } from '../../model/network.ts';
import { SKEW_MS } from '../../model/skew.ts';
import { coversImage, misfitOf, type VerifiedStanding, verifyStanding } from '../../model/standing.ts';
import { claimedType } from '../../model/statement.ts';
import type { ClearanceStore, HopStore } from '../../ports/station-store.ts';
import {
  type ApprovalPorts,
  judgeCase,
  type OpenCase,
  standingWords,
  type Word,
  wordsOn,
} from './approvals.ts';
import { assertClock } from './clock.ts';
import { caseOf, hopOf, type LookPorts } from './look.ts';
import type { Station } from './stages.ts';
import { withdrawn } from './stands.ts';

export type DecisionPorts = ApprovalPorts &
  LookPorts & {
    hops: HopStore;
    /** Lets a hop look again. */
    decided: (hopId: string) => void;
  };

/** Who counts now, of how many. */
export type Approvals = { approvalsNeeded: number; approvedBy: string[] };

/**
 * Takes a person's decision on a hop that waits for one: a clearance of exactly this case, or a standing one that this
 * case keeps to. The agent verifies and records; it cannot sign.
 *
 * @throws PhtError `conflict` for a hop that does not wait, `clock.untrusted`, `clearance.*`, `signer.*`,
 *   `signature.invalid`, `statement.*`, `network.*`, `input.*`
 */
export async function takeDecision(
  hopId: string,
  bytes: Uint8Array,
  station: Station,
  ports: DecisionPorts,
): Promise<Approvals & { state: string }> {
  const hop = hopOf(hopId, ports.hops);
  const envelope = parseEnvelope(bytes, 'clearance', CLEARANCE_BYTES_MAX);
  const name = claimedType(payloadOf(envelope), ['clearance', 'standing']);
  if (hop.state !== 'awaiting-clearance') {
    throw new PhtError('conflict', `the hop does not wait for a decision; it is ${hop.state}`);
  }
  assertClock(station, station.clock.nowMs());
  const about = await caseOf(hop, station, ports);
  if (name === 'clearance') takeClearance(envelope, about, station, ports.clearances);
  else await takeStanding(envelope, about, station, ports);
  const approvals = await approvalsOf(about, station, ports);
  ports.decided(hopId);
  return { state: ports.hops.find(hopId)?.state ?? hop.state, ...approvals };
}

export async function approvalsOf(
  about: OpenCase,
  station: Station,
  ports: ApprovalPorts,
): Promise<Approvals> {
  const judgement = await judgeCase(about, station, ports);
  const words =
    judgement.is === 'approved' ? judgement.words : judgement.is === 'waits' ? judgement.given : [];
  return { approvalsNeeded: about.needed, approvedBy: words.map(({ admin }) => admin) };
}

function takeClearance(
  envelope: Envelope,
  about: OpenCase,
  station: Station,
  clearances: ClearanceStore,
): void {
  const nowMs = station.clock.nowMs();
  const verified = verifyClearance(envelope, station.network(), station.id, about.digest, nowMs);
  const { predicate, digest } = verified;
  if (predicate.manifestDigest !== about.hop.manifestDigest)
    throw new PhtError('clearance.invalid', 'the clearance speaks of another train');
  assertNotTakenBack(verified, clearances);
  if (clearances.isSpent(digest, about.hop.hopId))
    throw new PhtError('clearance.invalid', 'the run that this clearance allowed was used');
  const words = wordsOn(about, station, clearances);
  assertNewest(verified, words);
  if (predicate.verdict === 'approve') assertAnotherPerson(verified, words, about, station);
  clearances.record(about.digest, digest, encodeEnvelope(verified.envelope), nowMs);
}

/** An older word sent again must not undo a newer one. */
function assertNewest({ predicate, person, digest }: VerifiedClearance, words: readonly Word[]): void {
  const newer = words.find((word) => word.person === person && word.issuedAtMs > predicate.issuedAtMs);
  if (newer === undefined || newer.digest === digest) return;
  throw new PhtError('clearance.invalid', 'the same person has decided on this case since; sign anew');
}

/** Four eyes are two persons, whatever accounts they have; nobody approves his own train. */
function assertAnotherPerson(
  said: { person: string; digest: string },
  words: readonly Word[],
  { manifest, needed }: OpenCase,
  station: Station,
): void {
  if (said.person === personOf(memberOf(station.network(), manifest.issuer, 'researcher')))
    throw new PhtError('clearance.same-person', 'nobody approves his own train: another person has to');
  if (needed < 2) return;
  const before = words.find(
    ({ person, verdict, digest }) =>
      verdict === 'approve' && person === said.person && digest !== said.digest,
  );
  if (before === undefined) return;
  throw new PhtError(
    'clearance.same-person',
    `the same person has approved already, as ${before.admin}: the policy asks for two persons`,
  );
}

async function takeStanding(
  envelope: Envelope,
  about: OpenCase,
  station: Station,
  { clearances, configOf }: ApprovalPorts,
): Promise<void> {
  const nowMs = station.clock.nowMs();
  const at = { network: station.network(), station: station.id, nowMs };
  const verified = verifyStanding(envelope, at);
  const { predicate } = verified;
  const { hop, manifest } = about;
  const misfit = misfitOf(predicate, about);
  if (misfit !== null)
    throw new PhtError('clearance.invalid', `the standing clearance does not fit this train: ${misfit}`);
  const bytes = 'code' in predicate.scope ? await configOf(hop.trainId, manifest.image) : null;
  const config = bytes === null ? null : verifyImageConfig(bytes, manifest.image);
  if (!coversImage(predicate, manifest, config))
    throw new PhtError('clearance.invalid', 'the standing clearance is for another image');
  assertNotTakenBack(verified, clearances);
  const others = clearances
    .standing({ researcher: predicate.researcher, dataset: predicate.dataset })
    .filter(({ termsDigest, withdrawn: gone }) => termsDigest === verified.subject && !gone);
  if (!clearances.hasRun({ digest: verified.subject, runsMax: predicate.runsMax }, hop))
    throw new PhtError('clearance.invalid', 'all runs that this standing clearance allowed were used');
  assertAnotherPerson(verified, standingWords(others, station), about, station);
  recordStanding(verified, about, station, clearances);
}

function recordStanding(
  { predicate, digest, subject, envelope }: VerifiedStanding,
  { hop, needed }: OpenCase,
  { commitments, clock }: Station,
  clearances: ClearanceStore,
): void {
  const { issuer, researcher, recipients, dataset } = predicate;
  const standing = { digest, termsDigest: subject, researcher, dataset, approvals: needed };
  clearances.recordStanding(
    { ...standing, envelope: encodeEnvelope(envelope) },
    () => {
      const about = [issuer, researcher, ...recipients];
      const body = {
        byCommitment: commitments.commit(issuer, [issuer]),
        clearanceCommitment: commitments.commit(digest, about),
      };
      return [{ type: 'clearance.standing', ...hopEntryHead(hop), body }];
    },
    clock.nowMs(),
  );
}

/** @throws PhtError `clearance.withdrawn`; `clearance.invalid` for one that may have been and nobody can tell */
function assertNotTakenBack(
  { digest, predicate }: { digest: string; predicate: { issuedAtMs: number } },
  clearances: Pick<ClearanceStore, 'statement' | 'wordsLostMs'>,
): void {
  const known = clearances.statement(digest);
  const withdrawal = known?.withdrawal ?? null;
  if (withdrawal !== null) throw withdrawn(withdrawal);
  const lostMs = clearances.wordsLostMs();
  if (known !== null || lostMs === null) return;
  // Whoever signed it may have been ahead by the skew, and this station behind by as much when it was used.
  const sinceMs = lostMs + 2 * SKEW_MS;
  if (predicate.issuedAtMs > sinceMs) return;
  throw new PhtError(
    'clearance.invalid',
    'it was signed before this station lost, with its backup, which clearances were used or taken back',
    { hint: `sign anew, after ${new Date(sinceMs).toISOString().slice(0, 16)}Z` },
  );
}
