import { assertInForce, ClearancePredicate, verifyByAdmin } from '../../model/clearance.ts';
import { parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { memberOf, personOf } from '../../model/network.ts';
import { openStanding, StandingPredicate } from '../../model/standing.ts';
import { readStatement } from '../../model/statement.ts';
import { WithdrawalPredicate } from '../../model/withdrawal.ts';
import type { ClearanceStore, HopRecord, KnownStatement } from '../../ports/station-store.ts';
import { imageApprovedHere } from './image-history.ts';
import type { Station } from './stages.ts';

/**
 * Each statement that this hop was cleared by is still that of an admin, of as many persons as were needed, and nobody
 * has taken it back. Asked again in the transaction that releases.
 *
 * @param researcher whose train it is
 * @param expiry whether it has to be in force now, too: what has begun in time is held to its own deadline instead
 * @throws PhtError `clearance.withdrawn`; `clearance.invalid` when a person has to be asked again; `clearance.expired`
 */
export function assertStands(
  hop: HopRecord,
  researcher: string,
  station: Station,
  clearances: Pick<ClearanceStore, 'statement' | 'clearedWith'>,
  expiry: boolean,
): void {
  const statements = assertNotWithdrawn(hop, clearances);
  assertImageApproved(hop, station, clearances);
  if (hop.notes.verdict !== 'ask') return;
  const own = personOf(memberOf(station.network(), researcher, 'researcher'));
  const persons = new Set(statements.map((statement) => personBehind(statement, station, expiry)));
  const enough = persons.size >= Math.max(1, hop.notes.approvalsNeeded ?? 1) && !persons.has(own);
  if (!enough) throw openAgain();
}

/** What the policy said of an image that a person had approved counts no longer than that approval. */
function assertImageApproved(
  { notes, hopId }: HopRecord,
  station: Station,
  clearances: Pick<ClearanceStore, 'statement' | 'clearedWith'>,
): void {
  if (notes.imageApprovedHere !== true) return;
  if (imageApprovedHere(notes.image ?? '', hopId, station, clearances)) return;
  throw new PhtError('clearance.invalid', 'nobody stands for the image any more; the case is open again');
}

/** @throws PhtError `clearance.withdrawn` */
export function assertNotWithdrawn(
  { notes }: HopRecord,
  clearances: Pick<ClearanceStore, 'statement'>,
): (KnownStatement | null)[] {
  const statements = (notes.clearances ?? []).map((digest) => clearances.statement(digest));
  for (const statement of statements) {
    if (statement !== null && statement.withdrawal !== null) throw withdrawn(statement.withdrawal);
  }
  return statements;
}

/** Whose word it was is no part of it. */
export function withdrawn(withdrawal: Uint8Array): PhtError {
  const text = 'an admin of the station took the clearance back';
  if (withdrawal.byteLength === 0) return new PhtError('clearance.withdrawn', text);
  const payload = payloadOf(parseEnvelope(withdrawal, 'withdrawal'));
  const { reason } = readStatement('withdrawal', WithdrawalPredicate, payload).predicate;
  return new PhtError('clearance.withdrawn', `${text}: ${reason}`);
}

/** Who signed a statement that was verified when it came. */
export function authorOf({ kind, envelope }: KnownStatement): string {
  const payload = payloadOf(parseEnvelope(envelope, 'clearance'));
  return kind === 'standing'
    ? readStatement('standing', StandingPredicate, payload).predicate.issuer
    : readStatement('clearance', ClearancePredicate, payload).predicate.issuer;
}

function personBehind(statement: KnownStatement | null, station: Station, expiry: boolean): string {
  if (statement === null) throw openAgain();
  const at = { network: station.network(), station: station.id };
  const envelope = parseEnvelope(statement.envelope, 'clearance');
  try {
    const { predicate, person } =
      statement.kind === 'standing'
        ? openStanding(envelope, at)
        : verifyByAdmin('clearance', ClearancePredicate, envelope, at);
    if (expiry) assertInForce(predicate, station.clock.nowMs());
    return person;
  } catch (thrown) {
    if (!(thrown instanceof PhtError) || thrown.code === 'clearance.expired') throw thrown;
    throw openAgain(thrown);
  }
}

function openAgain(cause?: PhtError): PhtError {
  return new PhtError(
    'clearance.invalid',
    'who approved it is not an admin of this station any more; the case is open again',
    { cause },
  );
}
