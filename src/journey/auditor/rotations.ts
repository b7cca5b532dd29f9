import { PhtError } from '../../model/error.ts';
import type { LedgerEntry } from '../../model/ledger/entry.ts';
import { keyIdText, type Rotation, readRotation, wrongKeyOf } from '../../model/ledger/rotation.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';

/** A head that was signed at some size, and with what. */
export type KeyedHead = { size: number; signedBy: readonly NoteKey[] };

export type Rotations = {
  /** Takes each `log.rotated` in its order. @returns what is wrong with it, or null */
  take(index: number, body: LedgerEntry['body']): string | null;
  /** What is wrong with the key of a head, now that all entries under it were taken; null where nothing is. */
  wrongKey(head: KeyedHead): string | null;
  list(): readonly Rotation[];
};

/**
 * Follows one log from key to key.
 *
 * @param keys of the member, oldest first
 * @param before an earlier head that was verified: from its size on only the key that it bears, or one that followed
 */
export function followRotations(keys: readonly NoteKey[], before: KeyedHead | null): Rotations {
  const rotations: Rotation[] = [];
  return {
    list: () => rotations,
    take: (index, body) => {
      try {
        const rotation = readRotation(body, index, keys);
        const last = rotations.at(-1);
        rotations.push(rotation);
        const broken = last !== undefined && last.to.keyId !== rotation.from.keyId;
        if (!broken) return null;
        return `it leads on from the key ${keyIdText(rotation.from)}, and the log had ${keyIdText(last.to)}`;
      } catch (thrown) {
        if (thrown instanceof PhtError) return thrown.message;
        throw thrown;
      }
    },
    wrongKey: (head) => {
      const wrong = wrongKeyOf(head.size, head.signedBy, rotations);
      if (wrong !== null || before === null) return wrong;
      const earlier = wrongKeyOf(before.size, before.signedBy, rotations);
      if (earlier !== null) return earlier;
      const [had] = before.signedBy;
      const [has] = head.signedBy;
      // With a rotation on the way both were held against it.
      if (rotations.some(({ index }) => index >= before.size) || had?.keyId === has?.keyId) return null;
      return `the head of ${before.size} entries was signed with another key, and no entry tells of the change`;
    },
  };
}

type ReadKeys = { rotations: readonly Rotation[]; from: number; signedBy: readonly NoteKey[] };

/**
 * What is wrong with the key of another head, given the rotations among the entries that were read. Of a log that was read
 * only from somewhere on, nothing is known of the keys before.
 */
export function wrongKeyIn({ rotations, from, signedBy }: ReadKeys, other: KeyedHead): string | null {
  if (other.size < from) return null;
  const key = wrongKeyOf(other.size, other.signedBy, rotations);
  if (key !== null || rotations.length > 0 || from > 0) return key;
  // Whoever goes on with another key says so in an entry.
  const same = other.signedBy[0]?.keyId === signedBy[0]?.keyId;
  return same ? null : 'two heads are signed with different keys, and no entry tells of the change';
}
