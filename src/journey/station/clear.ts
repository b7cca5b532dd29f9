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
    if (permission === null) {
      waitForPerson(decided.hop, station, ports.hops);
      return null;
    }
    return cleared(decided, permission, station, ports);
  };
}

type Permission = { by: string; clearanceDigest: string | null };

function permissionFor(decided: Decided, station: Station, clearances: ClearanceStore): Permission | null {
  if (decided.answer.verdict === 'permit') return { by: 'policy', clearanceDigest: null };
  const signed = clearances.find(decided.caseDigest, decided.hop.hopId);
  if (signed === null) return null;
  const envelope = parseEnvelope(signed, 'clearance');
  const clearance = verifyClearance(
    envelope,
    station.network(),
    station.id,
    decided.caseDigest,
    station.clock.nowMs(),
  );
  const { verdict, reason, issuer } = clearance.predicate;
  if (verdict === 'reject') {
    throw new PhtError('clearance.rejected', `an admin of the station rejected the train: ${reason}`);
  }
  return { by: issuer, clearanceDigest: clearance.digest };
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
  { by, clearanceDigest }: Permission,
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
        body: {
          by,
          caseDigest: decided.caseDigest,
          ...(clearanceDigest === null ? {} : { clearanceDigest }),
        },
      },
    ],
    progress: 'cleared',
    consume: clearanceDigest,
  });
  return stage<Cleared>({ decided, hop: moved, deadlineAtMs });
}
