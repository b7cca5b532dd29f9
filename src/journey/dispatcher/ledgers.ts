import type { LedgerService } from '../../gen/pht/v1/ledger_pb.ts';
import { PhtError } from '../../model/error.ts';
import type { ShownLogs } from '../../ports/mirror.ts';
import type { CallContext, Service } from '../../ports/wire.ts';
import { callerOf, type Desk } from './desk.ts';
import { statementsMethod } from './documents.ts';
import type { Mirroring } from './mirror.ts';
import type { Publisher } from './publish.ts';
import { entriesOf, sizeOf } from './shown.ts';

const BATCH_ENTRIES = 256;
const BATCH_BYTES_MAX = 1024 * 1024;

/** The dispatcher's own ledger and its mirrors of the stations'. Readers verify; we only hand out. */
export function ledgerService(
  desk: Desk,
  { logs, mirroring, publisher }: { logs: ShownLogs; mirroring: Mirroring; publisher: Publisher },
): Service<typeof LedgerService> {
  const shown = (member: string): Uint8Array => {
    const checkpoint = logs.checkpoint(member);
    if (checkpoint === null) throw new PhtError('not-found', 'there is no ledger of that member here yet');
    return checkpoint;
  };
  const reader = (context: CallContext): void =>
    void callerOf(context, 'auditor', 'researcher', 'admin', 'station');

  /** Our own are in the store, in whose batches they need no bundle to be decoded. */
  const batches = (member: string, size: number, first: number, end: number): Batches =>
    member === desk.id
      ? ownBatches(desk, first, end)
      : entriesOf((tile) => logs.tile(member, tile), size, first, end);

  return {
    statements: statementsMethod(desk),
    logs: async (_request, context) => {
      reader(context);
      return { members: logs.members() };
    },
    checkpoint: async ({ member }, context) => {
      reader(context);
      // Whoever audits us sees everything up to now, as far as the witnesses are there.
      if (member === desk.id) await publisher.shown();
      return { checkpoint: shown(member) };
    },
    pastHeads: async ({ member }, context) => {
      reader(context);
      shown(member);
      return { heads: logs.pastHeads(member) ?? new Uint8Array() };
    },
    entries: async function* ({ member, firstIndex, endIndex }, context) {
      reader(context);
      const size = sizeOf(shown(member));
      if (firstIndex > endIndex || endIndex > BigInt(size)) {
        throw new PhtError('input.malformed', `the ledger of ${member} has ${size} entries`);
      }
      for await (const batch of batches(member, size, Number(firstIndex), Number(endIndex))) {
        if (context.signal.aborted) return;
        for (let rest = batch; rest.length > 0; ) {
          const entries = upTo(BATCH_BYTES_MAX, rest);
          yield { entries };
          rest = rest.slice(entries.length);
        }
      }
    },
    publish: async ({ firstIndex, entries, checkpoint }, context) => {
      const station = callerOf(context, 'station').id;
      if (firstIndex > BigInt(Number.MAX_SAFE_INTEGER))
        throw new PhtError('ledger.invalid', 'the first index is out of range');
      const publication = {
        first: Number(firstIndex),
        entries,
        checkpoint: checkpoint.length === 0 ? null : checkpoint,
      };
      return { size: BigInt(await mirroring.take(station, publication)) };
    },
  };
}

type Batches = AsyncIterable<Uint8Array[]>;

async function* ownBatches(desk: Desk, first: number, end: number): AsyncGenerator<Uint8Array[]> {
  for (let at = first; at < end; ) {
    const entries = desk.store.ledgerRows.read(at, Math.min(end, at + BATCH_ENTRIES));
    if (entries.length === 0) throw new PhtError('internal', `entry ${at} is not in the store`);
    yield entries;
    at += entries.length;
  }
}

function upTo(bytesMax: number, entries: Uint8Array[]): Uint8Array[] {
  let bytes = 0;
  const fitting = entries.findIndex((entry) => {
    bytes += entry.length;
    return bytes > bytesMax;
  });
  return fitting <= 0 ? entries : entries.slice(0, fitting);
}
