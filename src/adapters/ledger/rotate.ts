import { PhtError } from '../../model/error.ts';
import { openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { decodeEntry } from '../../model/ledger/entry.ts';
import type { NoteSigner } from '../../model/ledger/note.ts';
import { logKey } from '../../model/ledger/origin.ts';
import { keyIdText, rotationBody } from '../../model/ledger/rotation.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import { isKey } from '../../model/past-keys.ts';
import type { LedgerRows, LogSigners, NewEntry, SignedHead } from '../../ports/ledger.ts';
import type { Signer } from '../../ports/signer.ts';

const NO_HOP = { trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null };

/** A log key that may be replaced while the ledger is at work. */
export type RotatedSigner = {
  /** Asked before each head; the same object while nothing has changed. */
  signers: () => Promise<LogSigners>;
  /** Puts the entry about it into the store, durably. */
  append: (entry: NewEntry) => void;
};

export type LogKeys = {
  readonly now: NoteSigner;
  readonly former: readonly NoteSigner[];
  /** What this ledger's own checkpoints may be signed with. */
  readonly all: readonly NoteKey[];
};

/** The change of a ledger's key, by one entry at the boundary. */
export type Rotating = {
  /** Of this moment; the same object while they are the same. */
  keys(): Promise<LogKeys>;
  /**
   * Before the first head with `keys`: puts the entry into the store unless it is there, since a crash may have come
   * between it and the first checkpoint that covers it. Entries that came before it without a checkpoint are covered by
   * the new key, which is right for any size beyond the entry.
   *
   * @param saved the last checkpoint that was signed
   * @throws PhtError `signer.unknown` where the ledger has a key by now that is none of these
   */
  append(keys: LogKeys, saved: SignedHead): void;
};

export function createRotating(options: {
  rows: LedgerRows;
  origin: string;
  signer: Signer | RotatedSigner;
}): Rotating {
  const { rows, origin, signer } = options;
  const { signers, append } = 'signers' in signer ? signer : fixed(signer);
  let known: { of: LogSigners; keys: LogKeys } | null = null;

  /** The key that the entries behind the last checkpoint have given the ledger already; null where they are silent. */
  const announced = (from: number): string | null => {
    const last = rows
      .read(from, rows.size())
      .map(decodeEntry)
      .findLast(({ type }) => type === 'log.rotated');
    return typeof last?.body['newKeyId'] === 'string' ? last.body['newKeyId'] : null;
  };

  return {
    keys: async () => {
      const of = await signers();
      if (known?.of !== of) known = { of, keys: keysIn(origin, of) };
      return known.keys;
    },
    append: ({ now, former, all }, { size, text }) => {
      const { signedBy } = openCheckpoint(text, { origin, logKeys: all, witnessKeys: [] });
      const had = announced(size) ?? signedBy.map(keyIdText)[0];
      if (had === keyIdText(now.key)) return;
      const old = former.find(({ key }) => keyIdText(key) === had);
      if (old === undefined) throw unknown(had);
      const index = rows.size();
      append({ type: 'log.rotated', ...NO_HOP, body: rotationBody(index, old, now) });
    },
  };
}

function fixed(signer: Signer): RotatedSigner {
  const only = { signer, former: [] };
  // With one key there is no other to rotate to.
  return { signers: async () => only, append: () => undefined };
}

function keysIn(origin: string, { signer, former }: LogSigners): LogKeys {
  const [now, ...before] = [signer, ...former].map((each) => noteSignerOf(origin, each));
  if (now === undefined) throw new PhtError('internal', 'a ledger without a key was opened');
  const others = before.filter(({ key }) => !isKey(key, now.key));
  return { now, former: others, all: [now.key, ...others.map(({ key }) => key)] };
}

function noteSignerOf(origin: string, signer: Signer): NoteSigner {
  return { key: logKey(origin, signer.publicJwk), sign: (message) => signer.sign(message) };
}

function unknown(had: string | undefined): PhtError {
  return new PhtError('signer.unknown', `the ledger has the key ${had} by now, which is not at hand`, {
    hint: 'restore the folder keys of this home from a backup; nothing was signed',
  });
}
