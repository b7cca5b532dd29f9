import type { LedgerService } from '../../gen/pht/v1/ledger_pb.ts';
import { PhtError } from '../../model/error.ts';
import { parseCheckpoint } from '../../model/ledger/checkpoint.ts';
import { parseNote } from '../../model/ledger/note.ts';
import type { Ledger } from '../../ports/ledger.ts';
import type { CallContext, Service } from '../../ports/wire.ts';
import { callerOf, type Desk } from './desk.ts';
import { mirror } from './mirror.ts';

const BATCH_ENTRIES = 256;
const BATCH_BYTES_MAX = 1024 * 1024;

/** One ledger as it may be read: the checkpoint and the entries under it, nothing beyond. */
type Readable = { checkpoint: Uint8Array; size: number; read(first: number, end: number): Uint8Array[] };

/** The dispatcher's own ledger and its mirrors of the stations'. Readers verify; we only hand out. */
export function ledgerService(desk: Desk, ledger: Ledger): Service<typeof LedgerService> {
  const readable = (member: string): Readable => {
    const own = member === desk.id;
    const head = own ? null : desk.store.mirrors.head(member);
    const checkpoint = own ? (ledger.published()?.text ?? null) : (head?.checkpoint ?? null);
    if (checkpoint === null) throw new PhtError('not-found', 'there is no ledger of that member here yet');
    const { size } = parseCheckpoint(parseNote(checkpoint).text);
    const read = own ? desk.store.ledgerRows.read : desk.store.mirrors.read.bind(null, member);
    return { checkpoint, size, read };
  };
  const reader = (context: CallContext): void =>
    void callerOf(context, 'auditor', 'researcher', 'admin', 'station');

  return {
    logs: async (_request, context) => {
      reader(context);
      const mirrored = desk.store.mirrors.heads().filter(({ checkpoint }) => checkpoint !== null);
      return { members: [desk.id, ...mirrored.map(({ member }) => member)] };
    },
    checkpoint: async ({ member }, context) => {
      reader(context);
      // Whoever audits us sees everything up to now.
      if (member === desk.id) await ledger.covered(desk.store.ledgerRows.size());
      return { checkpoint: readable(member).checkpoint };
    },
    entries: async function* ({ member, firstIndex, endIndex }, context) {
      reader(context);
      const { size, read } = readable(member);
      if (firstIndex > endIndex || endIndex > BigInt(size)) {
        throw new PhtError('input.malformed', `the ledger of ${member} has ${size} entries`);
      }
      const end = Number(endIndex);
      for (let first = Number(firstIndex); first < end && !context.signal.aborted; ) {
        const entries = upTo(BATCH_BYTES_MAX, read(first, Math.min(end, first + BATCH_ENTRIES)));
        if (entries.length === 0)
          throw new PhtError('internal', `entry ${first} of ${member} is not in the store`);
        yield { entries };
        first += entries.length;
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
      return { size: BigInt(mirror(station, publication, desk)) };
    },
  };
}

function upTo(bytesMax: number, entries: Uint8Array[]): Uint8Array[] {
  let bytes = 0;
  const fitting = entries.findIndex((entry) => {
    bytes += entry.length;
    return bytes > bytesMax;
  });
  return fitting <= 0 ? entries : entries.slice(0, fitting);
}
