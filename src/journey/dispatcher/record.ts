import { encodeEnvelope, parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { hopEntryHead } from '../../model/hop.ts';
import { digestOf } from '../../model/id.ts';
import { provenReceipt } from '../../model/proven.ts';
import { type VerifiedReceipt, verifyReceipt } from '../../model/receipt.ts';
import type { Stop, Train } from '../../ports/dispatcher-store.ts';
import type { Desk } from './desk.ts';
import type { SealedReceipt } from './receipt-proof.ts';
import { isEnded, progressAfter } from './route.ts';

/** What stations say of their hops, verified and put on record. Each function runs inside the caller's transaction. */

export const JWE_BYTES_MAX: number = 2 * 1024 * 1024;

/** @returns whether anything changed. @throws PhtError `input.malformed` for what is no progress */
export function recordProgress(stop: Stop, state: string, desk: Desk): boolean {
  const { valid, news } = progressAfter(stop.state, state);
  if (!valid) throw new PhtError('input.malformed', 'the report names no progress that a hop can make');
  if (news) desk.store.stops.move(stop, state as Stop['state'], '', desk.clock.nowMs());
  return news;
}

/**
 * The first valid receipt of a hop is final, and beats our own `unheard`. The same one again changes nothing; another
 * one contradicts the station's own word and is only noted.
 *
 * @returns whether it is news. @throws PhtError `receipt.invalid`, `proof.invalid`, `input.too-large`,
 *   `signature.invalid`, `statement.*`
 */
export function recordReceipt(stop: Stop, train: Train, sealed: SealedReceipt, desk: Desk): boolean {
  const verified = verifyReceipt(parseEnvelope(sealed.receipt, 'receipt'), desk.network(), stop.station);
  assertFits(verified, stop, train, sealed.jwe);
  // The entry precedes the message: without it there is no receipt (protocol, section 7).
  const { quote } = provenReceipt(sealed.proof, verified, desk.network());
  if (stop.receiptDigest !== null) {
    if (stop.receiptDigest !== verified.digest) {
      desk.rejects.count('conflict');
      desk.note('a station signed two receipts for one order; the first one stays', {
        hopId: stop.hopId,
        station: stop.station,
        first: stop.receiptDigest,
        second: verified.digest,
      });
    }
    return false;
  }
  const { outcome, code, jweDigest } = verified.predicate;
  const nowMs = desk.clock.nowMs();
  desk.store.stops.seal(
    stop,
    {
      state: outcome,
      code,
      receipt: encodeEnvelope(verified.envelope),
      receiptDigest: verified.digest,
      jwe: jweDigest === null ? null : sealed.jwe,
      proof: sealed.proof,
    },
    nowMs,
  );
  const head = hopEntryHead({ ...stop, manifestDigest: train.manifestDigest }, quote);
  const sealedDigest = jweDigest === null ? {} : { jweDigest };
  const body = { station: stop.station, outcome, code, receiptDigest: verified.digest, ...sealedDigest };
  desk.store.append([{ type: 'receipt.received', ...head, body }], nowMs);
  return true;
}

function assertFits(
  { predicate, subject }: VerifiedReceipt,
  stop: Stop,
  train: Train,
  jwe: Uint8Array,
): void {
  const invalid = (why: string): PhtError =>
    new PhtError('receipt.invalid', `the receipt does not fit its hop: ${why}`);
  if (jwe.byteLength > JWE_BYTES_MAX) {
    throw new PhtError('input.too-large', `a sealed result has at most ${JWE_BYTES_MAX} bytes`);
  }
  if (subject !== stop.orderDigest) throw invalid('it is for another order');
  if (predicate.manifestDigest !== train.manifestDigest) throw invalid('it is for another train');
  if (predicate.attempt !== stop.attempt) throw invalid('it is for another attempt');
  if (predicate.jweDigest === null && jwe.byteLength > 0) throw invalid('it does not name what was sealed');
  if (predicate.jweDigest !== null && predicate.jweDigest !== digestOf(jwe))
    throw invalid('something else was sealed');
  if (predicate.outcome === 'released' && predicate.jweDigest === null) throw invalid('it releases nothing');
  if ((predicate.outcome === 'released') !== (predicate.code === 'released'))
    throw invalid('its code is not its outcome');
}

/** The dispatcher's own claim, not a receipt: nothing was heard of this hop in time, or nothing counts any more. */
export function recordUnheard(
  stop: Stop,
  train: Train,
  desk: Desk,
  code: 'timed-out' | 'signer.revoked' = 'timed-out',
): void {
  if (isEnded(stop.state)) return;
  const nowMs = desk.clock.nowMs();
  desk.store.stops.move(stop, 'unheard', code, nowMs);
  const head = hopEntryHead({ ...stop, manifestDigest: train.manifestDigest });
  desk.store.append(
    [{ type: 'hop.unheard', ...head, body: { station: stop.station, last: stop.state, code } }],
    nowMs,
  );
}
