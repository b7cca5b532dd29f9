import { PhtError } from '../../model/error.ts';
import type { EntryQuote } from '../../model/ledger/entry.ts';
import type { Network } from '../../model/network.ts';
import type { VerifiedOrder } from '../../model/order.ts';
import { provenOrder } from '../../model/proven.ts';
import type { WitnessStore } from '../../ports/witness.ts';

/**
 * The entry precedes the message: an order counts only with the proof that it stands in its dispatcher's ledger
 * (protocol, section 7). The head in the proof is noted, so that a dispatcher that shows two histories is found out.
 *
 * @returns what the entry about receiving it quotes
 * @throws PhtError `proof.invalid`, `dispatcher.distrusted`
 */
export function quoteOf(
  bytes: Uint8Array,
  order: VerifiedOrder,
  network: Network,
  witness: Pick<WitnessStore, 'noteHead' | 'unresolved'>,
  nowMs: number,
): EntryQuote {
  const { quote, opened, note } = provenOrder(bytes, order, network);
  const dispatcher = order.predicate.issuer;
  witness.noteHead(dispatcher, quote.origin, { ...opened.checkpoint, note }, nowMs);
  assertTrusted(dispatcher, witness);
  return quote;
}

/** @throws PhtError `dispatcher.distrusted` while an admin has not decided on what it signed */
export function assertTrusted(dispatcher: string, witness: Pick<WitnessStore, 'unresolved'>): void {
  if (witness.unresolved(dispatcher).length === 0) return;
  throw new PhtError(
    'dispatcher.distrusted',
    `${dispatcher} signed two ledgers that cannot both be true; nothing of it is taken on until an admin decides`,
    { hint: 'look at the evidence with: pht station conflicts' },
  );
}
