import { appendEntries, EMPTY_EDGE, type ReadTile, type TreeEdge } from '../../src/model/ledger/append.ts';
import { signCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { encodeEntry, type LedgerEntry } from '../../src/model/ledger/entry.ts';
import { formatEntryProof } from '../../src/model/ledger/entry-proof.ts';
import { rangeRoot } from '../../src/model/ledger/merkle.ts';
import { ledgerOrigin, logKey } from '../../src/model/ledger/origin.ts';
import { proveInclusion } from '../../src/model/ledger/prove.ts';
import { tilePath } from '../../src/model/ledger/tile.ts';
import type { Signer } from '../../src/ports/signer.ts';
import { type FakeNetwork, memberIn, signerOf } from './network.ts';

/** A member's ledger in memory, for tests that need its proofs and not its files. */
export type FakeLog = {
  /** Appends an entry. @returns its proof under a new checkpoint */
  prove(entry: LedgerEntry): Uint8Array;
  /** The newest checkpoint. */
  checkpoint(): string;
  size(): number;
};

export function makeLog(fake: FakeNetwork, member: string): FakeLog {
  return memoryLog(ledgerOrigin(fake.network.id, member), signerOf(memberIn(fake, member).keys.log));
}

export function memoryLog(origin: string, { sign, publicJwk }: Signer): FakeLog {
  const key = logKey(origin, publicJwk);
  const tiles = new Map<string, Uint8Array>();
  let edge: TreeEdge = EMPTY_EDGE;
  let checkpoint = '';
  const read: ReadTile = (tile) => tiles.get(tilePath(tile)) ?? new Uint8Array();
  return {
    prove: (entry) => {
      const index = edge.range.size;
      const bytes = encodeEntry(entry);
      const appended = appendEntries(edge, [bytes]);
      edge = appended.edge;
      for (const file of appended.files) tiles.set(tilePath(file.tile), file.bytes);
      const size = edge.range.size;
      const head = { origin, size, root: rangeRoot(edge.range), extensions: [] };
      checkpoint = signCheckpoint(head, { key, sign });
      return formatEntryProof(bytes, { index, hashes: proveInclusion(index, size, read), checkpoint });
    },
    checkpoint: () => checkpoint,
    size: () => edge.range.size,
  };
}

const logs = new WeakMap<FakeNetwork, Map<string, FakeLog>>();

/** One log for each member of a network: two would be two histories. */
export function logOf(fake: FakeNetwork, member: string): FakeLog {
  const ofNetwork = logs.get(fake) ?? new Map<string, FakeLog>();
  logs.set(fake, ofNetwork);
  const log = ofNetwork.get(member) ?? makeLog(fake, member);
  ofNetwork.set(member, log);
  return log;
}
