import { verifyClearance } from '../../model/clearance.ts';
import { parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { hopEntryHead } from '../../model/hop.ts';
import type { ClearanceStore, HopRecord, HopStore } from '../../ports/station-store.ts';
import { type Cleared, type Decided, type Station, stage } from './stages.ts';

/**
 * Permission to run: by policy, or signed by a person who saw exactly this case. Without either the hop waits, and
 * nothing of the train touches the engine or the data.
 *
 * @returns null while a person has to decide
 */
export function createClear(
  station: Station,
  ports: { hops: HopStore; clearances: ClearanceStore },
): (decided: Decided) => Promise<Cleared | null> {
  return async (decided) => {
    const permission = permissionFor(decided, station, ports.clearances);
    if (permission === 'waits') {
      waitForPerson(decided.hop, station, ports.hops);
      return null;
    }
    if (permission !== null && permission.verdict === 'reject')
      throw rejected(decided, permission, station, ports.hops);
    return cleared(decided, permission, station, ports);
  };
}

/** null: by policy. */
type Permission = {
  verdict: 'approve' | 'reject';
  reason: string;
  admin: string;
  clearanceDigest: string;
} | null;

function permissionFor(decided: Decided, station: Station, clearances: ClearanceStore): Permission | 'waits' {
  if (decided.answer.verdict === 'permit') return null;
  const signed = clearances.find(decided.caseDigest, decided.hop.hopId);
  if (signed === null) return 'waits';
  const envelope = parseEnvelope(signed, 'clearance');
  const clearance = verifyClearance(
    envelope,
    station.network(),
    station.id,
    decided.caseDigest,
    station.clock.nowMs(),
  );
  const { verdict, reason, issuer } = clearance.predicate;
  return { verdict, reason, admin: issuer, clearanceDigest: clearance.digest };
}

/** On record once, also when a crash comes before the receipt. @returns what ends the hop */
function rejected(
  { hop, caseDigest }: Decided,
  { reason, admin, clearanceDigest }: NonNullable<Permission>,
  { clock, commitments }: Station,
  hops: HopStore,
): PhtError {
  if (hop.notes.rejectedCase !== caseDigest) {
    // Without `by`, which says who cleared a train: nobody did.
    const body = {
      verdict: 'reject',
      byCommitment: commitments.commit(admin, [admin]),
      rejectionCommitment: commitments.commit(clearanceDigest, [admin]),
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

function waitForPerson(hop: HopRecord, station: Station, hops: HopStore): void {
  if (hop.state === 'awaiting-clearance') return;
  hops.move(hop, 'awaiting-clearance', {
    nowMs: station.clock.nowMs(),
    entries: [],
    progress: 'awaiting-clearance',
  });
}

function cleared(
  decided: Decided,
  permission: Permission,
  station: Station,
  { hops }: { hops: HopStore },
): Cleared {
  const { hop } = decided;
  const manifest = decided.inspected.manifest.predicate;
  if (hop.state !== 'decided' && hop.state !== 'awaiting-clearance') {
    return stage<Cleared>({ decided, hop, deadlineAtMs: hop.notes.deadlineAtMs ?? manifest.expiresMs });
  }
  const nowMs = station.clock.nowMs();
  const deadlineAtMs = Math.min(manifest.expiresMs, nowMs + manifest.route.deadlineMs);
  const moved = hops.move(hop, 'cleared', {
    nowMs,
    notes: { clearedAtMs: nowMs, deadlineAtMs },
    entries: [
      {
        type: 'clearance.recorded',
        ...hopEntryHead(hop),
        body: { ...recorded(permission, station), caseDigest: decided.caseDigest },
      },
    ],
    progress: 'cleared',
    consume: permission?.clearanceDigest ?? null,
  });
  return stage<Cleared>({ decided, hop: moved, deadlineAtMs });
}

/** Who it was is for those to whom the station opens it: even a clearance's digest tells, once its words are guessed. */
function recorded(permission: Permission, { commitments }: Station): Record<string, string> {
  if (permission === null) return { by: 'policy' };
  const { admin, clearanceDigest } = permission;
  return {
    by: 'person',
    byCommitment: commitments.commit(admin, [admin]),
    clearanceCommitment: commitments.commit(clearanceDigest, [admin]),
  };
}
