import { encodeEnvelope, parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { isSealed } from '../../model/hop.ts';
import { verifyWithdrawal } from '../../model/withdrawal.ts';
import type { ClearanceStore, HopStore } from '../../ports/station-store.ts';
import { assertClock } from './clock.ts';
import { NO_HOP } from './forget.ts';
import type { Station } from './stages.ts';
import { authorOf, withdrawn } from './stands.ts';

export type WithdrawPorts = {
  hops: Pick<HopStore, 'open'>;
  clearances: Pick<ClearanceStore, 'statement' | 'withdraw'>;
  /** Ends a hop for this reason, wherever it stands. */
  stop: (hopId: string, reason: PhtError) => void;
};

const STATEMENT_BYTES_MAX = 16 * 1024;

/**
 * Takes a clearance back, for good, at an admin's word: what was cleared by it and has not released ends at once. The
 * transaction that releases asks again, so that nothing slips out in between.
 *
 * @returns how many hops were stopped
 * @throws PhtError as `verifyWithdrawal`; `not-found` for a clearance that is not here, `clock.untrusted`
 */
export function withdraw(
  statement: Uint8Array,
  station: Station,
  { hops, clearances, stop }: WithdrawPorts,
): { hops: number } {
  const nowMs = station.clock.nowMs();
  const at = { network: station.network(), station: station.id, nowMs };
  const parsed = parseEnvelope(statement, 'withdrawal', STATEMENT_BYTES_MAX);
  const { predicate, digest, envelope } = verifyWithdrawal(parsed, at);
  assertClock(station, nowMs);
  const { issuer, clearanceDigest } = predicate;
  const known = clearances.statement(clearanceDigest);
  if (known === null)
    throw new PhtError('not-found', 'there is no such clearance here', {
      hint: 'see them with: pht station standing, or pht station show HOP',
    });
  const bytes = encodeEnvelope(envelope);
  clearances.withdraw(
    clearanceDigest,
    bytes,
    () => {
      const body = {
        byCommitment: station.commitments.commit(issuer, [issuer]),
        withdrawalCommitment: station.commitments.commit(digest, [issuer]),
        withdrawnCommitment: station.commitments.commit(clearanceDigest, [issuer, authorOf(known)]),
      };
      return [{ type: 'clearance.withdrawn', ...NO_HOP, body }];
    },
    nowMs,
  );
  const stopped = hops
    .open()
    .filter(({ state, notes }) => !isSealed(state) && (notes.clearances ?? []).includes(clearanceDigest));
  for (const { hopId } of stopped) stop(hopId, withdrawn(bytes));
  return { hops: stopped.length };
}
