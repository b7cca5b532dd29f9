import { PhtError } from '../../model/error.ts';
import { isSealed } from '../../model/hop.ts';
import type { HopRecord } from '../../ports/station-store.ts';
import { type ApprovalPorts, judgeCase } from './approvals.ts';
import { imageHistory } from './image-history.ts';
import { caseOf, endedCase, type LookPorts, neededBy, whenIssued } from './look.ts';
import type { Station } from './stages.ts';
import { authorOf } from './stands.ts';

export type ShowPorts = LookPorts &
  ApprovalPorts & {
    /** What the train printed, for the admin alone. */
    readLog: (hopId: string) => Promise<Uint8Array>;
  };

/** Everything that a person decides on, and what has been said to it. */
export async function showHop(hop: HopRecord, withConfig: boolean, station: Station, ports: ShowPorts) {
  if (hop.notes.erased) {
    throw new PhtError('not-found', 'what this hop was about was erased; its ledger entries remain');
  }
  if (hop.order.byteLength === 0) {
    throw new PhtError(
      'not-found',
      'what this hop was about was lost with a backup; its ledger entries remain',
    );
  }
  const ended = isSealed(hop.state);
  const { image } = whenIssued(hop, station).predicate;
  const { bytes, digests } = ended
    ? { ...endedCase(hop, station), digests: hop.notes.clearances ?? [] }
    : await open(hop, station, ports);
  const said = digests.flatMap((digest) => ports.clearances.statement(digest) ?? []);
  return {
    caseFile: bytes,
    manifest: hop.manifest,
    state: hop.state,
    reasons: hop.notes.reasons ?? [],
    log: await ports.readLog(hop.hopId),
    image: imageHistory(image.configDigest, hop.hopId, station, ports.clearances),
    approvalsNeeded: ended ? 0 : neededBy(hop),
    approvedBy: said.map(authorOf),
    clearances: said.map(({ envelope }) => envelope),
    config: withConfig ? await ports.configOf(hop.trainId, image) : new Uint8Array(),
  };
}

/** While it waits, those that count now; afterwards, those that it was cleared by. */
async function open(
  hop: HopRecord,
  station: Station,
  ports: ShowPorts,
): Promise<{ bytes: Uint8Array; digests: readonly string[] }> {
  const about = await caseOf(hop, station, ports);
  const { clearances = [] } = hop.notes;
  if (clearances.length > 0) return { ...about, digests: clearances };
  if (about.needed === 0) return { ...about, digests: [] };
  const judged = await judgeCase(about, station, ports);
  const words = judged.is === 'approved' ? judged.words : judged.is === 'waits' ? judged.given : [];
  return { ...about, digests: words.map(({ digest }) => digest) };
}
