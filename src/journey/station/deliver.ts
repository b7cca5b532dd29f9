import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ReportRequestSchema, TrackService } from '../../gen/pht/v1/tracks_pb.ts';
import { asPhtError, type ErrorCode } from '../../model/error.ts';
import type { Ledger } from '../../ports/ledger.ts';
import type { Message, Outbox } from '../../ports/station-store.ts';
import type { Client } from '../../ports/wire.ts';
import type { Witnessing } from '../../ports/witnessing.ts';
import type { Station } from './stages.ts';

/**
 * What a dispatcher refuses for good would block everything behind it; the receipt stays in this station's ledger. Any
 * other refusal may pass, as that of a dispatcher whose network file is old, and a receipt is never dropped for it.
 */
const FINAL: ReadonlySet<ErrorCode> = new Set([
  'receipt.invalid',
  'statement.malformed',
  'statement.type',
  'signature.invalid',
  'input.malformed',
  'input.too-large',
  'not-found',
  'stale.epoch',
  'conflict',
  'replayed',
]);

/**
 * One release that waits must not hold up the refusals behind it: for witnesses, or for a network file that both sides
 * have, where the dispatcher asks for more of them than this station knows of.
 */
const STUCK: ReadonlySet<ErrorCode> = new Set(['witness.unreachable', 'proof.invalid']);

const BATCH_MAX = 16;
const REPORT_DEADLINE_MS = 30_000;

export type DeliverPorts = { outbox: Outbox; ledger: Ledger; witnessing: Witnessing };

/**
 * Sends what waits in the outbox, in order, each until it is acknowledged; the receiver knows a repeated key. A receipt
 * leaves only with the proof of its entry under a signed checkpoint, that of a release only under a published one, which
 * as many witnesses have cosigned as the network asks for (promise 8).
 */
export async function deliver(
  track: Client<typeof TrackService>,
  station: Station,
  ports: DeliverPorts,
  signal: AbortSignal,
): Promise<void> {
  const { outbox } = ports;
  const stuck = new Map<string, unknown>();
  let inVain: unknown;
  for (;;) {
    const messages = outbox.waiting(BATCH_MAX + stuck.size).filter(({ key }) => !stuck.has(key));
    if (messages.length === 0) break;
    for (const [at, message] of messages.entries()) {
      signal.throwIfAborted();
      // Progress that a later message has overtaken is no news.
      const overtaken = messages.slice(at + 1).some(({ hopId }) => hopId === message.hopId);
      if (message.kind === 'progress') {
        if (!overtaken)
          await report(track, message, { case: 'progress', value: message.progress }, station, signal);
      } else {
        try {
          // Each round costs as long as the slowest witness: what another one has just waited for in vain is not tried.
          if (message.releases && inVain !== undefined && !isShown(message, ports)) throw inVain;
          await sendReceipt(track, message, station, ports, signal);
        } catch (thrown) {
          const { code } = asPhtError(thrown);
          if (!STUCK.has(code)) throw thrown;
          if (code === 'witness.unreachable') inVain = thrown;
          stuck.set(message.key, thrown);
          continue;
        }
      }
      outbox.done(message.key, station.clock.nowMs());
    }
  }
  for (const thrown of stuck.values()) throw thrown;
}

async function sendReceipt(
  track: Client<typeof TrackService>,
  message: Message & { kind: 'receipt' },
  station: Station,
  ports: DeliverPorts,
  signal: AbortSignal,
): Promise<void> {
  const proof = await provenBefore(message, ports, signal);
  const { receipt, jwe } = message;
  const value = { receipt, jwe: jwe ?? new Uint8Array(), proof };
  await report(track, message, { case: 'receipt', value }, station, signal);
}

function isShown({ ledgerSize }: Message, { ledger }: DeliverPorts): boolean {
  return (ledger.published()?.size ?? -1) >= ledgerSize;
}

/** The receipt's own entry is the last one of the transaction that posted it. */
async function provenBefore(
  { ledgerSize, releases }: Message & { kind: 'receipt' },
  { ledger, witnessing }: DeliverPorts,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (releases) await witnessing.covered(ledgerSize, signal);
  else await ledger.covered(ledgerSize);
  return ledger.tree.prove(ledgerSize - 1);
}

async function report(
  track: Client<typeof TrackService>,
  { key, hopId, epoch }: Message,
  body: NonNullable<MessageInitShape<typeof ReportRequestSchema>['body']>,
  station: Station,
  signal: AbortSignal,
): Promise<void> {
  try {
    await track.report(
      { idempotencyKey: key, hopId, epoch: BigInt(epoch), body },
      { deadlineMs: REPORT_DEADLINE_MS, signal },
    );
  } catch (thrown) {
    const { code } = asPhtError(thrown);
    if (!FINAL.has(code)) throw thrown;
    station.note('the dispatcher refused a report', { hopId, key, code });
  }
}
