import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLedger, type LedgerOptions } from '../../src/adapters/ledger/files.ts';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import { type Database, openDatabase } from '../../src/adapters/store/database.ts';
import { createAppend, createLedgerRows, LEDGER_TABLES } from '../../src/adapters/store/ledger-rows.ts';
import { createWitnessStore, WITNESS_TABLES } from '../../src/adapters/store/witness-store.ts';
import { createWitness, type Witness } from '../../src/journey/witness/witness.ts';
import { PhtError } from '../../src/model/error.ts';
import { signCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { type NoteSigner, openNote } from '../../src/model/ledger/note.ts';
import { ledgerOrigin, logKey, witnessKey } from '../../src/model/ledger/origin.ts';
import type { NoteKey } from '../../src/model/ledger/vkey.ts';
import type { Network } from '../../src/model/network.ts';
import type { Ledger, LedgerRows, NewEntry } from '../../src/ports/ledger.ts';
import type { LedgerConflict, WitnessRelay, WitnessStore } from '../../src/ports/witness.ts';
import { type FakeNetwork, makeNetwork, memberIn } from '../fakes/network.ts';

/** Members with real SQLite, real ledgers in files and real keys, and lines between them that a test can bend. */

export const STATIONS = ['east', 'mid', 'north', 'south', 'west'] as const;
export const WITNESSES: readonly string[] = ['dispatcher', ...STATIONS];
export const NOW_MS = 1_800_000_000_000;

export type Home = {
  id: string;
  dir: string;
  database: Database;
  rows: LedgerRows;
  ledger: Ledger;
  store: WitnessStore;
  witness: Witness;
  conflicts: LedgerConflict[];
  /** Appends entries and has them signed. @returns the size */
  grow(count?: number): Promise<number>;
};

export type Rig = {
  fake: FakeNetwork;
  /** As all of them have it now. */
  readonly network: Network;
  /** Gives all of them another list. */
  list(network: Network): void;
  home(id: string): Home;
  /** Opens another member, or one whose folder is a copy of another one's. */
  open(id: string, options?: { copyOf?: string; ledger?: Partial<LedgerOptions> }): Home;
  /** Closes a member and copies its folder. @returns the copy */
  copy(home: Home): string;
  relay(caller: string): WitnessRelay;
  close(): void;
};

/** Six witnesses, of which a station's own ledger needs four of the five others. */
export async function makeRig(options: { quorum?: 'none' } = {}): Promise<Rig> {
  const fake = await makeNetwork({
    stations: STATIONS,
    witnessing:
      options.quorum === 'none' ? { quorum: 'none' } : { quorum: 4, faulty: 1, witnesses: [...WITNESSES] },
  });
  const parent = mkdtempSync(join(tmpdir(), 'witness-'));
  const homes = new Map<string, Home>();
  let current = fake.network;
  const open: Rig['open'] = (id, { copyOf, ledger = {} } = {}) => {
    const dir = mkdtempSync(join(parent, `${id}-`));
    if (copyOf !== undefined) cpSync(copyOf, dir, { recursive: true });
    const home = openHome(fake, () => current, id, dir, ledger);
    homes.set(id, home);
    return home;
  };
  const home = (id: string): Home => homes.get(id) ?? open(id);
  return {
    fake,
    get network() {
      return current;
    },
    list: (network) => {
      current = network;
    },
    home,
    open,
    copy: ({ dir }) => {
      const copy = mkdtempSync(join(parent, 'copy-'));
      cpSync(dir, copy, { recursive: true });
      return copy;
    },
    relay: (caller) => ({
      addCheckpoint: async (id, body) => home(id).witness.addCheckpoint(body),
      seen: async (id, nonce) => {
        const seen = home(id).witness.seen({ origin: ledgerOrigin(fake.network.id, caller), nonce });
        if (seen === null) throw new PhtError('witness.unreachable', 'the witness does not know this ledger');
        return seen;
      },
    }),
    close: () => {
      for (const { database } of homes.values()) database.close();
      rmSync(parent, { recursive: true, force: true });
    },
  };
}

function openHome(
  fake: FakeNetwork,
  network: () => Network,
  id: string,
  dir: string,
  ledgerOptions: Partial<LedgerOptions>,
): Home {
  const { keys } = memberIn(fake, id);
  const origin = ledgerOrigin(fake.network.id, id);
  const database = openDatabase(join(dir, 'store.db'), [LEDGER_TABLES, WITNESS_TABLES]);
  const append = createAppend(database, id);
  const rows = createLedgerRows(database);
  const ledger = createLedger({
    rows,
    dir: join(dir, 'ledger'),
    origin,
    signer: createSigner(keys.log),
    publishAtOnce: () => false,
    ...ledgerOptions,
  });
  const store = createWitnessStore(database, append);
  const conflicts: LedgerConflict[] = [];
  const witness = createWitness({
    id,
    network,
    store,
    signer: createSigner(keys.witness),
    nowMs: () => NOW_MS,
    conflict: (conflict) => conflicts.push(conflict),
  });
  const grow: Home['grow'] = async (count = 1) => {
    const size = database.transaction(() => append(Array<NewEntry>(count).fill(entry(id)), NOW_MS));
    await ledger.covered(size);
    return size;
  };
  return { id, dir, database, rows, ledger, store, witness, conflicts, grow };
}

let serial = 0;

/** No two alike, so that two copies of a ledger grow apart. */
function entry(id: string): NewEntry {
  serial += 1;
  const nothing = {
    trainId: null,
    hopId: null,
    attempt: null,
    epoch: null,
    manifestDigest: null,
    prev: null,
  };
  return { type: 'rejects.counted', ...nothing, body: { count: serial, station: id } };
}

export function originOf(fake: FakeNetwork, id: string): string {
  return ledgerOrigin(fake.network.id, id);
}

/** The member's own log key, as whoever stole it has it. */
export function logSignerOf(fake: FakeNetwork, id: string): NoteSigner {
  const signer = createSigner(memberIn(fake, id).keys.log);
  return { key: logKey(originOf(fake, id), signer.publicJwk), sign: (message) => signer.sign(message) };
}

export function witnessSignerOf(fake: FakeNetwork, id: string): NoteSigner {
  const signer = createSigner(memberIn(fake, id).keys.witness);
  return { key: witnessKeyOf(fake, id), sign: (message) => signer.sign(message) };
}

export function witnessKeyOf(fake: FakeNetwork, id: string): NoteKey {
  return witnessKey(fake.network.id, id, createSigner(memberIn(fake, id).keys.witness).publicJwk);
}

/** A head that this member signs although its ledger has no such state. */
export function inventedHead(fake: FakeNetwork, id: string, size: number, root: Uint8Array): string {
  return signCheckpoint({ origin: originOf(fake, id), size, root, extensions: [] }, logSignerOf(fake, id));
}

/** Which witnesses of the network have validly cosigned this note. */
export function cosignersOf(fake: FakeNetwork, note: Uint8Array | string): string[] {
  return WITNESSES.filter((id) => {
    try {
      return openNote(note, [witnessKeyOf(fake, id)]).verified.length === 1;
    } catch {
      return false;
    }
  });
}
