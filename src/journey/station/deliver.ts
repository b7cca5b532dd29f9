import type { TrackService } from '../../gen/pht/v1/tracks_pb.ts';
import { asPhtError, type ErrorCode } from '../../model/error.ts';
import type { Ledger } from '../../ports/ledger.ts';
import type { Message, Outbox } from '../../ports/station-store.ts';
import type { Client } from '../../ports/wire.ts';
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

const BATCH_MAX = 16;
const REPORT_DEADLINE_MS = 30_000;

/**
 * Sends what waits in the outbox, in order, each until it is acknowledged; the receiver knows a repeated key. A receipt
 * leaves only when a signed checkpoint covers its entries (promise 8).
 */
export async function deliver(
  track: Client<typeof TrackService>,
  station: Station,
  { outbox, ledger }: { outbox: Outbox; ledger: Ledger },
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const messages = outbox.waiting(BATCH_MAX);
    if (messages.length === 0) return;
    for (const [at, message] of messages.entries()) {
      signal.throwIfAborted();
      if (message.kind === 'receipt') await ledger.covered(message.ledgerSize);
      // Progress that a later message has overtaken is no news.
      const overtaken = messages.slice(at + 1).some(({ hopId }) => hopId === message.hopId);
      if (message.kind === 'receipt' || !overtaken) await report(track, message, station, signal);
      outbox.done(message.key, station.clock.nowMs());
    }
  }
}

async function report(
  track: Client<typeof TrackService>,
  message: Message,
  station: Station,
  signal: AbortSignal,
): Promise<void> {
  const { key, hopId, epoch } = message;
  const body =
    message.kind === 'progress'
      ? ({ case: 'progress', value: message.progress } as const)
      : ({
          case: 'receipt',
          value: { receipt: message.receipt, jwe: message.jwe ?? new Uint8Array() },
        } as const);
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
