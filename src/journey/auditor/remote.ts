import type { LedgerService } from '../../gen/pht/v1/ledger_pb.ts';
import { asPhtError, PhtError } from '../../model/error.ts';
import type { LogSource } from '../../ports/log-source.ts';
import type { Client } from '../../ports/wire.ts';

const CALL_DEADLINE_MS = 15_000;
const STREAM_DEADLINE_MS = 120_000;
/** Entries asked for at once: a whole number of bundles. */
const RANGE_ENTRIES = 32 * 256;
const LOGS_MAX = 2000;

/** The ledgers as the dispatcher serves them: its own, and its mirror of each station's. */
export function remoteLogs(client: Client<typeof LedgerService>, signal: AbortSignal): LogSource {
  const call = { deadlineMs: CALL_DEADLINE_MS, signal };
  return {
    members: async () => {
      const { members } = await client.logs({}, call);
      return members.slice(0, LOGS_MAX);
    },
    checkpoint: async (member) => {
      try {
        const { checkpoint } = await client.checkpoint({ member }, call);
        return checkpoint.byteLength === 0 ? null : checkpoint;
      } catch (thrown) {
        const error = asPhtError(thrown);
        if (error.code === 'not-found') return null;
        throw error;
      }
    },
    pastHeads: async (member) => {
      try {
        return (await client.pastHeads({ member }, call)).heads;
      } catch (thrown) {
        if (isLeftOut(thrown)) return null;
        throw thrown;
      }
    },
    entries: (member, first, end) => rangesOf(client, member, { first, end }, signal),
    hashTile: null,
    strangers: async () => [],
  };
}

/** The peer is an older one, or will not say why: what is left out proves nothing, and accuses nobody. */
function isLeftOut(thrown: unknown): boolean {
  return thrown instanceof PhtError && (thrown.code === 'not-found' || thrown.code === 'internal');
}

async function* rangesOf(
  client: Client<typeof LedgerService>,
  member: string,
  { first, end }: { first: number; end: number },
  signal: AbortSignal,
): AsyncGenerator<readonly Uint8Array[]> {
  for (let at = first; at < end; at += RANGE_ENTRIES) {
    const wanted = Math.min(RANGE_ENTRIES, end - at);
    const range = { member, firstIndex: BigInt(at), endIndex: BigInt(at + wanted) };
    let given = 0;
    for await (const { entries } of client.entries(range, { deadlineMs: STREAM_DEADLINE_MS, signal })) {
      given += entries.length;
      if (given > wanted)
        throw new PhtError('ledger.invalid', 'more entries were served than were asked for');
      if (entries.length > 0) yield entries;
    }
    // Going on behind a gap would only hide where it begins.
    if (given < wanted) return;
  }
}

/** What was signed about one train besides the logs; nothing of it has been verified. */
export type Statements = {
  manifest: Uint8Array;
  /** Empty where there is none. */
  cancellation: Uint8Array;
  orders: readonly Uint8Array[];
  receipts: readonly Uint8Array[];
};

const STATEMENTS_MAX = 10_000;

/** @throws PhtError `not-found` where the dispatcher knows no such train, `unreachable`, `input.malformed` */
export async function remoteStatements(
  client: Client<typeof LedgerService>,
  trainId: string,
  signal: AbortSignal,
): Promise<Statements> {
  const statements = await client.statements({ trainId }, { deadlineMs: CALL_DEADLINE_MS, signal });
  if (statements.orders.length + statements.receipts.length > STATEMENTS_MAX)
    throw new PhtError('input.malformed', 'more statements were served than any train has');
  return statements;
}
