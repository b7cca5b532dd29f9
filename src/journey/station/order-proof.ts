import { PhtError } from '../../model/error.ts';
import type { EntryQuote } from '../../model/ledger/entry.ts';
import { openEntryProof } from '../../model/ledger/entry-proof.ts';
import { onlySignedBy } from '../../model/ledger/misconduct.ts';
import type { Network } from '../../model/network.ts';
import type { VerifiedOrder } from '../../model/order.ts';
import { provenOrder, trustIn } from '../../model/proven.ts';
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
  const dispatcher = order.predicate.issuer;
  const trust = trustIn(network, dispatcher, 'dispatcher');
  // Whatever else the proof shows: its dispatcher has signed the head in it, and evidence stays.
  const { opened, note } = openEntryProof(bytes, trust);
  for (const key of opened.signedBy) {
    const head = { ...opened.checkpoint, note: onlySignedBy(note, key) };
    witness.noteHead(dispatcher, trust.origin, head, nowMs);
  }
  const { quote } = provenOrder(bytes, order, network);
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
