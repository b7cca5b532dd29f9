import { openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { decodeEntry } from '../../model/ledger/entry.ts';
import type { NoteSigner } from '../../model/ledger/note.ts';
import { logKey } from '../../model/ledger/origin.ts';
import { keyIdText, rotationBody } from '../../model/ledger/rotation.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import { isKey } from '../../model/past-keys.ts';
import type { LedgerRows, NewEntry, SignedHead } from '../../ports/ledger.ts';
import type { Signer } from '../../ports/signer.ts';

const NO_HOP = { trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null };

/** The change of a ledger's key, by one entry at the boundary. */
export type Rotating = {
  /** What this ledger's own checkpoints may be signed with. */
  readonly keys: readonly NoteKey[];
  /**
   * Puts the entry into the store unless it is there: a crash may have come between it and the first checkpoint that
   * covers it. Entries that came before it without a checkpoint are covered by the new key, which is right for any size
   * beyond the entry.
   *
   * @param saved the last checkpoint that was signed
   */
  append(saved: SignedHead): void;
};

export function noteSignerOf(origin: string, signer: Signer): NoteSigner {
  return { key: logKey(origin, signer.publicJwk), sign: (message) => signer.sign(message) };
}

export function createRotating(options: {
  rows: LedgerRows;
  origin: string;
  now: NoteSigner;
  rotation?: { former: readonly Signer[]; append: (entry: NewEntry) => void };
}): Rotating {
  const { rows, origin, now, rotation } = options;
  const former = (rotation?.former ?? []).map((signer) => noteSignerOf(origin, signer));
  const keys = [now.key, ...former.map(({ key }) => key).filter((key) => !isKey(key, now.key))];

  /** The key that the entries behind the last checkpoint have given the ledger already; null where they are silent. */
  const announced = (from: number): string | null => {
    const last = rows
      .read(from, rows.size())
      .map(decodeEntry)
      .findLast(({ type }) => type === 'log.rotated');
    return typeof last?.body['newKeyId'] === 'string' ? last.body['newKeyId'] : null;
  };

  return {
    keys,
    append: ({ size, text }) => {
      if (rotation === undefined) return;
      const { signedBy } = openCheckpoint(text, { origin, logKeys: keys, witnessKeys: [] });
      if (signedBy.some((key) => isKey(key, now.key))) return;
      const before = announced(size) ?? signedBy.map(keyIdText)[0];
      const old = former.find(({ key }) => keyIdText(key) === before);
      if (old === undefined || isKey(old.key, now.key)) return;
      const index = rows.size();
      rotation.append({ type: 'log.rotated', ...NO_HOP, body: rotationBody(index, old, now) });
    },
  };
}
