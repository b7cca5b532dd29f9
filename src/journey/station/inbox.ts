import { parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { isSealed } from '../../model/hop.ts';
import type { Network } from '../../model/network.ts';
import { verifyWhenIssued } from '../../model/train.ts';
import type { ClearanceStore, HopRecord } from '../../ports/station-store.ts';
import { neededBy } from './look.ts';
import { authorOf } from './stands.ts';

/** One hop as a list shows it. */
export function inboxEntry(hop: HopRecord, network: Network, clearances: Pick<ClearanceStore, 'statement'>) {
  const notes = notesOf(hop, network);
  const { approvals = [] } = hop.notes;
  const open = !isSealed(hop.state);
  return {
    hopId: hop.hopId,
    trainId: hop.trainId,
    title: notes.title ?? (notes.erased ? '(erased)' : ''),
    researcher: notes.researcher ?? '',
    dataset: notes.dataset ?? '',
    state: hop.state,
    outcome: hop.sealed?.outcome ?? '',
    code: hop.sealed?.code ?? '',
    receivedAtMs: BigInt(hop.receivedAtMs),
    approvalsNeeded: open ? neededBy(hop) : 0,
    approvedBy: open ? authorsOf(approvals, clearances) : [],
    waitingSinceMs: BigInt(hop.state === 'awaiting-clearance' ? hop.changedAtMs : 0),
  };
}

function authorsOf(digests: readonly string[], clearances: Pick<ClearanceStore, 'statement'>): string[] {
  return digests.flatMap((digest) => {
    const statement = clearances.statement(digest);
    return statement === null || statement.withdrawal !== null ? [] : [authorOf(statement)];
  });
}

/** A train that was refused before it was inspected has no notes; its manifest says whose it was, if it verifies. */
function notesOf({ notes, manifest }: HopRecord, network: Network): HopRecord['notes'] {
  if (notes.title !== undefined) return notes;
  try {
    const { title, issuer, dataset } = verifyWhenIssued(
      parseEnvelope(manifest, 'manifest'),
      network,
    ).predicate;
    return { ...notes, title, researcher: issuer, dataset };
  } catch (thrown) {
    if (thrown instanceof PhtError) return notes;
    throw thrown;
  }
}
