import { asPhtError } from '../../model/error.ts';
import { lastEntry } from '../../model/ledger/last-entry.ts';
import type { LedgerRows } from '../../ports/ledger.ts';
import type { Policy } from '../../ports/policy.ts';
import type { StationLog } from '../../ports/station-store.ts';
import { NO_HOP } from './forget.ts';
import type { Station } from './stages.ts';

/**
 * Each policy that came into force is on record once, whether or not a train met it. One that cannot be read is in force
 * nowhere: it denies everything, and each denial is on record.
 *
 * @returns looks at the policy as it is now
 */
export function createPolicyFollower(
  station: Station,
  ports: {
    policy: () => Policy;
    log: Pick<StationLog, 'append'>;
    ledgerRows: Pick<LedgerRows, 'size' | 'read'>;
  },
): () => void {
  let known: string | null = null;
  let trouble = '';
  return () => {
    try {
      const { digest } = ports.policy();
      trouble = '';
      if (digest === known) return;
      known ??= lastDigest(ports.ledgerRows);
      if (digest !== known)
        ports.log.append([{ type: 'policy.changed', ...NO_HOP, body: { digest } }], station.clock.nowMs());
      known = digest;
    } catch (thrown) {
      const { code } = asPhtError(thrown);
      if (code !== trouble) station.note('the policy is not usable; every train is refused', { code });
      trouble = code;
    }
  };
}

function lastDigest(rows: Pick<LedgerRows, 'size' | 'read'>): string | null {
  const digest = lastEntry(rows, 'policy.changed')?.body['digest'];
  return typeof digest === 'string' ? digest : null;
}
