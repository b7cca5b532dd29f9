import { randomBytes } from 'node:crypto';
import { commitmentOf, SALT_BYTES } from '../../model/commitment.ts';

/**
 * Salted commitments for ledger entries. The salt stays in the station's own table; deleting it removes the link for
 * good, and the ledger still verifies.
 */
export type Commitments = {
  /** @param about ids of the members that the value names, so that an erasure finds it */
  commit(value: string, about?: readonly string[]): string;
};

export function createCommitments(
  keep: (commitment: string, salt: Uint8Array, value: string, about: readonly string[]) => void,
): Commitments {
  return {
    commit: (value, about = []) => {
      const salt = randomBytes(SALT_BYTES);
      const commitment = commitmentOf(salt, value);
      keep(commitment, salt, value, about);
      return commitment;
    },
  };
}
